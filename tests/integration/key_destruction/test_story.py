"""A key's destruction by the command line: from the proposal to the certificate."""

from __future__ import annotations

import json
import subprocess

from orchestrator.actions.site import key_file_path, keyring_path
from orchestrator.engines.restic.binary import find_binary
from orchestrator.keys.keyring import Keyring
from orchestrator.ledger import entry
from tests.integration.key_destruction.conftest import NEW, Replaced
from tests.support.site import STORE, LabSite

BY_HAND = [
    "key.created",
    "key.created",  # of the repository that replaces it
    "key.destruction_proposed",
    "key.destruction_approved",
    "key.destroy",
    "key.destroy.done",
    "key.rotate",
    "key.rotate.done",
    "key.destruction_validated",
]


def told(site: LabSite) -> list[entry.Entry]:
    with site.opened() as opened:
        return [entry.parse(one.data) for one in opened.ledger.reader().entries()]


def holders_of(site: LabSite, secret: str) -> list[str]:
    """Return the files of the state folder that hold a text."""
    return [
        path.name
        for path in site.state.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


def test_destroyed_key_opens_nothing_here_and_is_certified(replaced: Replaced) -> None:
    site = replaced()
    password = Keyring.open(keyring_path(site.state), key_file_path(site.state)).password(STORE)
    assert holders_of(site, password.reveal()) == ["recovery-kit.txt"]
    made = site.ask("--as", "it", "key", "destroy", "propose", STORE, "--reason", "replaced")
    name = made["destruction"]
    assert (made["state"], made["repository"]) == ("proposed", STORE)
    site.ask("--as", "privacy", "key", "destroy", "approve", name)
    done = site.ask("--as", "it", "key", "destroy", "run", name, expect=3)
    # A keyring stored beside the new repository's images still gives it to this site's key file.
    assert (done["state"], done["verification"]) == ("destroyed", "unverified")
    assert holders_of(site, password.reveal()) == []
    listed = {one["name"]: one for one in site.ask("key", "list")["keys"]}
    assert listed[STORE]["destroyed_at"] is not None
    assert listed[NEW]["destroyed_at"] is None
    assert [one["repository"] for one in site.ask("key", "check")["repositories"]] == [NEW]
    refused = site.run("--as", "it", "key", "unwrap", "--repository", STORE, expect=12).error
    assert "destroyed" in refused["message"]

    site.ask("--as", "it", "key", "rotate")
    kit = [one for one in site.ask("doctor", expect=(0, 1, 3, 4))["checks"] if "kit" in one["name"]]
    assert any("disk lies no state of after that" in one["detail"] for one in kit), kit
    site.ask("backup")
    words = ("key", "destroy", "validate", name, "--accept", "--attest", "kits")
    assert "may not validate" in site.run("--as", "it", *words, expect=5).error["message"]
    ended = site.ask("--as", "privacy", *words)
    assert (ended["verification"], ended["validation"]) == ("verified", "accepted")
    certified(site, ended["certificate"])
    assert site.ask("ledger", "verify")["verdict"] == "verified"
    types = [one.type for one in told(site)]
    assert [one for one in types if one.startswith("key.")] == BY_HAND
    # With the password itself it opens as before: a kit that somebody kept is attested, not gone.
    listing = subprocess.run(
        [find_binary().path, "-r", site.primary, "--no-lock", "--no-cache", "snapshots", "--json"],
        env={**site.env, "RESTIC_PASSWORD": password.reveal()},
        capture_output=True,
        check=True,
    )
    assert len(json.loads(listing.stdout)) == 3


def certified(site: LabSite, number: str) -> None:
    folder = site.state / "certificates"
    assert site.ask("certificate", "verify", folder / f"{number}.pdf")["verdict"] == "valid"
    act = json.loads((folder / f"{number}.json").read_text())["act"]
    assert act["method"] is None
    assert act["confirmed_at"] is not None
    assert act["technique"] == "destruction of a repository's password"
    assert [one["part"] for one in act["persons"]] == [
        "requested",
        "approved",
        "performed",
        "verified",
        "validated",
    ]
    answers = {one["statement"]: one["answer"] for one in act["preconditions"]}
    assert answers["No stored keyring holds a wrap that a key file of this site opens."] == "yes"
    assert answers["No copy of the password is where no program looks."] == "unknown"
    said = " ".join(act["escrow"])
    assert "attested by P. Rivacy" in said
    assert said.count("OPEN") == 3
    assert sum("which is open" in one for one in act["not_claimed"]) == 3
    assert [one["where"] for one in act["residual"]] == ["disk"]
    tests = act["negative_tests"]
    assert any("password of repository films: refused" in one for one in tests)
    assert any("key file: refused" in one for one in tests if one.startswith("state "))
    assert not any("opened" in one for one in tests)
