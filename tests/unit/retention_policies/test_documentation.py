"""The page about retention shows what ships, no more and no less."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import get_args

from orchestrator.config.schedule_model import KEYS
from orchestrator.config.schedules import read_schedule, shipped_schedules, shipped_templates
from orchestrator.retention import schedule

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/retention.md").read_text(encoding="utf-8")


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_retention", ROOT / "docs/make_retention.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_files():
    assert maker().text() == PAGE, "run: .venv/bin/python docs/make_retention.py"


def test_every_schedule_and_template_is_named():
    for one, _text in shipped_schedules():
        assert f"`{one.id}`" in PAGE
    for name in shipped_templates():
        assert f"`{name}`" in PAGE


def test_every_key_and_closed_word_is_explained():
    words = {
        *KEYS - {"id", "version", "title", "rule", "notice", "text"},
        *get_args(schedule.Kind),
        *get_args(schedule.RecordClass),
        *get_args(schedule.Trigger),
        *get_args(schedule.MinorForm),
        *get_args(schedule.MinorTest),
        *get_args(schedule.Confidence),
        *get_args(schedule.Images),
        *("posted_sign", "written_statement", "mailed_notice", "authority"),
    }
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert words - explained - {"age", "since"} == set()


def test_the_example_is_a_schedule():
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert tomllib.loads(example)["kind"] == "local"
    read_schedule(example.encode(), Path("example.toml"))


def test_the_states_that_were_left_out_have_no_usable_law():
    left_out = PAGE[PAGE.index("### What was left out") : PAGE.index("### Ages of majority")]
    usable = {
        one.title.partition(":")[0]
        for one, _text in shipped_schedules()
        if one.kind == "jurisdiction" and any(rule.confidence != "low" for rule in one.rules)
    }
    first_words = {line.split("|")[1] for line in left_out.splitlines() if line.startswith("| ")}
    named = {name.strip() for words in first_words for name in words.split(",")}
    assert {"California", "Connecticut", "Ohio", "Colorado", "Louisiana"} <= named
    assert not named & usable
