"""The commands that a recovery kit prints, run by a shell with nothing but restic."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.keys.keyring import Keyring
from orchestrator.keys.kit import load_kit, write_kit
from orchestrator.keys.kit_contents import KitContents, KitCopy, KitRepository
from tests.support.restic import binaries


@pytest.fixture(scope="module", params=["oldest", "current"])
def path(request, tmp_path_factory) -> str:
    """A search path on which ``restic`` is the wanted one."""
    tools = tmp_path_factory.mktemp("bin")
    (tools / "restic").symlink_to(binaries()[request.param].path)
    return f"{tools}:{os.environ['PATH']}"


def shell(script: str, cwd: Path, path: str, password: str) -> str:
    # A person types the password at the prompt; a test has no terminal.
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=cwd,
        env={"PATH": path, "HOME": str(cwd), "RESTIC_PASSWORD": password, "TZ": "UTC"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(kit: str) -> list[str]:
    """Return the kit's commands for its first copy, continuation lines joined."""
    joined = kit.replace("\\\n", "")
    return [line for line in joined.splitlines() if re.match(r"restic -r|mkdir|umask|echo", line)]


def newest(listing: str) -> str:
    return re.findall(r"^([0-9a-f]{8}) ", listing, re.MULTILINE)[-1]


def test_a_kit_alone_brings_back_images_and_site(tmp_path, path):
    keys = tmp_path / "state" / "keys"
    keyring = Keyring.create(keys / "keyring.json", keys / "site.key")
    keyring.add_repository("xrays")
    password = keyring.password("xrays").reveal()

    repository = tmp_path / "copy of all" / "xrays"
    images = tmp_path / "images"
    images.mkdir()
    (images / "one.dcm").write_bytes(os.urandom(5000))
    state = io.BytesIO()
    with tarfile.open(fileobj=state, mode="w") as archive:
        archive.add(keys / "keyring.json", "keyring.json")
    (tmp_path / "in.tar").write_bytes(state.getvalue())
    here = f"restic -r '{repository}' --no-cache"
    made = shell(
        f"{here} init && {here} backup --tag data images && "
        f"{here} backup --stdin --stdin-filename state.tar --tag state < in.tar",
        tmp_path,
        path,
        password,
    )
    repository_id = re.search(r"created restic repository ([0-9a-f]+)", made)[1]

    files = write_kit(
        tmp_path / "kit",
        KitContents(
            site="Elm Street Dental",
            made_at=datetime(2026, 11, 22, tzinfo=UTC),
            version="0.1.0",
            keyring_id=keyring.id,
            site_key=keyring.site_key(),
            repositories=(
                KitRepository(
                    "xrays", "xrays", repository_id.ljust(64, "0"), keyring.password("xrays")
                ),
            ),
            copies=(KitCopy("disk", "local", "Here.", {"xrays": str(repository)}),),
        ),
    )

    other = tmp_path / "another computer"
    other.mkdir()
    kit = load_kit(files.text)
    typed = kit.repositories[0].password.reveal()
    listing, restore, list_state, dump, *rest = commands(files.text.read_text())
    snapshot = newest(shell(listing, other, path, typed))
    shell(restore.replace(" ID ", f" {snapshot} "), other, path, typed)
    restored = list((other / "restored-xrays").rglob("one.dcm"))
    assert [one.read_bytes() for one in restored] == [(images / "one.dcm").read_bytes()]

    snapshot = newest(shell(list_state, other, path, typed))
    shell(dump.replace(" ID ", f" {snapshot} "), other, path, typed)
    assert len(rest) == 3
    for line in rest:
        shell(f"umask 077; {line}", other, path, typed)
    again = Keyring.open(other / "state/keys/keyring.json", other / "state/keys/site.key")
    assert again.password("xrays") == keyring.password("xrays")
    assert again.catalog_key() == keyring.catalog_key()
    # Nothing was written to the copy, not even a lock.
    assert not any((repository / "locks").iterdir())
