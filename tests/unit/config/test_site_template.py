from __future__ import annotations

import re
import tomllib

import pytest

from orchestrator.config.load import load_site
from orchestrator.config.site import Rotation, Targets
from orchestrator.config.template import PLACEHOLDER, site_template


def test_the_template_works_after_editing_one_path(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    path = tmp_path / "site.toml"
    path.write_text(site_template().replace(PLACEHOLDER, str(images)))
    site = load_site(path)
    assert site.stores["xrays"].path == images
    assert site.state_dir == tmp_path / "state"
    assert site.primary.path == tmp_path / "copies" / "disk"
    assert len(site.actors) == 2


@pytest.mark.parametrize("text", ['Say "ah"', "Zähne\\Müller", "日本", "del\x7f"])
def test_any_name_is_written_as_toml(text):
    raw = tomllib.loads(site_template(name=text, timezone="Europe/Helsinki", store_path=text))
    assert raw["site"]["name"] == text
    assert raw["stores"]["xrays"]["path"] == text
    assert raw["site"]["timezone"] == "Europe/Helsinki"


def test_the_examples_in_comments_are_right_and_the_defaults_true(tmp_path):
    lines = [
        line[2:] if re.match(r"# (\[[a-z]|[a-z_]+ = )", line) else line
        for line in site_template().splitlines()
    ]
    path = tmp_path / "site.toml"
    path.write_text("\n".join(lines))
    site = load_site(path)
    assert [copy.role for copy in site.copies.values()] == ["local", "offline", "immutable"]
    assert site.copies["vault"].sweeper is not None
    assert site.targets == Targets()
    assert site.rotation == Rotation()
    assert {"targets", "rotation"} <= set(tomllib.loads("\n".join(lines)))
