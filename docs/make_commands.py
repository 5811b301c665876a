#!/usr/bin/env python3
"""Writes docs/commands.md from the command line itself, so that the two cannot drift apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli import command_tree, root

TARGET = Path(__file__).with_name("commands.md")

_HEAD = """\
# Commands

Made by `docs/make_commands.py` from the command line itself: change the help texts, not this file.

    orchestrator [--site FILE] [--as ACTOR] [--json] [--debug] COMMAND

| option | meaning |
| --- | --- |
"""

_EXIT_CODES = """
## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | usage or configuration |
| 3 | partly done, see the report |
| 4 | damage found |
| 5 | refused: role, last copy, lock, a clock that is not to be trusted |
| 10 | no such repository, store, copy, snapshot or medium |
| 11 | locked by another run |
| 12 | credentials |
| 130 | interrupted |

With `--json`, stdout holds exactly one JSON document, and an error is one JSON object on stderr:
`{"error": …, "message": …, "hint": …, "exit_code": …}`.
"""


def text() -> str:
    """Return the whole page."""
    return _HEAD + "\n".join(_options(root)) + "\n" + _EXIT_CODES + "".join(_commands())


def _commands() -> Iterator[str]:
    for name, command in command_tree().items():
        if isinstance(command, click.Group):
            yield f"\n## {name}\n\n{_paragraphs(command)}\n"
            continue
        level = "###" if " " in name else "##"
        usage = " ".join(_arguments(command))
        yield f"\n{level} {name}\n\n    orchestrator {name}{' ' if usage else ''}{usage}\n"
        yield f"\n{_paragraphs(command)}\n"
        options = list(_options(command))
        if options:
            yield "\n| option | meaning |\n| --- | --- |\n" + "\n".join(options) + "\n"


def _arguments(command: click.Command) -> Iterator[str]:
    if any(isinstance(one, click.Option) for one in command.params):
        yield "[OPTIONS]"
    for one in command.params:
        if isinstance(one, click.Argument):
            yield one.make_metavar(click.Context(command))


def _options(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    for one in command.params:
        record = one.get_help_record(context) if isinstance(one, click.Option) else None
        if record is None or "--help" in record[0]:
            continue
        names, meaning = (re.sub(r"\s+", " ", part).strip() for part in record)
        yield f"| `{names}` | {meaning.replace('|', '&#124;')} |"


def _paragraphs(command: click.Command) -> str:
    parts = (command.help or "").split("\n\n")
    return "\n\n".join(re.sub(r"\s+", " ", part).strip() for part in parts)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
