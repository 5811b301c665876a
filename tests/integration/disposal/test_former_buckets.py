"""A bucket that was left: emptied when its locks had ended, or lost with the disks below it."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates.verify import verify
from tests.integration.disposal.conftest import MORE, acting
from tests.integration.disposal.executing import approve_all
from tests.support.due_studies import BATCH, prepare
from tests.support.faulty_network import FaultyNetwork
from tests.support.object_lock import s3
from tests.support.site import STORE, LabSite, MakeSite, wait_for

SOON = MORE.replace('quarantine = "14d"', 'quarantine = "1s"')
LOCK = "8s"


def move(lab: LabSite, *, prefix: str, endpoint: str) -> None:
    """Let the site file name another place for the bucket's copy."""
    lab.write(endpoint=endpoint)
    text = lab.file.read_text(encoding="utf-8")
    line = f'[copies.vault]\nprefix = "{prefix}"\n'
    lab.file.write_text(text.replace("[copies.vault]\n", line), encoding="utf-8")


def open_places(lab: LabSite) -> list[dict[str, Any]]:
    found = lab.ask("place", "list")["places"]
    return [one for one in found if one["state"] in ("former", "close_asked")]


def empty(server: ObjectLockServer, bucket: str, prefix: str) -> None:
    """Remove what lies below a prefix by hand, once no lock of it is in force."""
    with s3(server, "admin") as client:
        found = client.list_object_versions(Bucket=bucket, Prefix=prefix)
        assert not found["IsTruncated"]
        versions = [(one["Key"], one["VersionId"]) for one in found["Versions"]]
        assert len(versions) > 3
        for key, version in versions:
            wait_for(lambda one=(key, version): _removed(client, bucket, *one), pause_s=0.2)


def _removed(client: Any, bucket: str, key: str, version: str) -> bool:
    try:
        client.delete_object(Bucket=bucket, Key=key, VersionId=version)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":  # the lock is in force
            raise
        return False
    return True


@pytest.mark.slow
def test_former_buckets_are_closed_as_emptied_and_as_sanitized_and_end_a_disposal(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    lab = make_site(vault=True, lock_period=LOCK, more=SOON)
    assert lab.values.vault is not None
    bucket, direct = lab.values.vault.bucket, object_lock_server.endpoint
    with FaultyNetwork(direct) as network:
        # The first bucket is at another storage host, which nobody reaches in the end.
        move(lab, prefix="first", endpoint=network.endpoint)
        prepare(lab)
    move(lab, prefix="second", endpoint=direct)
    lab.run("backup")
    approve_all(lab)
    move(lab, prefix="third", endpoint=direct)
    done = lab.ask("--as", "it", "disposal", "execute", BATCH, "--execute")
    assert done["state"] == "residual"
    by_prefix = {one["location"].rpartition(" ")[2]: one["place"] for one in open_places(lab)}
    lost, left = by_prefix["first"], by_prefix["second"]
    waiting = {one["place"]: one for one in done["copies"] if one["state"] == "residual"}
    assert {lost, left} <= set(waiting)
    assert all(f"place close {one}" in waiting[one]["next"] for one in (lost, left))

    # One was emptied: nobody can say so while a version is listed.
    emptied = ("place", "close", left, "--how", "emptied")
    note = ("--note", "emptied by hand after the last lock")
    refused = lab.run("--as", "it", *emptied, *note, expect=5).error["message"]
    assert "versions of repository files are listed there: it is not emptied" in refused
    empty(object_lock_server, bucket, "second/")
    assert lab.ask("--as", "it", *emptied, *note)["state"] == "close_asked"
    assert lab.run("--as", "privacy", *emptied[:-1], "moved", expect=5).error["exit_code"] == 5
    closed = lab.ask("--as", "privacy", *emptied)
    assert (closed["state"], closed["how"]) == ("closed", "emptied")
    assert closed["looked"] == "nothing of a repository is listed there"

    # Of the other the disks were shredded: a person's word, which another one has accepted.
    receipt = lab.folder / "receipt.txt"
    receipt.write_text("one hard disk, SN-1, shredded\n", encoding="utf-8")
    shred = ("sanitize", "record", "--technique", "shred", "--kind", "hdd", "--serial", "SN-1")
    proven = ("--performed-by", "S. Hredder", "--evidence", receipt)
    shredded = lab.ask("--as", "it", *shred, *proven)["sanitization"]
    early = lab.ask("--as", "it", *shred, "--at", "2020-01-02")["sanitization"]
    lab.run("--as", "privacy", "sanitize", "validate", early, "--accept")
    sanitized = ("place", "close", lost, "--how", "sanitized")
    assert "--sanitization ID" in lab.run("--as", "it", *sanitized, expect=2).error["message"]
    lost_host = ("--note", "the storage host is gone, its disks are shredded")
    for name, why in (
        (shredded, "it was not accepted by a second person"),
        (early, "it reached no method; it did not end after the copy was last seen there"),
    ):
        wrong = ("--sanitization", name)
        refused = lab.run("--as", "it", *sanitized, *wrong, *lost_host, expect=5).error
        assert refused["message"].endswith(f"does not show that place {lost} is empty: {why}")
        lab.run(*refused["hint"].split()[1:])
    lab.run("--as", "privacy", "sanitize", "validate", shredded, "--accept")
    by = ("--sanitization", shredded)
    assert lab.ask("--as", "it", *sanitized, *by, *lost_host)["state"] == "close_asked"
    closed = lab.ask("--as", "privacy", *sanitized, *by)
    assert (closed["state"], closed["sanitization"]) == ("closed", shredded)
    assert closed["looked"].startswith("nobody could look")

    wait_for(lambda: lab.ask("bucket", "sweep", "vault")["locked"] == 0, pause_s=0.5)
    lab.run("job", "run", "disposal-settle")
    shown = lab.ask("disposal", "show", BATCH)
    told = {one["place"]: one for one in shown["copies"] if one["place"] is not None}
    assert (shown["state"], {one["state"] for one in told.values()}) == ("complete", {"attested"})
    assert "sanitized" in told[lost]["detail"]
    with acting(lab, "privacy") as site:
        found, record = certify.get(site, str(shown["certificate"]))
        assert verify(site, found.pdf).verdict == "valid"
    copies = {one["copy"]: one for one in record["act"]["copies"]}
    for name in (lost, left):
        former = copies[f"vault, former place {name}"]
        assert (former["basis"], former["proved_at"]) == ("attested", None)
    assert open_places(lab) == []
    assert {one["copy"] for one in shown["copies"] if one["state"] == "absent"} >= {"disk", "vault"}
    assert {one["store"] for one in shown["copies"]} == {STORE}
