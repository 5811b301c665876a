"""The command line: one file per noun, no logic, no SQL, no subprocess.

This file holds the root command and the one boundary where errors become text and exit codes.
Commands are imported only when they are called, so that the command line answers at once.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator import __version__
from orchestrator.cli import boundary
from orchestrator.cli.options import Invocation

COMMANDS: dict[str, str] = {
    "init": "orchestrator.cli.init:init",
    "doctor": "orchestrator.cli.doctor:doctor",
    "job": "orchestrator.cli.job:job",
    "backup": "orchestrator.cli.backup:backup",
    "replicate": "orchestrator.cli.backup:replicate",
    "rotate": "orchestrator.cli.rotate:rotate",
    "status": "orchestrator.cli.status:status",
    "snapshots": "orchestrator.cli.snapshots:snapshots",
    "check": "orchestrator.cli.check:check",
    "restore": "orchestrator.cli.restore:restore",
    "drill": "orchestrator.cli.drill:drill",
    "bucket": "orchestrator.cli.bucket:bucket",
    "medium": "orchestrator.cli.medium:medium",
    "place": "orchestrator.cli.place:place",
    "hold": "orchestrator.cli.hold:hold",
    "sanitize": "orchestrator.cli.sanitize:sanitize",
    "cache": "orchestrator.cli.cache:cache",
    "store": "orchestrator.cli.store:store",
    "study": "orchestrator.cli.store:study",
    "patients": "orchestrator.cli.patients:patients",
    "retention": "orchestrator.cli.retention:retention",
    "disposal": "orchestrator.cli.disposal:disposal",
    "ledger": "orchestrator.cli.ledger:ledger",
    "certificate": "orchestrator.cli.certificate:certificate",
    "key": "orchestrator.cli.key:key",
    "catalog": "orchestrator.cli.catalog:catalog",
    "daemon": "orchestrator.cli.daemon:daemon",
}


class _LazyGroup(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command in the order of a person's first day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, name = target.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


_EPILOG = """
\b
Exit codes
  0  done                          5  refused (role, last copy, lock)
  1  failed                       10  no such repository or store
  2  usage or configuration       11  locked by another run
  3  partly done, see the report  12  credentials
  4  damage found                130  interrupted
"""


@click.group(
    cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--site",
    "site_file",
    type=click.Path(path_type=Path),
    help="Site file.  [default: $ORCHESTRATOR_SITE, ./site.toml, /etc/orchestrator/site.toml]",
)
@click.option("--as", "actor", metavar="ACTOR", help="Who acts, by the name in the site file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--debug", is_flag=True, help="Log what happens to stderr, and stack traces.")
@click.version_option(__version__, prog_name="orchestrator")
@click.pass_context
def root(
    ctx: click.Context, site_file: Path | None, actor: str | None, *, as_json: bool, debug: bool
) -> None:
    """Keep, prove and lawfully let go of imaging records."""
    ctx.obj = Invocation(site_file=site_file, actor=actor, as_json=as_json, debug=debug)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code of `errors.EXIT_CODES`."""
    # Importing makes many objects and hardly any garbage: looking for it less often saves a
    # tenth of the time until a command begins to work.
    gc.set_threshold(50_000, 20, 20)
    argv = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(boundary.run(root, argv))


def command_tree() -> dict[str, Any]:
    """Return every command by its full name, for the documentation's checks."""
    tree: dict[str, Any] = {}
    context = click.Context(root)

    def visit(prefix: str, command: click.Command) -> None:
        tree[prefix.strip()] = command
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None:
                    visit(f"{prefix} {name}", child)

    visit("", root)
    tree.pop("", None)
    return tree
