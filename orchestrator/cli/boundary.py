"""The one place where errors become text and exit codes."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from orchestrator.errors import ConfigError, OrchestratorError, StoppedError, UsageError

PARTLY_DONE = 3


class ExitWith(Exception):
    """Ends a command that has shown its result with a code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(root: click.Group, argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; never raises.

    Args:
        root: The root command.
        argv: Arguments without the program's name.
    """
    argv = _flags_first(argv)
    as_json = "--json" in argv
    debug = "--debug" in argv
    _set_up_logging(debug=debug)
    _stop_on_signals()
    try:
        root.main(args=argv, prog_name="orchestrator", standalone_mode=False)
    except ExitWith as end:
        return end.code
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _tell(StoppedError("interrupted", hint=_GO_ON), as_json=as_json, debug=debug)
    except BrokenPipeError:
        # The reader of stdout has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OrchestratorError as error:
        return _tell(error, as_json=as_json, debug=debug)
    except click.ClickException as error:
        return _tell_usage(error, as_json=as_json, debug=debug)
    except OSError as error:
        refused = OrchestratorError(
            f"the operating system refused: {error.strerror or type(error).__name__}",
            hint="make room, or check the rights of the state folder; then run it again",
        )
        return _tell(refused, as_json=as_json, debug=debug, name="SystemRefusedError")
    except Exception as error:  # noqa: BLE001 - the last boundary: a person gets a sentence
        unexpected = OrchestratorError(
            f"unexpected {type(error).__name__}; this is a defect of the program",
            hint="run it again with --debug and report what it prints",
        )
        return _tell(unexpected, as_json=as_json, debug=debug, name="UnexpectedError")
    return 0


def _flags_first(argv: Sequence[str]) -> list[str]:
    """Let the root's flags stand anywhere: `status --json` is what people type."""
    end = argv.index("--") if "--" in argv else len(argv)
    flags = [word for word in argv[:end] if word in ("--json", "--debug")]
    return [*flags, *(word for word in argv[:end] if word not in flags), *argv[end:]]


_GO_ON = "run the same command again: it goes on from here"


def _tell(error: OrchestratorError, *, as_json: bool, debug: bool, name: str | None = None) -> int:
    if debug:
        traceback.print_exc()
    if as_json:
        body = {
            "error": name or type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        click.echo(json.dumps(body, ensure_ascii=False), err=True)
        return error.exit_code
    lines = error.faults if isinstance(error, ConfigError) else [error.message]
    for line in lines:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {_one_line(line)}", err=True)
    if error.hint:
        click.echo(f"{click.style('hint', fg='cyan')}:  {error.hint}", err=True)
    return error.exit_code


def _tell_usage(error: click.ClickException, *, as_json: bool, debug: bool) -> int:
    """Answer a command line that makes no sense; a group without a command gives its help."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "orchestrator"
    if not isinstance(error, click.exceptions.NoArgsIsHelpError):
        usage = UsageError(error.format_message(), hint=f"{path} --help")
        return _tell(usage, as_json=as_json, debug=debug)
    if as_json:
        usage = UsageError(f"{path}: no command was given", hint=f"{path} --help")
        return _tell(usage, as_json=True, debug=debug)
    click.echo(error.format_message(), err=True)
    return UsageError.exit_code


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", "; ", text.strip())


def _set_up_logging(*, debug: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer", "pydicom", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def log_as_service() -> None:
    """Log what a service does, not errors alone; for the journal with its own levels and times.

    Source: sd-daemon(3), "<0>" to "<7>" before a line; systemd.exec(5), $JOURNAL_STREAM.
    """
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    root = logging.getLogger()
    root.setLevel(min(root.level, logging.INFO))
    if _is_journal():
        for handler in root.handlers:
            handler.setFormatter(_JournalFormatter("%(message)s"))


class _JournalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        levels = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
        level = next((number for least, number in levels if record.levelno >= least), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


def _is_journal() -> bool:
    try:
        about = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def _stop_on_signals() -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise StoppedError(f"stopped by {signal.Signals(signum).name}", hint=_GO_ON)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, stop)
