"""The middle of every drill: restic on the copy restores into a sandbox, which is emptied again."""

from __future__ import annotations

from orchestrator.actions.drills import checks as drill_checks
from orchestrator.actions.drills.sandbox import Sandbox, sandbox
from orchestrator.actions.drills.wish import Wish, meter_of
from orchestrator.actions.drills.work import DrillWork
from orchestrator.actions.engine_view import EngineView, engine_on
from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.drills.result import DrillResult, Traffic
from orchestrator.errors import OrchestratorError


def look_and_restore(
    site: Site, work: DrillWork, opened: OpenCopy, repository: str, wish: Wish
) -> None:
    """Open restic on the copy, restore into a sandbox, and empty it again."""
    result = work.result
    boxes: list[Sandbox] = []
    try:
        with (
            sandbox(site, result.drill) as box,
            engine_on(
                site, opened, repository, as_of=wish.as_of, meter=meter_of(wish), spool=box.spool()
            ) as view,
        ):
            boxes.append(box)

            def look() -> None:
                if view.lens is not None and view.lens.failure is not None:
                    raise view.lens.failure
                next(iter(opened.place.list()), None)

            try:
                work.perform(view.engine, box, previews=wish.previews, look=look)
            except OSError as error:
                raise OrchestratorError(
                    "the disk that drills restore to fails: "
                    f"{(error.strerror or 'unknown error').lower()}",
                    hint="free some space on it, or name another disk in site.toml: [drills] "
                    'sandbox = "…"',
                ) from None
            finally:
                _note_traffic(result, view)
            _note_stored_files(result, view)
    finally:
        result.sandbox = next((box.removed for box in boxes), "")


def _note_traffic(result: DrillResult, view: EngineView) -> None:
    if view.lens is not None:
        traffic = view.lens.traffic
        result.traffic = Traffic(traffic.fetches, traffic.fetched_bytes)


def _note_stored_files(result: DrillResult, view: EngineView) -> None:
    """Judge what the lens saw of the copy's own files."""
    if view.lens is None:
        return
    suspects = view.suspicious or 0
    if result.snapshot is None and not suspects and not view.lens.bad_files:
        return  # nothing of it was read: that proves nothing
    if suspects and result.as_of is not None:
        # That is why somebody looks at an earlier time.
        result.remarks.append(
            f"{suspects} files of this copy have been overwritten or hidden since or before; what "
            "was restored is as of the time asked for."
        )
        suspects = 0
    result.checks.append(drill_checks.stored_files(suspects, len(view.lens.bad_files)))
