from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.load import load_site
from orchestrator.errors import ConfigError

SITE: dict[str, Any] = {
    "site": {
        "name": "Elm Street Dental",
        "timezone": "America/Chicago",
        "state_dir": "state",
        "catalog": "sqlite",
    },
    "actors": {"it": {"name": "Ann", "title": "IT administrator", "roles": ["operator"]}},
    "stores": {
        "xrays": {
            "kind": "folder",
            "path": "images",
            "jurisdictions": ["US-TX"],
            "rpo": "24h",
            "rto": "4h",
        }
    },
    "copies": {
        "disk": {"role": "local", "path": "copies/disk"},
        "rotation": {"role": "offline", "search": ["media"], "due_every": "7d"},
        "vault": {
            "role": "immutable",
            "endpoint": "https://objects.example:8443",
            "region": "us-east-1",
            "bucket": "elm-street-vault",
            "lock_period": "35d",
            "access_key": {"env": "VAULT_ACCESS_KEY"},
            "secret_key": {"env": "VAULT_SECRET_KEY"},
        },
    },
}


def toml(value: Any) -> str:
    """Write a value inline: a whole document can be built of inline tables."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(toml(one) for one in value)}]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value)


class SiteFile:
    """A right site file that a test may spoil: ``site["copies.disk.path"] = 7``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "site.toml"
        self.tables = copy.deepcopy(SITE)

    def __setitem__(self, key: str, value: Any) -> None:
        *parents, last = key.split(".")
        table = self.tables
        for name in parents:
            table = table.setdefault(name, {})
        table[last] = value

    def __delitem__(self, key: str) -> None:
        *parents, last = key.split(".")
        table = self.tables
        for name in parents:
            table = table[name]
        del table[last]

    def load(self):
        self.path.write_text(
            "".join(f"{json.dumps(key)} = {toml(one)}\n" for key, one in self.tables.items())
        )
        return load_site(self.path)

    def faults(self) -> list[str]:
        """Return the faults without the file's name, which each must begin with."""
        with pytest.raises(ConfigError) as caught:
            self.load()
        assert caught.value.exit_code == 2
        front = f"{self.path}: "
        assert all(fault.startswith(front) for fault in caught.value.faults)
        return [fault.removeprefix(front) for fault in caught.value.faults]


@pytest.fixture
def site(tmp_path) -> SiteFile:
    return SiteFile(tmp_path)


@pytest.fixture
def raises_fault() -> Callable[[list[str], str, str], None]:
    def check(faults: list[str], key: str, words: str) -> None:
        assert len(faults) == 1, faults
        assert faults[0].startswith(f"{key}: "), faults
        assert words in faults[0], faults

    return check
