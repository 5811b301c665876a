"""Writing the report of a drill beside the site's state, and again when somebody signs it.

Pictures of restored images are PHI: they stay in this folder, readable by the orchestrator's user
alone, and are kept beside the report only so that a signature does not take them out of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.actions.site import Site
from orchestrator.errors import DamageError, EngineError

if TYPE_CHECKING:
    from orchestrator.drills.result import DrillResult
    from orchestrator.engines.decoder import Decoded
    from orchestrator.reports.drill_pdf import Paper
    from orchestrator.reports.drill_values import Preview, Report

_log = logging.getLogger(__name__)

PICTURES = ".previews.json"
"""How the name of a file ends that holds the pictures shown in a drill's report."""

_PAPERS: dict[str, Paper] = {"letter": "us-letter", "a4": "a4"}


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """A report on the disk.

    Attributes:
        html: The page; always there.
        pdf: The same for paper; None if it could not be typeset.
        sha256: SHA-256 of the page, in hex.
        trouble: Why there is no PDF; None if there is one.
    """

    html: Path
    pdf: Path | None
    sha256: str
    trouble: str | None = None


def write_report(
    site: Site,
    result: DrillResult,
    *,
    previews: Sequence[tuple[Decoded, str]] | None = None,
) -> ReportFiles:
    """Write a drill's report with its trend and signatures, and note it in the catalog.

    Args:
        site: The site.
        result: The drill; the catalog knows it.
        previews: What was decoded, each with its study's pseudonym; one without a picture is
            counted as held back. None shows those of an earlier report of this drill, if any.

    Raises:
        EngineError: The disk refuses.
        LockedError: Another process is writing the report of this drill.
        DamageError: Pictures kept from the earlier report cannot be read.
    """
    from orchestrator.catalog import drills
    from orchestrator.reports.drill_values import Report

    folder = report_dir(site)
    shown, hidden = _pictures(folder, result.drill, previews)
    with site.catalog.reading() as session:
        report = Report(
            result=result,
            zone=site.config.timezone,
            past=drills.past(session, result.store, result.copy),
            signs=drills.signs(session, result.drill),
            previews=shown,
            hidden_previews=hidden,
        )
    files = write_files(folder, report, paper=_PAPERS[site.config.certificates.paper])
    if files.trouble is not None:
        _log.warning("the report of drill %s has no PDF: %s", result.drill, files.trouble)
    with site.catalog.transaction() as session:
        drills.set_report(session, result.drill, report=files.html.name, sha256=files.sha256)
    return files


def write_files(folder: Path, report: Report, *, paper: Paper = "us-letter") -> ReportFiles:
    """Write a report as HTML and PDF, each whole or not at all, for the owner's eyes only.

    A report that cannot be typeset is written as HTML all the same: a drill's verdict does not
    hang on fonts.

    Args:
        folder: Where to; made if it is not there.
        report: What to report.
        paper: The paper it is printed on.

    Raises:
        EngineError: The disk refuses.
        LockedError: Another process is writing these files.
    """
    from orchestrator.reports.drill_html import render_html
    from orchestrator.reports.drill_pdf import render_pdf

    _make(folder)
    html, pdf = (folder / f"{report.result.drill}.{kind}" for kind in ("html", "pdf"))
    page = render_html(report).encode()
    _write(html, page)
    digest = hashlib.sha256(page).hexdigest()
    try:
        paged = render_pdf(report, paper=paper)
    except EngineError as error:
        pdf.unlink(missing_ok=True)  # it would tell of an earlier state
        return ReportFiles(html, None, digest, error.message)
    _write(pdf, paged)
    return ReportFiles(html, pdf, digest)


def report_dir(site: Site) -> Path:
    """Return the folder of the reports of drills."""
    return site.state_dir / "reports" / "drills"


def _pictures(
    folder: Path, drill: str, given: Sequence[tuple[Decoded, str]] | None
) -> tuple[list[Preview], int]:
    """Return the pictures to show and how many are held back; keep given ones for a signature."""
    from orchestrator.reports.drill_values import Preview

    kept = folder / f"{drill}{PICTURES}"
    if given is None:
        return _kept(kept)
    shown = [
        Preview(one.preview, one.modality, one.frames, study)
        for one, study in given
        if one.preview is not None
    ]
    hidden = len(given) - len(shown)
    if given:
        _make(folder)
        pictures = [asdict(one) | {"png": base64.b64encode(one.png).decode()} for one in shown]
        _write(kept, json.dumps({"hidden": hidden, "shown": pictures}).encode())
    return shown, hidden


def _kept(path: Path) -> tuple[list[Preview], int]:
    from orchestrator.reports.drill_values import Preview

    try:
        kept: dict[str, Any] = json.loads(path.read_bytes())
        shown = [
            Preview(**(one | {"png": base64.b64decode(one["png"], validate=True)}))
            for one in kept["shown"]
        ]
        return shown, int(kept["hidden"])
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise EngineError(f"the pictures of a drill cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            "the pictures kept of a drill are damaged",
            hint="remove the drill's .previews.json to report without them",
        ) from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"the reports' folder cannot be made: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    from orchestrator.keys.private_file import PrivateFile

    with PrivateFile(path) as file:
        file.write(content)
