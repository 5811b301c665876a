"""What the documentation says exists, and what exists is documented."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import click
import pytest

from orchestrator.cli import command_tree, root
from orchestrator.config.template import site_template
from orchestrator.errors import EXIT_CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    ROOT / line
    for line in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
)
TREE = command_tree()
NO_COMMANDS = {"key file id", "keyring", "ledger subject", "sealed file"}
"""Words of key derivations that begin with the product's name."""

_CODE = re.compile(r"```[\s\S]*?```|`[^`\n]+`|^ {4,}\S.*$", re.M)
_COMMAND = re.compile(r"(?:^|[\s$(/])orchestrator((?: +[^\s`|#;)]+)+)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def typed_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command line that a page shows as code."""
    for code in _CODE.findall(page.read_text(encoding="utf-8")):
        for line in code.strip("`").splitlines():
            for words in _COMMAND.findall(line.partition("  #")[0]):
                if any(words.strip().startswith(one) for one in NO_COMMANDS):
                    continue
                yield shlex.split(words.replace("'", " ").replace('"', " "))


def faults(words: list[str]) -> str | None:
    """Say what is wrong with a command line; None if it exists with its options."""
    command: click.Command = root
    name: list[str] = []
    known = {opt for one in root.params for opt in one.opts}
    takes = {opt for one in root.params if _has_value(one) for opt in one.opts}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-") and word not in ("-", "–"):
            option = word.partition("=")[0].strip("[]")
            if option not in known | {"--help", "-h"}:
                return f"{' '.join(name) or 'orchestrator'} has no option {option}"
            if option in takes and waiting and "=" not in word:
                waiting.pop(0)
        elif isinstance(command, click.Group):
            if not re.fullmatch("[a-z]+", word):
                return None if not name else f"{word!r} is no command"
            found = TREE.get(" ".join([*name, word]))
            if found is None:
                return f"there is no command {' '.join([*name, word])}"
            command, name = found, [*name, word]
            known |= {opt for one in command.params for opt in one.opts}
            takes |= {opt for one in command.params if _has_value(one) for opt in one.opts}
    return None


def _has_value(one: click.Parameter) -> bool:
    return isinstance(one, click.Option) and not one.is_flag


def test_the_checker_itself_sees_what_is_wrong() -> None:
    assert faults(["backup", "--accept-loss"]) is None
    assert faults(["--as", "it", "medium", "add", "rotation", "/media", "--label", "x"]) is None
    assert faults(["backup", "--accept-los"]) == "backup has no option --accept-los"
    assert faults(["bucket", "explode", "x"]) == "there is no command bucket explode"
    assert list(typed_commands(ROOT / "README.md"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_the_documentation_exists(page: Path) -> None:
    wrong = [(words, fault) for words in typed_commands(page) if (fault := faults(words))]
    assert wrong == []


def test_the_readme_shows_what_a_first_day_needs() -> None:
    shown = {
        " ".join(w for w in words if w.isalpha()) for words in typed_commands(ROOT / "README.md")
    }
    for command in ("init", "doctor", "backup", "status", "snapshots", "check", "rotate"):
        assert any(command in one.split() for one in shown), command


def test_every_hint_names_a_command_that_exists() -> None:
    quoted = re.compile(r'"[^"]*\borchestrator ((?:[a-z]+ ?)+[^"]*)"')
    nouns = {name.split()[0] for name in TREE}
    for path in (ROOT / "orchestrator").rglob("*.py"):
        for words in quoted.findall(path.read_text(encoding="utf-8")):
            plain = words.replace("{", " ").replace("}", " ")
            typed = re.split(r"[,;`(:]| then | and ", plain)[0].strip()
            first = typed.split()[:1]
            if not typed.startswith(tuple(NO_COMMANDS)) and first and first[0] in nouns:
                assert faults(typed.split()) is None, (path.name, words)


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for code in EXIT_CODES:
        assert re.search(rf"(^|[|·\s]){code} ", text, re.M), code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match("[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = page if not target else page.parent / unquote(target)
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(link)
    assert dead == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_named_in_the_documentation_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:docs|deploy|jobs|tests|benchmarks|requirements)/[\w./-]+)`", page.read_text()
    )
    missing = [path for path in named if not (ROOT / path).exists()]
    assert [path for path in missing if "NAME" not in path] == []


def test_every_command_has_its_current_page() -> None:
    assert (ROOT / "docs/commands.md").read_text(encoding="utf-8") == commands_page().text(), (
        "run: .venv/bin/python docs/make_commands.py"
    )


def commands_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_commands", ROOT / "docs/make_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_shipped_toml_loads() -> None:
    for folder in ("jobs", "retention_policies"):
        for path in (ROOT / folder).glob("*.toml"):
            assert tomllib.loads(path.read_text(encoding="utf-8")), path
    template = site_template()
    assert tomllib.loads(template)
    # What is commented out is meant to be uncommented, and must then be TOML too.
    opened = re.sub(r"^# (?=\[|\w+ = )", "", template, flags=re.M)
    body = tomllib.loads(re.sub(r"^#(?= ?$)", "", opened, flags=re.M))
    assert set(body["copies"]) == {"disk", "rotation", "vault"}


def test_every_job_and_site_key_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for path in (ROOT / "jobs").glob("*.toml"):
        assert f"`{path.stem}`" in text, path.stem
        for key in tomllib.loads(path.read_text(encoding="utf-8")):
            assert f"`{key}`" in text, key
    for key in re.findall(r"^(?:# )?(\w+) = ", site_template(), re.M):
        assert key in text, key


def test_decisions_are_listed_and_short() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs/adr").glob("0*.md"):
        assert f"({path.name})" in listed, path.name
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path.name
