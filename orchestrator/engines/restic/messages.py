"""Reading what restic writes.

Pure. Lines are JSON or plain text, mixed; fields may be missing (restic leaves out zeros) and
types unknown to us appear with every release. Neither is ever fatal here, and no content is
logged: items are paths of images.

Source: restic's documentation, "Scripting", JSON output of 0.18 and 0.19.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.engines.restic.values import (
    BackupSummary,
    CheckReport,
    FileProblem,
    ForgetDecision,
    Key,
    Lock,
    Node,
    Progress,
    RestoreSummary,
    Snapshot,
)
from orchestrator.errors import EngineError

_log = logging.getLogger(__name__)
_TYPE_NAME = re.compile(r"[a-z_]{1,40}")

Doc = Mapping[str, Any]


def decode(line: bytes) -> Doc | None:
    """Return a line's JSON object, or None for plain text and anything else."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def message_type(document: Doc) -> str:
    """Return a message's type; empty if it has none."""
    kind = document.get("message_type")
    return kind if isinstance(kind, str) else ""


def log_unknown(document: Doc) -> None:
    """Log that a message is not known to us, without its content."""
    kind = message_type(document)
    _log.debug(
        "restic sent an unknown message of type %s", kind if _TYPE_NAME.fullmatch(kind) else "?"
    )


def progress(document: Doc) -> Progress:
    """Read a status message of backup or restore."""
    return Progress(
        files_done=_count(document, "files_done", "files_restored"),
        bytes_done=_count(document, "bytes_done", "bytes_restored"),
        files_total=_count(document, "total_files"),
        bytes_total=_count(document, "total_bytes"),
    )


def error_text(document: Doc) -> str:
    """Return the text of an error message, whose place differs between versions."""
    error = document.get("error")
    if isinstance(error, Mapping):
        error = error.get("message")
    text = error if isinstance(error, str) else document.get("message")
    return text if isinstance(text, str) else ""


def file_problem(document: Doc) -> FileProblem:
    """Read an error message about one file."""
    return FileProblem(str(document.get("item", "")), str(document.get("during", "")))


def backup_summary(document: Doc) -> BackupSummary:
    """Read a backup's summary.

    Raises:
        EngineError: It names no snapshot: nothing was saved.
    """
    snapshot_id = document.get("snapshot_id")
    if not isinstance(snapshot_id, str) or len(snapshot_id) != 64:
        raise EngineError("restic ended without an error, yet saved no snapshot")
    return BackupSummary(
        snapshot_id=snapshot_id,
        files_new=_count(document, "files_new"),
        files_changed=_count(document, "files_changed"),
        files_unmodified=_count(document, "files_unmodified"),
        files=_count(document, "total_files_processed"),
        bytes=_count(document, "total_bytes_processed"),
        bytes_added=_count(document, "data_added"),
        bytes_added_packed=_count(document, "data_added_packed"),
        started_at=_instant(document.get("backup_start")),
        duration_s=float(document.get("total_duration") or 0),
    )


def restore_summary(document: Doc) -> RestoreSummary:
    """Read a restore's summary; restic leaves out fields that are zero."""
    return RestoreSummary(
        files=_count(document, "total_files"),
        files_restored=_count(document, "files_restored"),
        files_skipped=_count(document, "files_skipped"),
        bytes=_count(document, "total_bytes"),
        bytes_restored=_count(document, "bytes_restored"),
    )


def restored_path(document: Doc) -> bytes:
    """Return the path below the snapshot's root of something that was restored."""
    return str(document.get("item", "")).strip("/").encode("utf-8", "surrogatepass")


def changed_path(document: Doc) -> tuple[str, str]:
    """Return path and modifier of a change between two snapshots; a folder's path ends in ``/``."""
    return str(document.get("path", "")), str(document.get("modifier", ""))


def check_report(document: Doc) -> CheckReport:
    """Read a check's summary."""
    return CheckReport(
        errors=_count(document, "num_errors"),
        broken_packs=tuple(str(pack) for pack in document.get("broken_packs") or ()),
        suggest_repair_index=document.get("suggest_repair_index") is True,
        suggest_prune=document.get("suggest_prune") is True,
    )


def snapshot(document: Doc) -> Snapshot:
    """Read one snapshot of a list.

    Raises:
        EngineError: It has no id or no time.
    """
    summary = document.get("summary")
    counts: Doc = summary if isinstance(summary, Mapping) else {}
    return Snapshot(
        id=str(document.get("id", "")),
        time=_instant(document.get("time")),
        tree=str(document.get("tree", "")),
        tags=tuple(str(tag) for tag in document.get("tags") or ()),
        paths=tuple(str(path) for path in document.get("paths") or ()),
        hostname=str(document.get("hostname", "")),
        parent=document.get("parent"),
        original=document.get("original"),
        files=counts.get("total_files_processed"),
        bytes=counts.get("total_bytes_processed"),
    )


def node(document: Doc) -> Node:
    """Read one entry of a snapshot's listing.

    Raises:
        EngineError: It has no modification time.
    """
    return Node(
        path=str(document.get("path", "")),
        type=str(document.get("type", "")),
        size_bytes=_count(document, "size"),
        mtime=_instant(document.get("mtime")),
    )


def forget_decisions(groups: Any) -> list[ForgetDecision]:
    """Read what a policy would keep and remove.

    Raises:
        EngineError: It is not what restic 0.18 and 0.19 answer.
    """
    decisions: list[ForgetDecision] = []
    try:
        for group in groups or ():
            reasons = {
                one["snapshot"]["id"]: tuple(one["matches"]) for one in group["reasons"] or ()
            }
            for keep, name in ((True, "keep"), (False, "remove")):
                decisions += [
                    ForgetDecision(one["id"], keep, reasons.get(one["id"], ()))
                    for one in group[name] or ()
                ]
    except (KeyError, TypeError, AttributeError):
        raise EngineError("restic answered the rotation's question in an unknown form") from None
    return decisions


def lock(lock_id: str, document: Doc) -> Lock:
    """Read one lock.

    Raises:
        EngineError: It has no time.
    """
    return Lock(
        id=lock_id,
        time=_instant(document.get("time")),
        exclusive=document.get("exclusive") is True,
        hostname=str(document.get("hostname", "")),
        pid=_count(document, "pid"),
    )


def key(document: Doc) -> Key:
    """Read one key; restic writes its time without a zone, in that of its environment (UTC).

    Raises:
        EngineError: It has no time.
    """
    return Key(
        id=str(document.get("id", "")),
        current=document.get("current") is True,
        hostname=str(document.get("hostName", "")),
        created=_instant(document.get("created")),
    )


def _count(document: Doc, *names: str) -> int:
    for name in names:
        value = document.get(name)
        if isinstance(value, int):
            return value
    return 0


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        raise EngineError("restic wrote a time in an unknown form") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
