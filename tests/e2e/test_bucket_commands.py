"""The bucket's commands against a real Object Lock server."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions import bucket
from orchestrator.catalog import buckets
from tests.support.clock import ShiftedClock
from tests.support.object_lock import new_vault, s3, settings_for
from tests.support.site import STORE, LabSite, MakeSite, kill_group, wait_for


def held(site: LabSite) -> list[dict[str, Any]]:
    return site.rows("SELECT * FROM copy_file WHERE copy = 'vault' AND state = 'good'")


def use(site: LabSite, server: ObjectLockServer, name: str, user: str = "writer") -> None:
    """Let the site use another bucket, as another user."""
    keys = server.credentials[user]
    site.env.update(VAULT_ACCESS_KEY=keys["access_key"], VAULT_SECRET_KEY=keys["secret_key"])
    site.write(vault=settings_for(server, name))


def findings(site: LabSite) -> list[tuple[str, str]]:
    done = site.run("doctor", expect=None).document
    return [(one["state"], one["detail"]) for one in done["checks"] if "vault" in one["name"]]


def test_bucket_is_created_with_its_lock_and_one_without_is_refused(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    use(site, object_lock_server, "made-by-command", "admin")
    assert ("fail", "the bucket does not exist") in findings(site)
    assert site.ask("bucket", "create", "vault")["lock_enabled"]
    assert site.ask("bucket", "create", "vault")["lock_enabled"]
    with s3(object_lock_server, "admin") as client:
        answer = client.get_object_lock_configuration(Bucket="made-by-command")
    assert answer["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"

    plain = new_vault(object_lock_server, lock=False, policy=False).bucket
    use(site, object_lock_server, plain, "admin")
    assert "Object Lock" in site.run("bucket", "create", "vault", expect=5).error["message"]
    found = findings(site)
    assert ("fail", "versioning is off") in found
    assert any(state == "fail" and "Object Lock is off" in detail for state, detail in found)


def test_probe_says_held_breached_or_inconclusive_and_doctor_repeats_it(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    assert site.ask("bucket", "probe", "vault")["verdict"] == "held"
    assert any(state == "ok" and detail.startswith("held") for state, detail in findings(site))

    site.write(endpoint="http://127.0.0.1:9")
    assert site.ask("bucket", "probe", "vault", expect=3)["verdict"] == "inconclusive"
    site.write(endpoint=None)

    unlocked = new_vault(object_lock_server, lock=False, versioning=True, policy=False).bucket
    use(site, object_lock_server, unlocked)
    probe = site.ask("bucket", "probe", "vault", expect=4)
    assert probe["verdict"] == "breached"
    assert any(state == "fail" and "breached" in detail for state, detail in findings(site))

    careless = new_vault(object_lock_server, policy=False).bucket
    use(site, object_lock_server, careless)
    probe = site.ask("bucket", "probe", "vault", expect=4)
    broken = {one["action"] for one in probe["attempts"] if one["ok"] is False}
    assert "writer: remove the bucket's lock configuration" in broken


def test_default_retention_that_differs_from_the_lock_period_is_told(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    assert site.values.vault is not None
    for days, word in ((400, "longer"), (3, "shorter")):
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}}
        with s3(object_lock_server, "admin") as client:
            client.put_object_lock_configuration(
                Bucket=site.values.vault.bucket,
                ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
            )
        assert any(state == "warn" and word in detail for state, detail in findings(site))


def test_coverage_is_what_the_server_holds_and_extension_comes_only_when_due(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    site.ask("backup")
    rows = held(site)
    covered = site.ask("bucket", "coverage", "vault")
    on_server = ends(site, object_lock_server)
    assert len(on_server) == len(rows) == covered["files"]
    assert at(covered["protected_until"]) == min(on_server.values())
    assert covered["requests"] == 5  # one listing for each kind of file

    fresh = site.ask("bucket", "extend", "vault")
    assert (fresh["verdict"], fresh["extended"], fresh["requests"]) == ("fresh", 0, 0)
    assert ends(site, object_lock_server) == on_server

    with site.opened(ShiftedClock(timedelta(days=20))) as opened:
        _, (result,) = bucket.extend(opened, "vault", [STORE])
        with opened.catalog.reading() as session:
            assert buckets.last_coverage(session, "vault") is not None
    assert (result.verdict, result.extended) == ("extended", len(rows))
    assert result.requests == 5 + 2 * len(rows)  # list; lengthen and read back each
    longer = ends(site, object_lock_server)
    assert set(longer) == set(on_server)  # by version id: nothing was put anew
    assert all(longer[one] >= on_server[one] + timedelta(days=19) for one in longer)

    key = next(key for key, _ in longer if "/data/" in key)
    with s3(object_lock_server, "admin") as client:
        client.put_object(Bucket=site.values.vault.bucket, Key=key, Body=b"noise")  # type: ignore[union-attr]
    stained = site.ask("bucket", "coverage", "vault", expect=4)
    assert stained["stores"][0]["suspicious"] == 1
    assert site.copies()["vault"]["state"] == "damaged"
    site.ask("bucket", "extend", "vault")  # nothing due: it looked at nothing and says nothing
    assert site.copies()["vault"]["state"] == "damaged"


def test_extension_that_was_killed_goes_on_where_it_was(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    site.ask("backup")
    count = len(held(site))
    before = ends(site, object_lock_server)
    site.write(more="[targets]\nextend_below = 0.999999\n")
    time.sleep(4)  # a millionth of 35 days is 3 seconds: before that no lock is due
    process = site.start("bucket", "extend", "vault", warm=True)
    wait_for(lambda: ends(site, object_lock_server) != before, pause_s=0)
    kill_group(process)
    left = ends(site, object_lock_server)
    untouched = sum(left[one] == before[one] for one in before)
    again = site.ask("bucket", "extend", "vault")
    # None is forgotten; a fast machine may have extended all of them before the kill came.
    assert untouched <= again["extended"] <= count
    assert again["failed"] == 0
    after = ends(site, object_lock_server)
    assert set(after) == set(before)
    assert all(after[one] > before[one] for one in before)
    assert site.ask("bucket", "coverage", "vault")["verdict"] == "covered"
    first, second = (run["outcome"] for run in site.runs("extend"))
    assert first in ("interrupted", "succeeded")
    assert second == "succeeded"


def test_extension_that_is_refused_says_why(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    site.ask("backup")
    assert site.values.vault is not None
    name = site.values.vault.bucket
    with s3(object_lock_server, "admin") as client:
        document = json.loads(client.get_bucket_policy(Bucket=name)["Policy"])
        document["Statement"].append(
            {
                "Effect": "Deny",
                "Principal": {"AWS": [object_lock_server.credentials["writer"]["arn"]]},
                "Action": ["s3:PutObjectRetention"],
                "Resource": [f"arn:aws:s3:::{name}/*"],
            }
        )
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(document))
    with site.opened(ShiftedClock(timedelta(days=20))) as opened:
        _, (result,) = bucket.extend(opened, "vault", [STORE])
    assert (result.verdict, result.extended) == ("failed", 0)
    (run,) = site.runs("extend")
    assert run["outcome"] == "partial"
    assert "locks could not be extended: copy vault" in run["reason"]


def ends(site: LabSite, server: ObjectLockServer) -> dict[tuple[str, str], datetime]:
    """Ask the server, past the product, until when each version is locked."""
    vault = site.values.vault
    assert vault is not None
    with s3(server, "admin") as client:
        listed = client.list_object_versions(Bucket=vault.bucket, Prefix=f"{STORE}/")
        return {
            (one["Key"], one["VersionId"]): client.head_object(
                Bucket=vault.bucket, Key=one["Key"], VersionId=one["VersionId"]
            )["ObjectLockRetainUntilDate"].astimezone(UTC)
            for one in listed["Versions"]
        }


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
