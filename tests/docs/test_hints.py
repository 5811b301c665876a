"""Every command that the program tells somebody to type can be typed, with all that it requires."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli import command_tree
from tests.support.site import PROGRAM

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "orchestrator").rglob("*.py"))
TREE = command_tree()

VALUE = "VALUE"
"""Stands for what is put in at run time."""

PROSE = re.compile(r"(?:^|\W)(?:the|The|an|killed|runs|imaging-) ?$")
"""What stands before the product's name where a sentence is about it."""

NO_COMMANDS = ("keyring", "ledger subject", "sealed file", "key file id", "suppression list 1")
"""What follows the name in derivations of keys."""

NEED_A_PERSON = {
    "catalog clock",
    "certificate confirm",
    "certificate import",
    "certificate revoke",
    "disposal approve",
    "disposal execute",
    "disposal propose",
    "disposal readmit",
    "disposal refuse",
    "drill sign",
    "hold place",
    "hold release",
    "key destroy",
    "key rotate",
    "ledger disclose",
    "ledger reopen",
    "patients import",
    "place close",
    "retention adopt",
    "retention determine",
    "retention withdraw",
    "sanitize approve",
    "sanitize record",
    "sanitize refuse",
    "sanitize run",
    "sanitize validate",
}
"""Commands that refuse to work for nobody: who is told to type them is told to say who acts."""

_COMMAND = re.compile(r"\borchestrator ([^;,(:`\n”]+)")
_END = re.compile(r"\.(?:\s|$)| then | and |[)“]")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|.*VALUE.*")


def told_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield every command line in the strings of a module, with the line it stands in."""
    for line, text in strings(ast.parse(source)):
        for match in _COMMAND.finditer(text):
            words = _END.split(match[1])[0].strip()
            is_prose = PROSE.search(text[: match.start()]) or words.startswith(NO_COMMANDS)
            if words.strip(".") and not is_prose:
                yield line, words


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every string but docstrings, whole: what is put in stands as `VALUE`."""
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.add(id(node.value))  # documentation
        elif isinstance(node, ast.JoinedStr):
            parts.update(id(part) for part in ast.walk(node) if part is not node)
    for node in ast.walk(tree):
        if id(node) in parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    str(p.value) if isinstance(p, ast.Constant) else VALUE for p in node.values
                ),
            )


def fault(line: str) -> str | None:
    """Say why a command line cannot be typed; None if it can."""
    words = shlex.split(line)
    somebody = False
    while words and words[0] in ("--as", "--site", "--json"):
        option = words.pop(0)
        somebody |= option == "--as"
        if option != "--json":
            words.pop(0)
    if words[:1] == ["--help"] or not "".join(words).strip("."):
        return None
    name: list[str] = []
    while words and " ".join([*name, words[0]]) in TREE:
        name.append(words.pop(0))
    command = TREE.get(" ".join(name))
    if command is None or isinstance(command, click.Group):
        return f"there is no command {' '.join([*name, *words[:1]])}"
    if " ".join(name) in NEED_A_PERSON and not somebody and "--help" not in words:
        return f"{' '.join(name)} takes a person: --as ACTOR"
    if "--help" in words:
        return None
    try:
        command.make_context(" ".join(name), list(words))
    except click.MissingParameter as error:
        return f"{' '.join(name)}: {error.format_message()}"
    except click.BadParameter as error:
        if not any(_PLACEHOLDER.fullmatch(word) for word in words):
            return f"{' '.join(name)}: {error.format_message()}"
    except click.UsageError as error:
        return f"{' '.join(name)}: {error.format_message()}"
    return None


def test_the_checker_itself_sees_what_is_wrong() -> None:
    source = 'x = f"say it: orchestrator key unwrap {name}; then wait"\ny = "the orchestrator ends"'
    assert list(told_in(source)) == [(1, "key unwrap VALUE")]
    assert fault("key unwrap --repository NAME") is None
    assert fault("check --slice n/t") is None
    assert fault("ledger anchor --seen MANY") is None, "a placeholder is no wrong value"
    wrong = {
        "key unwrap": "Missing option '--repository'",
        "key unwrap VALUE": "Missing option '--repository'",
        "bucket sweep": "Missing argument 'COPY'",
        "status shows it": "unexpected extra argument",
        "status --all": "No such option",
        "bucket explode vault": "no command bucket explode",
        "disposal": "no command disposal",
        "disposal approve D-2026-0001": "takes a person",
    }
    for line, words in wrong.items():
        assert words in str(fault(line)), line


@pytest.mark.parametrize("name", sorted(NEED_A_PERSON))
def test_who_is_said_to_be_needed_is_needed_by_a_command_that_exists(name: str) -> None:
    assert name in TREE


def test_every_command_that_is_told_can_be_typed_as_it_stands() -> None:
    told = [
        (f"{path.relative_to(ROOT)}:{line}", words)
        for path in MODULES
        for line, words in told_in(path.read_text(encoding="utf-8"))
    ]
    assert len(told) > 150, "they are found"
    wrong = [(where, words, why) for where, words in told if (why := fault(words)) is not None]
    assert wrong == []


def test_who_leaves_something_out_is_sent_to_the_help_of_that_command() -> None:
    for words in ("key unwrap", "bucket sweep", "disposal show"):
        done = subprocess.run(
            [PROGRAM, "--json", *words.split()], capture_output=True, text=True, check=False
        )
        hint = json.loads(done.stderr)["hint"]
        assert (done.returncode, hint) == (2, f"orchestrator {words} --help")
