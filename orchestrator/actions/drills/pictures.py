"""Taking pictures of disposed studies out of the reports of drills.

A picture on a contact sheet is a copy of an image: it goes with the study. The report is removed
first and written anew last: whoever is cut off leaves no report, never a picture.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection
from pathlib import Path

from orchestrator.actions.drills.report import PICTURES, report_dir, write_report
from orchestrator.actions.site import Site
from orchestrator.catalog import drills
from orchestrator.errors import DamageError, EngineError, NotFoundError


def drop_pictures(site: Site, store: str, studies: Collection[str]) -> int:
    """Remove the pictures of studies of a store from every report that is kept here.

    Args:
        site: The site.
        store: Store name; drills of other stores show other files.
        studies: Pseudonyms.

    Returns:
        How many pictures were removed.

    Raises:
        DamageError: Pictures that are kept cannot be read: whose they are is not known.
        EngineError: The disk refuses.
        LockedError: Another process is writing the report.
        OrchestratorError: The catalog fails.
    """
    removed = 0
    _drop_partial(report_dir(site))
    for path in sorted(report_dir(site).glob(f"*{PICTURES}")):
        removed += _from(site, path, store, frozenset(studies))
    return removed


def _from(site: Site, path: Path, store: str, studies: frozenset[str]) -> int:
    drill = path.name.removesuffix(PICTURES)
    try:
        with site.catalog.reading() as session:
            result = drills.result_of(drills.get(session, drill))
    except NotFoundError:
        result = None
    if result is not None and result.store != store:
        return 0
    try:
        kept = json.loads(path.read_bytes())
        stay = [one for one in kept["shown"] if one["study"] not in studies]
        gone, hidden = len(kept["shown"]) - len(stay), int(kept["hidden"])
    except OSError as error:
        raise EngineError(f"the pictures of a drill cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            f"the pictures kept of drill {drill} are damaged: whose they are is not known",
            hint=f"remove {path.name} and the report beside it",
        ) from None
    if not gone:
        return 0
    for kind in ("html", "pdf"):
        (report_dir(site) / f"{drill}.{kind}").unlink(missing_ok=True)
    if result is None:  # of a drill the catalog has lost; nobody could write its report
        path.unlink()
        return gone
    _replace(path, {"hidden": hidden + gone, "shown": stay})
    write_report(site, result)
    return gone


def _drop_partial(folder: Path) -> None:
    """Remove what a killed drill has left of a report, pictures and all."""
    for path in folder.glob(".*.partial"):
        try:
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue  # it is being written, or was just published
        except OSError as error:
            raise EngineError(f"a partial report cannot be removed: {error.strerror}") from None


def _replace(path: Path, kept: dict[str, object]) -> None:
    from orchestrator.keys.private_file import PrivateFile

    with PrivateFile(path) as out:
        out.write(json.dumps(kept).encode())
