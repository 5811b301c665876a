"""Several processes on one catalog, and processes that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deploy.lab.postgres_server import PostgresServer
from orchestrator.catalog import files, slots
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.tables import File
from tests.integration.catalog.conftest import Opener
from tests.support.catalog_rows import image, study_date
from tests.support.postgres import CatalogUrl

ROOT = Path(__file__).parents[3]


@contextmanager
def child(url: CatalogUrl, do: str, **order: Any) -> Iterator[subprocess.Popen[str]]:
    """A second process with the catalog open; it begins when a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.catalog.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            line = json.dumps({"url": url.url, "password": url.password, "do": do, **order})
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_of_two_processes_one_gets_each_slot(catalog_url: CatalogUrl, catalog: Catalog) -> None:
    with (
        child(catalog_url, "claim", slots=60, name="a") as a,
        child(catalog_url, "claim", slots=60, name="b") as b,
    ):
        go(a)
        go(b)
        won_a, won_b = set(json.loads(read(a))), set(json.loads(read(b)))
    assert not won_a & won_b
    assert won_a | won_b == {f"{n:04d}" for n in range(60)}
    with catalog.reading() as session:
        last = slots.last_slot(session, "nightly")
        assert last is not None
        assert (last.slot, last.run_id) == ("0059", "a" if "0059" in won_a else "b")


def file_count(catalog: Catalog) -> int:
    with catalog.reading() as session:
        return files.count(session, "xrays")


def test_a_kill_in_a_transaction_leaves_the_old_state(
    catalog_url: CatalogUrl, catalog: Catalog, opener: Opener
) -> None:
    with catalog.transaction() as session:
        files.apply_changes(
            session,
            "xrays",
            run_id="first",
            changed=[image(1, n) for n in range(10)],
            gone=[],
            keys=catalog.keys,
            study_date=study_date,
        )
    catalog.dispose()
    with child(catalog_url, "stall") as process:
        go(process)
        assert read(process) == "half-way\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    again = opener(catalog_url)
    assert again.find_damage() == []
    assert file_count(again) == 10
    with again.transaction() as session:
        runs = session.connection().execute(sa.select(File.since_run).distinct()).scalars().all()
        assert runs == ["first"]
        files.apply_changes(
            session,
            "xrays",
            run_id="next",
            changed=[image(2, n) for n in range(10)],
            gone=[],
            keys=again.keys,
            study_date=study_date,
        )
    assert file_count(again) == 20


def test_kills_at_any_moment_lose_nothing_committed(
    catalog_url: CatalogUrl, catalog: Catalog, opener: Opener
) -> None:
    """What a process said it had committed is there; the rest is whole or absent."""
    seed = 20260304
    print(f"seed {seed}")
    pause = random.Random(seed)
    committed = 0
    for _ in range(3):
        catalog.dispose()
        with child(catalog_url, "churn", first=committed) as process:
            go(process)
            said = int(read(process)) + 1  # at least one transaction stands
            time.sleep(pause.uniform(0.01, 0.12))
            process.kill()
            said += sum(1 for _ in process.stdout or ())
            process.wait()
        catalog = opener(catalog_url)
        deadline = time.monotonic() + 60
        count = file_count(catalog)  # a server may still be ending the dead session's commit
        while count % 100 and time.monotonic() < deadline:
            count = file_count(catalog)
        assert count % 100 == 0
        assert said * 100 <= count <= (said + 1) * 100
        assert catalog.find_damage() == []
        committed = count // 100


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lab_server_dies_with_the_tests(how: signal.Signals) -> None:
    """Also when they are killed and can clean up nothing."""
    script = (
        "from deploy.lab.postgres_server import PostgresServer\n"
        "server = PostgresServer().start()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        pid, folder = read(process).split()
        process.send_signal(how)
        process.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    subprocess.run(["rm", "-rf", folder], check=True)


def test_the_lab_server_leaves_nothing() -> None:
    with PostgresServer() as server:
        pid, folder = server.pid, server.folder
        assert folder.exists()
    assert server.pid is None
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
