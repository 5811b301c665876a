"""A bucket behind a bad network, a server that fails, credentials and clocks that are wrong."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions.backup import back_up
from orchestrator.actions.rotate import rotate
from orchestrator.actions.site import Site
from orchestrator.clock import SystemClock
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.errors import RefusedError
from tests.support.faulty_network import Answer, Cut, Fault, FaultyNetwork, Seen, Silence, Unlock
from tests.support.site import STORE, LabSite, MakeSite

SKEW = dt.timedelta(hours=1)


@contextmanager
def _through(site: LabSite, server: ObjectLockServer) -> Iterator[FaultyNetwork]:
    with FaultyNetwork(server.endpoint) as network:
        site.write(endpoint=network.endpoint)
        yield network


def _after(count: int, fault: Fault) -> Callable[[Seen], Fault | None]:
    """Let so many uploads through, then nothing."""
    uploads = itertools.count(1)
    over: list[bool] = []

    def script(seen: Seen) -> Fault | None:
        if seen.method == "PUT" and next(uploads) > count:
            over.append(True)
        return fault if over else None

    return script


def _skewed(server: ObjectLockServer, monkeypatch: pytest.MonkeyPatch) -> Unlock:
    """Sign every request again with a clock that is an hour behind: the real server refuses."""
    keys = server.credentials["writer"]
    signer = S3SigV4Auth(Credentials(keys["access_key"], keys["secret_key"]), "s3", "us-east-1")
    before = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *args, **more: before(*args, **more) - SKEW
    )

    def sign(method: str, path: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        dropped = ("authorization", "x-amz-date", "x-amz-content-sha256")
        kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
        url = f"http://{headers['Host']}{path}"
        request = AWSRequest(method=method, url=url, data=body, headers=kept)
        signer.add_auth(request)
        return dict(request.headers.items())

    return Unlock(sign)


def _back_up_badly(site: LabSite, words: str) -> dict[str, Any]:
    """A new image, and a backup whose bucket fails: all else is done, and nothing is hidden."""
    (site.images / f"new-{time.monotonic_ns()}.dcm").write_bytes(os.urandom(30_000))
    done = site.run("backup", expect=3).document["stores"][0]
    disk, vault = done["copies"]
    assert disk["state"] == "proven"
    assert words in vault["error"], vault
    assert vault["state"] not in ("proven", "present")
    row = site.runs("backup")[-1]
    assert (row["outcome"], words in row["reason"]) == ("partial", True)
    stand = site.ask("status")["stores"][0]
    assert stand["verdict"] != "met"
    assert stand["copies"][1]["counts"] is False
    secrets = [value for name, value in site.env.items() if "KEY" in name]
    assert not any(secret in str(row) for secret in secrets)
    return dict(vault)


@pytest.mark.slow
def test_failing_bucket_is_said_and_made_up_for(
    make_site: MakeSite, object_lock_server: ObjectLockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(vault=True)
    site.ask("backup")
    with _through(site, object_lock_server) as network:
        faults: list[tuple[Callable[[Seen], Fault | None], str]] = [
            (lambda seen: Answer(500, "InternalError"), "HTTP 500"),
            (_after(2, Answer(403, "AccessDenied")), "access refused"),
            (_after(1, Answer(400, "ExpiredToken")), "expired"),
            (lambda seen: _skewed(object_lock_server, monkeypatch), "clocks differ"),
        ]
        for script, words in faults:
            network.script = script
            _back_up_badly(site, words)
            monkeypatch.undo()
            network.script = lambda seen: None
            (found,) = site.ask("check", "vault")["copies"]
            assert (found["structure"], found["damaged"]) == ("sound", []), "valid at every instant"
        (sent,) = site.ask("replicate", "vault")["copies"]
        assert sent["state"] == "proven"
        site.run("check", "vault")


def test_unreachable_bucket_and_wrong_key_are_told_apart(make_site: MakeSite) -> None:
    site = make_site(vault=True)
    site.ask("backup")
    right = dict(site.env)

    site.write(endpoint="http://127.0.0.1:1", lock_period="100d")  # locks are due, too
    _back_up_badly(site, "cannot be reached")
    assert site.run("check", "vault", expect=1).error["error"] == "UnreachableError"
    assert site.run("bucket", "extend", "vault", expect=1).error["error"] == "UnreachableError"
    assert site.runs("extend")[-1]["outcome"] == "failed"

    site.write(endpoint=None)
    site.env["VAULT_SECRET_KEY"] = "0" * 40
    _back_up_badly(site, "secret key does not belong")
    assert site.run("check", "vault", expect=12).error["error"] == "CredentialError"
    assert site.run("bucket", "extend", "vault", expect=12).error["hint"]

    site.env = right
    (sent,) = site.ask("replicate", "vault")["copies"]
    assert sent["state"] == "proven"
    site.run("check", "vault")


def test_slow_and_flaky_bucket_is_only_slow(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    numbers = itertools.count()
    asked: set[tuple[str, str]] = set()

    def script(seen: Seen) -> Fault | None:
        time.sleep(0.05)
        if (seen.method, seen.path) in asked:
            return None  # what is asked again is answered: no request is unlucky four times
        asked.add((seen.method, seen.path))
        number = next(numbers)
        if number % 7 == 3:
            return Answer(503, "SlowDown")
        return Cut(100) if number % 7 == 5 and seen.method == "GET" else None

    with _through(site, object_lock_server) as network:
        network.script = script
        copies = site.ask("backup")["stores"][0]["copies"]
        assert [copy["state"] for copy in copies] == ["proven", "proven"]
        (found,) = site.ask("check", "vault")["copies"]
        assert (found["state"], found["structure"]) == ("proven", "sound")


class _Impatient:
    """Opens the site's buckets with time-outs that a test can wait for."""

    def __init__(self, site: Site) -> None:
        self._open = site.bucket

    def __call__(self, name: str) -> Bucket:
        settings = dataclasses.replace(
            self._open(name).settings, read_timeout_s=0.5, connect_timeout_s=0.5, attempts=2
        )
        return Bucket(settings, SystemClock())


def test_silent_bucket_is_given_up_in_time(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> None:
    site = make_site(vault=True)
    site.ask("backup")
    with _through(site, object_lock_server) as network, site.opened() as opened:
        patient = opened.bucket
        opened.bucket = _Impatient(opened)  # type: ignore[method-assign]
        (site.images / "new.dcm").write_bytes(os.urandom(30_000))
        network.script = _after(1, Silence())
        started = time.monotonic()
        (done,) = back_up(opened, [STORE])
        assert time.monotonic() - started < 120  # it did not hang
        assert done.outcome == "partial"
        disk, vault = done.copies
        assert disk.state == "proven"
        assert vault.error is not None
        assert "in time" in vault.error.message
        network.script = lambda seen: None
        opened.bucket = patient  # type: ignore[method-assign]
        (again,) = back_up(opened, [STORE])
        assert (again.outcome, again.copies[1].state) == ("succeeded", "proven")


class _Ahead(SystemClock):
    def now(self) -> dt.datetime:
        return super().now() + SKEW


def test_nothing_is_removed_by_a_clock_the_server_contradicts(make_site: MakeSite) -> None:
    rotation = "[rotation]\nkeep_last = 1\nkeep_daily = 0\nkeep_weekly = 0\nkeep_monthly = 0\n"
    site = make_site(vault=True, more=f"{rotation}keep_yearly = 0\nminimum = 1\n")
    for number in range(2):
        (site.images / f"new{number}.dcm").write_bytes(os.urandom(1000))
        site.ask("backup")
    before = sorted(path.name for path in site.primary.rglob("*"))

    with site.opened(_Ahead()) as opened, pytest.raises(RefusedError, match="clock differs"):
        rotate(opened, [STORE], dry_run=False)

    assert sorted(path.name for path in site.primary.rglob("*")) == before
    assert site.runs("rotate")[-1]["outcome"] == "refused"
