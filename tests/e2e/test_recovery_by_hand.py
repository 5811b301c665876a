"""Recovery without us: the commands of the documentation and of a printed kit, and nothing else.

The shell that runs them has an empty home and a search path on which the product is not to be
found; it knows what the page, the kit and the person with the credentials know.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.keys.keyring import Keyring
from tests.e2e.test_attack import Attacker
from tests.support.object_lock import new_vault, object_lock_server_tls, s3, shipped_policy
from tests.support.restic import binaries, tree
from tests.support.site import STORE, LabSite, MakeSite

__all__ = ["object_lock_server_tls"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recovery.md"
PLACEHOLDER = re.compile(
    r"(?<![\w$])(REPOSITORY|OPTIONS|ID|TIME|ENDPOINT|REGION|BUCKET|PREFIX|STORE|PATH|MOUNT_POINT|KEY"
    r"|SHA256|PRIMARY)(?!\w)"
)


@dataclass
class BareMachine:
    """A machine with Debian's tools, restic, an empty home, and a credential that may read."""

    home: Path
    env: dict[str, str]

    def run(self, script: str, *, stdin: str = "", as_user: Mapping[str, str] | None = None) -> str:
        """Run lines in one shell, which stops at the first that fails; returns what it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.home,
            env=self.env | dict(as_user or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def bare_machine(tmp_path: Path) -> BareMachine:
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    (tools / "restic").symlink_to(binaries()["current"].path)
    env = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home), "TZ": "UTC"}
    assert shutil.which("orchestrator", path=env["PATH"]) is None
    return BareMachine(home, env)


@pytest.fixture
def site(make_site: MakeSite, object_lock_server_tls: ObjectLockServer) -> LabSite:
    """A site with a copy of each role, the bucket behind a certificate of its own."""
    made = make_site(medium=True)
    server = object_lock_server_tls
    made.write(vault=new_vault(server))
    text = made.file.read_text(encoding="utf-8")
    certificate = f'ca_file = "{server.ca_file}"\nlock_period'
    made.file.write_text(text.replace("lock_period", certificate), encoding="utf-8")
    for role, user in (("VAULT", "writer"), ("SWEEP", "admin")):
        made.env[f"{role}_ACCESS_KEY"] = server.credentials[user]["access_key"]
        made.env[f"{role}_SECRET_KEY"] = server.credentials[user]["secret_key"]
    (made.images / "large.dcm").write_bytes(random.Random(2).randbytes(300_000))
    made.ask("backup")
    return made


def blocks(section: str) -> list[str]:
    """Return the shell blocks of one section of the page, without those of its subsections."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(section)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)
    assert found is not None, section
    return re.findall(r"^```sh\n(.*?)^```$", found[1], re.M | re.S)


def filled(block: str, **values: str) -> str:
    """Put a person's values in place of the words in capitals; none may be left over."""
    if not values.get("PREFIX"):
        block = re.sub(r"(?<!\w)PREFIX/", "", block)
    return PLACEHOLDER.sub(lambda match: values[match[1]], block)


def newest(listing: str) -> str:
    """Return the id that stands last in what ``restic snapshots`` shows."""
    return re.findall(r"^([0-9a-f]{8}) ", listing, re.M)[-1]


def restored(machine: BareMachine, lines: str, folder: str) -> dict[bytes, bytes | None]:
    """Run lines that end in listing snapshots and restoring one; returns what came back."""
    setting, listing, restore = re.split(r"^(?=restic -r)", lines, flags=re.M)
    shown = machine.run(setting + listing)
    machine.run(setting + re.sub(r"\bID\b", newest(shown), restore))
    found = tree(machine.home / folder)
    shutil.rmtree(machine.home / folder)
    return found


def kit_of(site: LabSite) -> str:
    """Let the product print a kit, and return its text."""
    site.run("--as", "it", "key", "kit", "--to", site.folder / "kit")
    return (site.folder / "kit" / "recovery-kit.txt").read_text(encoding="utf-8")


def kit_section(kit: str, copy: str, until: str) -> str:
    """Return a copy's lines in the kit, from the one that names it, prose left out."""
    found = re.search(rf"^{copy}: .*?(?=^{until})", kit, re.M | re.S)
    assert found is not None, copy
    text = found[0].replace("\\\n", "")
    return "\n".join(line for line in text.splitlines()[1:] if not line.startswith("    "))


def from_kit(kit: str, copy: str) -> tuple[str, str]:
    """Return a copy's lines in a kit, and those for a bucket that was attacked; no prose."""
    found = re.search(rf"^{copy}: .*?(?=^(?:[a-z]+: |To bring back))", kit, re.M | re.S)
    assert found is not None, copy
    text = found[0].replace("\\\n", "")
    lines = "\n".join(line for line in text.splitlines()[1:] if not line.startswith("    "))
    plain, _, hidden = lines.partition("rclone version")
    return plain, f"rclone version{hidden}" if hidden else ""


def typed(keys: Mapping[str, str], lines: str) -> str:
    """Fill in the two keys that a kit leaves open."""
    for key in keys.values():
        lines = lines.replace("'FILL IN'", key, 1)
    return lines


def secret_of(kit: str) -> dict[str, str]:
    """Return what a person types where restic asks for the password."""
    found = re.search(r"^    password   (\S+)$", kit, re.M)
    assert found is not None
    return {"RESTIC_PASSWORD": found[1]}


def reader_of(server: ObjectLockServer, user: str = "reader") -> dict[str, str]:
    keys = server.credentials[user]
    return {"AWS_ACCESS_KEY_ID": keys["access_key"], "AWS_SECRET_ACCESS_KEY": keys["secret_key"]}


def test_each_copy_comes_back_from_the_text_of_the_page_and_of_the_kit_alone(
    site: LabSite, object_lock_server_tls: ObjectLockServer, bare_machine: BareMachine
) -> None:
    assert site.medium is not None
    assert site.values.vault is not None
    images, kit = tree(site.images), kit_of(site)
    keys = reader_of(object_lock_server_tls)
    bare_machine.env |= secret_of(kit)
    mounted = str(site.medium.mount_point)

    for copy in ("disk", "rotation", "vault"):
        lines, _ = from_kit(kit, copy)
        lines = typed(keys, lines.replace("/mnt/", f"{mounted}/"))
        assert restored(bare_machine, lines, f"restored-{STORE}") == images, copy

    (block,) = blocks("Any copy, with plain restic")
    places = {
        "PATH": str(site.primary.parent),
        "STORE": STORE,
        "MOUNT_POINT": mounted,
        "ENDPOINT": site.values.vault.endpoint,
        "BUCKET": site.values.vault.bucket,
        "REGION": "us-east-1",
    }
    shutil.copy(str(object_lock_server_tls.ca_file), bare_machine.home / "ca.pem")
    rows = re.findall(r"^\| (local|offline|immutable) \| (.*) \|$", PAGE.read_text(), re.M)
    assert [role for role, _ in rows] == ["local", "offline", "immutable"]
    bare_machine.env |= keys
    for role, cell in rows:
        place, *options = (filled(code, **places) for code in re.findall("`([^`]+)`", cell))
        words = {"REPOSITORY": place, "OPTIONS": " ".join(options), "ID": "ID"}
        assert restored(bare_machine, filled(block, **words), "restored") == images, role

    # The product's own state: site file and keyring, opened by the key that the kit prints.
    state = kit.split("To bring back the orchestrator itself")[1].replace("\\\n", "")
    lines = "\n".join(
        line for line in state.splitlines() if re.match("restic|mkdir|umask|echo", line)
    )
    listing, _, dump = lines.replace("/mnt/", f"{mounted}/").partition("\n")
    found = newest(bare_machine.run(listing))
    bare_machine.run(re.sub(r"\bID\b", found, dump))
    assert (bare_machine.home / "recovered/site.toml").read_bytes() == site.file.read_bytes()
    folder = bare_machine.home / "state/keys"
    keyring = Keyring.open(folder / "keyring.json", folder / "site.key")
    assert keyring.password(STORE).reveal() == bare_machine.env["RESTIC_PASSWORD"]


def test_an_attacked_bucket_comes_back_with_public_tools_and_can_be_cleaned(
    site: LabSite, object_lock_server_tls: ObjectLockServer, bare_machine: BareMachine
) -> None:
    assert site.values.vault is not None
    server, bucket, home = object_lock_server_tls, site.values.vault.bucket, bare_machine.home
    images, kit = tree(site.images), kit_of(site)
    bare_machine.env |= secret_of(kit)
    attacker = Attacker(site, server)
    before = f"{attacker.strike():%Y-%m-%dT%H:%M:%SZ}"
    with s3(server, "admin") as client:  # what the practice does next: the shipped policies
        policy = json.dumps(shipped_policy(server, bucket))
        client.put_bucket_policy(Bucket=bucket, Policy=policy)
    plain, hidden = from_kit(kit, "vault")
    setting = typed(reader_of(server), plain.partition("# images")[0])
    lines = setting + hidden.replace("TIME", before)
    assert restored(bare_machine, lines, f"restored-{STORE}") == images
    said = bare_machine.run(lines.partition("# images")[0])
    assert not re.search("^(data|index|keys|snapshots)/", said, re.M), "all are what they must be"

    bare_machine.env |= reader_of(server)
    bare_machine.env |= {
        "RCLONE_CA_CERT": str(server.ca_file),
        "CURL_CA_BUNDLE": str(server.ca_file),
    }
    places = {
        "ENDPOINT": site.values.vault.endpoint,
        "BUCKET": bucket,
        "REGION": "us-east-1",
        "STORE": STORE,
        "TIME": before,
        "ID": "ID",
    }
    copy, compare, commands, heal, restore = blocks("The same with public tools")
    said = bare_machine.run(filled(copy + compare, **places))
    config = re.search(r"^    config     ([0-9a-f]{64})$", kit, re.M)
    assert config is not None
    assert said.splitlines() == [f"{config[1]}  config"], "at this instant every file was right"

    # Packs and config as an instant too late would have given them: overwritten, or hidden.
    there = home / "recovered"
    packs = sorted((there / "data").glob("*/*"))
    assert len(packs) >= 2
    (there / "config").write_bytes(b"forged")
    for number, pack in enumerate(packs):
        pack.write_bytes(b"forged") if number % 2 else pack.unlink()
    said = bare_machine.run(compare)
    names = sorted(re.findall("^data/.*$", said, re.M))
    assert names == [str(pack.relative_to(there)) for pack in packs[1::2]]
    assert f"{config[1]}  config" not in said
    fetch = filled(commands, **places) + "cd recovered\n"
    heals = [filled(heal, KEY="config", SHA256=config[1])]
    heals += [filled(heal, KEY=name, SHA256=Path(name).name) for name in names]
    bare_machine.run(fetch + "".join(heals))
    said = bare_machine.run("restic -r recovered --no-cache check 2>&1 || true")
    missing = {pack.name: str(pack.relative_to(there)) for pack in packs[0::2]}
    assert missing.keys() <= set(re.findall("[0-9a-f]{64}", said)), said
    heals = [filled(heal, KEY=name, SHA256=pack) for pack, name in missing.items()]
    bare_machine.run(fetch + "".join(heals))
    check, *rest = filled(restore, **places).splitlines(keepends=True)
    bare_machine.run(f"cd recovered\n{check}")
    assert restored(bare_machine, "cd recovered\n" + "".join(rest), "restored") == images

    # One file of the bucket is cleaned, by whoever may remove versions.
    (clean,) = blocks("Cleaning the bucket")
    name = str(packs[0].relative_to(there))
    places |= {"KEY": name, "SHA256": packs[0].name}
    bare_machine.run(filled(commands + clean, **places), as_user=reader_of(server, "admin"))
    with s3(server, "admin") as client:
        found = client.list_object_versions(Bucket=bucket, Prefix=f"{STORE}/{name}")
        assert "DeleteMarkers" not in found
        (kept,) = found["Versions"]
        body = client.get_object(Bucket=bucket, Key=kept["Key"])["Body"].read()
    assert hashlib.sha256(body).hexdigest() == packs[0].name
