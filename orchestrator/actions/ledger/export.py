"""Taking the ledger out of the house: as a table, as lines, or whole for an auditor."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.listing import EVERYTHING, Wanted, select
from orchestrator.actions.ledger.opening import closed_path
from orchestrator.actions.ledger.vouchers import stamp_path
from orchestrator.actions.site import Site
from orchestrator.catalog import ledger as rows
from orchestrator.errors import EngineError, UsageError

if TYPE_CHECKING:
    from orchestrator.ledger.reader import Reader

Format = Literal["csv", "jsonl", "bundle"]

_LARGEST_PAPER = 1 << 26


def export(
    site: Site, to: Path, *, kind: Format, wanted: Wanted = EVERYTHING
) -> tuple[Reader, int]:
    """Write an export to a new file.

    Args:
        site: The site.
        to: The file; it must not exist.
        kind: `csv` for a spreadsheet, `jsonl` for programs, `bundle` for an auditor.
        wanted: Which entries; a bundle is always whole, or it could hide something.

    Returns:
        The ledger as it was exported, and how many entries the file has.

    Raises:
        UsageError: The file exists, or a part of a bundle was asked for.
        DamageError: The ledger cannot be read.
        EngineError: The disk refuses.
    """
    reader = site.ledger.reader()
    if kind == "bundle":
        if wanted != EVERYTHING:
            raise UsageError(
                "a bundle is always whole: a part could not show that nothing is missing",
                hint="leave the filters out, or choose --format csv or jsonl",
            )
        _write_bundle(site, to, reader)
        return reader, reader.checkpoint.size
    from orchestrator.ledger.formats import csv_lines, json_lines

    found = ((one.index, one.entry, one.data) for one in select(site, reader, wanted))
    lines = enumerate((csv_lines if kind == "csv" else json_lines)(found))
    counted = 0
    with new_file(to) as out:
        for number, line in lines:
            out.write(line)
            counted = number + (kind == "jsonl")
    return reader, counted


@contextmanager
def new_file(to: Path) -> Iterator[BinaryIO]:
    """Write a private file that is whole or not there: half an export would look like one.

    Raises:
        UsageError: It exists, or its folder does not.
        EngineError: The disk refuses.
    """
    part = to.with_name(f".{to.name}.partial")
    if to.exists():
        raise UsageError(f"{to} exists already", hint="choose another name")
    try:
        with part.open("wb") as out:
            part.chmod(0o600)
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.rename(to)
    except FileNotFoundError:
        raise UsageError(f"{to}: there is no such folder") from None
    except OSError as error:
        raise EngineError(
            f"{to} cannot be written: {(error.strerror or 'error').lower()}"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _write_bundle(site: Site, to: Path, reader: Reader) -> None:
    from orchestrator.ledger.bundle import About, write_bundle
    from orchestrator.ledger.export import kept_sizes, log_files

    ledger = site.ledger
    stamped = tuple(
        size
        for size in kept_sizes(ledger.folder)
        if size <= reader.checkpoint.size and stamp_path(site, ledger.number, size).is_file()
    )
    write_bundle(
        to,
        About(site.config.name, ledger.verifier.vkey, reader, stamped),
        log=log_files(ledger.folder, ledger.verifier, reader=reader),
        beside=_beside(site, reader, stamped),
    )
    to.chmod(0o600)


def _beside(site: Site, reader: Reader, stamped: tuple[int, ...]) -> Iterator[tuple[str, bytes]]:
    yield from _papers(site, reader)
    for size in stamped:
        yield f"timestamps/{size}.tsr", stamp_path(site, site.ledger.number, size).read_bytes()
    authority = site.config.ledger.timestamp_ca
    if stamped and authority is not None:
        yield "timestamps/authority.pem", authority.read_bytes()
    yield from _closed(site)


def _papers(site: Site, reader: Reader) -> Iterator[tuple[str, bytes]]:
    """Yield the certificates and evidence that entries name by their hash, and no others."""
    named: set[str] = set()
    for stored in reader.entries():
        entry = mirror.parsed(stored.index, stored.data)
        named.update(value.removeprefix("sha256:") for value in entry.evidence.values())
    for folder in ("certificates", "evidence"):
        root = site.state_dir / folder
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if not path.is_file() or path.stat().st_size > _LARGEST_PAPER:
                continue
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() in named:
                yield f"{folder}/{path.relative_to(root).as_posix()}", data


def _closed(site: Site) -> Iterator[tuple[str, bytes]]:
    """Yield the files of earlier ledgers.

    As they lie there: a ledger that was given up may be damaged, and that is evidence too.
    """
    with site.catalog.reading() as session:
        known = rows.every(session)
    for row in known:
        folder = closed_path(site.state_dir, row.number)
        if row.number != site.ledger.number and folder.is_dir():
            yield from _as_it_is(folder, f"closed/{row.number}/")


def _as_it_is(folder: Path, base: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield base + path.relative_to(folder).as_posix(), path.read_bytes()
