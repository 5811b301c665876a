from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.config import references
from orchestrator.config import site as plain
from orchestrator.config.load import load_site
from orchestrator.errors import ConfigError

AGREED = """
[site]
name = "Elm Street Dental"
timezone = "America/Chicago"
state_dir = "/var/lib/orchestrator"
catalog = "sqlite"                     # or { url = "postgresql://host/db" }

[actors.it]
name = "Ann"
title = "IT administrator"
roles = ["operator", "custodian"]

[actors.privacy]
name = "Bo"
title = "Compliance officer"
roles = ["compliance"]

[stores.xrays]
kind = "folder"
path = "/srv/imaging"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
sentinel = ".mounted"
max_loss = 0.05

[copies.disk]
role = "local"
path = "/backup/disk"

[copies.rotation]
role = "offline"
search = ["/media", "/mnt"]
due_every = "7d"

[copies.vault]
role = "immutable"
endpoint = "https://objects.example:8443"
region = "us-east-1"
bucket = "elm-street-vault"
prefix = "xrays"
lock_period = "35d"
ca_file = "ca.pem"
access_key = { env = "VAULT_ACCESS_KEY" }
secret_key = { env = "VAULT_SECRET_KEY" }

[copies.vault.sweeper]
access_key = { env = "SWEEP_ACCESS_KEY" }
secret_key = { env = "SWEEP_SECRET_KEY" }
"""


def test_the_agreed_file_is_read_whole(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(AGREED)
    site = load_site(path)
    assert site == plain.SiteConfig(
        path=path,
        name="Elm Street Dental",
        timezone=ZoneInfo("America/Chicago"),
        state_dir=Path("/var/lib/orchestrator"),
        catalog=plain.Catalog(),
        stores={
            "xrays": plain.FolderStore(
                name="xrays",
                path=Path("/srv/imaging"),
                jurisdictions=("US-TX",),
                rpo=timedelta(hours=24),
                rto=timedelta(hours=4),
                sentinel=".mounted",
                max_loss=0.05,
            )
        },
        copies={
            "disk": plain.LocalCopy("disk", Path("/backup/disk")),
            "rotation": plain.OfflineCopy(
                "rotation", (Path("/media"), Path("/mnt")), timedelta(days=7)
            ),
            "vault": plain.ImmutableCopy(
                name="vault",
                endpoint="https://objects.example:8443",
                region="us-east-1",
                bucket="elm-street-vault",
                prefix="xrays",
                lock_period=timedelta(days=35),
                writer=plain.BucketKey(
                    references.EnvSecret("VAULT_ACCESS_KEY"),
                    references.EnvSecret("VAULT_SECRET_KEY"),
                ),
                ca_file=tmp_path / "ca.pem",
                sweeper=plain.BucketKey(
                    references.EnvSecret("SWEEP_ACCESS_KEY"),
                    references.EnvSecret("SWEEP_SECRET_KEY"),
                ),
            ),
        },
        actors={
            "it": plain.Actor(
                "it", "Ann", "IT administrator", frozenset({"operator", "custodian"})
            ),
            "privacy": plain.Actor(
                "privacy", "Bo", "Compliance officer", frozenset({"compliance"})
            ),
        },
    )
    assert site.primary.name == "disk"
    assert site.jobs_dir == tmp_path / "jobs"


def test_extras_and_secret_forms_are_read(site, tmp_path):
    site["site.catalog"] = {"url": "postgresql://db.example/orch", "password": {"file": "pw"}}
    site["copies.rotation.mount"] = ["mount", "/media/b"]
    site["copies.rotation.power_off"] = ["off"]
    site["copies.vault.access_key"] = {"command": ["pass", "show", "key"]}
    site["copies.vault.secret_key"] = {"systemd": "vault-key"}
    site["targets"] = {"verified_within": "7d", "extend_below": 0.25}
    site["rotation"] = {"keep_last": 0, "minimum": 3}
    loaded = site.load()
    assert loaded.catalog == plain.Catalog(
        "postgresql://db.example/orch", references.FileSecret(tmp_path / "pw")
    )
    assert loaded.copies["rotation"].mount == ("mount", "/media/b")
    assert loaded.copies["rotation"].unmount == ()
    assert loaded.copies["vault"].writer == plain.BucketKey(
        references.CommandSecret(("pass", "show", "key")), references.SystemdSecret("vault-key")
    )
    assert loaded.targets == plain.Targets(timedelta(days=7), extend_below=0.25)
    assert loaded.rotation == plain.Rotation(keep_last=0, minimum=3)


def test_relative_paths_are_relative_to_the_file(site, tmp_path, monkeypatch):
    site["stores.xrays.path"] = "../images"
    site.load()
    monkeypatch.chdir(tmp_path)
    loaded = load_site(Path("site.toml"))
    assert loaded.path == tmp_path / "site.toml"
    assert loaded.stores["xrays"].path == tmp_path.parent / "images"
    assert loaded.state_dir == tmp_path / "state"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("site.name", "", "must not be empty"),
        ("site.name", "two\nlines", "one line"),
        ("site.timezone", "America/Gotham", "not a known time zone"),
        ("site.timezone", "../etc/passwd", "not a known time zone"),
        ("site.timezone", "America", "not a known time zone"),
        ("site.timezone", 7, "must be text"),
        ("site.state_dir", "", "must be a path"),
        ("site.state_dir", "~/state", "not expanded"),
        ("site.state_dir", "a\0b", "control"),
        ("site.catalog", "mysql", "must be"),
        ("site.catalog", 7, "must be"),
        ("site.colour", "red", "not a known key"),
        ("sites", 1, "did you mean site?"),
        ("stores.xrays.rpo", "0h", "more than zero"),
        ("stores.xrays.rto", "-1h", "more than zero"),
        ("stores.xrays.rto", "4 h", "not a period"),
        ("stores.xrays.rto", "4h30m", "not a period"),
        ("stores.xrays.rto", "4w", "not a period"),
        ("stores.xrays.rto", 4, "in quotes"),
        ("stores.xrays.rpo", "2y", "longer than 365d"),
        ("stores.xrays.rpo", "999999999y", "longer than 100 years"),
        ("stores.xrays.max_loss", 1.01, "at most 1"),
        ("stores.xrays.max_loss", -0.5, "at least 0"),
        ("stores.xrays.max_loss", "0.5", "must be a number"),
        ("stores.xrays.max_loss", True, "must be a number"),
        ("stores.xrays.sentinel", "/etc/hosts", "relative"),
        ("stores.xrays.sentinel", "a/../../b", "relative"),
        ("stores.xrays.sentinel", "", "relative"),
        ("stores.xrays.jurisdictions", [], "must not be empty"),
        ("stores.xrays.jurisdictions", ["US-TX", "US-TX"], "twice"),
        ("stores.xrays.kind", "orthanc", "not supported yet"),
        ("stores.xrays.kind", "pacs", 'must be "folder"'),
        ("stores.xrays.sentinal", "x", "did you mean sentinel?"),
        ("copies.disk.path", ["a"], "must be a path"),
        ("copies.disk.role", "cloud", '"local", "offline" or "immutable"'),
        ("copies.rotation.search", [], "must not be empty"),
        ("copies.rotation.mount", [], "must name a program"),
        ("copies.rotation.mount", "mount x", "must be a list"),
        ("copies.vault.endpoint", "http://objects.example", "https"),
        ("copies.vault.endpoint", "ftp://objects.example", "https"),
        ("copies.vault.endpoint", "objects.example", "names no host"),
        ("copies.vault.endpoint", "https://objects.example/bucket", "end after host"),
        ("copies.vault.endpoint", "https://objects.example:99999", "not a URL"),
        ("copies.vault.endpoint", "https://[::1", "not a URL"),
        ("copies.vault.bucket", "UPPER", "lower-case"),
        ("copies.vault.prefix", "a/../b", ".."),
        ("copies.vault.prefix", "/a", "slash"),
        ("copies.vault.prefix", "a//b", "empty parts"),
        ("copies.vault.lock_period", "12h", "at least 1d"),
        ("copies.vault.access_key", {"env": "A-B"}, "environment variable"),
        ("copies.vault.access_key", {"file": ""}, "must be a path"),
        ("copies.vault.access_key", {"command": []}, "must name a program"),
        ("copies.vault.access_key", {"command": "pass show"}, "list of texts"),
        ("copies.vault.access_key", {"systemd": "a/b"}, "name of a credential"),
        ("copies.vault.access_key", {}, "exactly one of"),
        ("copies.vault.access_key", {"env": "A", "file": "b"}, "exactly one of"),
        ("copies.vault.access_key", {"vault": "x"}, "exactly one of"),
        ("targets.extend_below", 1.0, "less than 1"),
        ("targets.extend_below", 0, "more than 0"),
        ("targets.max_clock_skew", "2d", "longer than 1d"),
        ("rotation.minimum", 0, "at least 1"),
        ("rotation.keep_daily", 1.5, "whole number"),
        ("rotation.keep_daily", -1, "at least 0"),
    ],
)
def test_each_wrong_value_is_named_with_its_key(site, raises_fault, key, value, words):
    site[key] = value
    raises_fault(site.faults(), key, words)


@pytest.mark.parametrize(
    "key",
    ["site.name", "site.timezone", "site.state_dir", "actors.it.name", "actors.it.roles",
     "stores.xrays.kind", "stores.xrays.path", "stores.xrays.rpo", "stores.xrays.rto",
     "stores.xrays.jurisdictions", "copies.disk.path", "copies.disk.role",
     "copies.rotation.search", "copies.vault.endpoint", "copies.vault.bucket",
     "copies.vault.lock_period", "copies.vault.access_key", "site", "stores", "copies"],
)  # fmt: skip
def test_what_is_left_out_is_named(site, raises_fault, key):
    del site[key]
    raises_fault(site.faults(), key, "needed" if key in ("stores", "copies") else "is missing")


@pytest.mark.parametrize("kind", ["stores", "copies", "actors", "site", "targets", "rotation"])
def test_a_value_in_place_of_a_table_is_named(site, kind):
    site[kind] = 7
    assert any(fault.startswith(f"{kind}: must be a table") for fault in site.faults())


@pytest.mark.parametrize("name", ["Disk", "9disk", "disk_1", "d" * 32, "di sk", "-d", ""])
@pytest.mark.parametrize("kind", ["stores", "copies", "actors"])
def test_wrong_names_are_refused(site, kind, name):
    tables = site.tables[kind]
    first = next(iter(tables))
    site.tables[kind] = {(name if key == first else key): one for key, one in tables.items()}
    faults = site.faults()
    assert len(faults) == 1
    assert "the name must begin with a lower-case letter" in faults[0]


def test_all_faults_come_at_once(site):
    site["site.timezone"] = "Mars"
    site["stores.xrays.rto"] = "-1h"
    site["stores.xrays.colour"] = "red"
    site["copies.disk.path"] = "images/backup"
    site["copies.vault.endpoint"] = "http://objects.example"
    site["copies.vault.lock_period"] = "1h"
    del site["actors.it.title"]
    keys = [fault.split(": ")[0] for fault in site.faults()]
    assert sorted(keys) == [
        "actors.it.title",
        "copies.disk.path",
        "copies.vault.endpoint",
        "copies.vault.lock_period",
        "site.timezone",
        "stores.xrays.colour",
        "stores.xrays.rto",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("copies.vault.access_key", "hunter2"),
        ("copies.vault.secret_key", {"env": "hunter2 "}),
        ("copies.vault.secret_key", {"file": "hunter2\n"}),
        ("copies.vault.secret_key", {"literal": "hunter2"}),
        ("copies.vault.secret_key", {"command": ["hunter2", 7]}),
        ("copies.vault.endpoint", "https://user:hunter2@objects.example"),
        ("site.catalog", {"url": "postgresql://user:hunter2@host/db"}),
        ("site.catalog", {"url": "postgresql://host/db?password=hunter2"}),
        ("site.catalog", {"url": "postgresql://host/db", "password": "hunter2"}),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(site, key, value):
    site[key] = value
    (fault,) = site.faults()
    assert fault.startswith(key)
    assert "hunter2" not in fault


def test_references_say_where_without_the_arguments():
    assert str(references.CommandSecret(("/usr/bin/pass", "hunter2"))) == "command pass"
    assert str(references.EnvSecret("KEY")) == "environment variable KEY"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"]
)
def test_http_and_short_locks_are_for_this_machine_only(site, endpoint):
    site["copies.vault.endpoint"] = endpoint
    site["copies.vault.lock_period"] = "90s"
    assert site.load().copies["vault"].lock_period == timedelta(seconds=90)
    site["copies.vault.endpoint"] = endpoint.replace("http", "https").replace("127.0.0.1", "x")
    site["copies.vault.lock_period"] = "1d"
    site.load()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[site\nname = 1", "line 1, column 6", "not valid TOML"),
        ("[site]\nname = 'a'\nname = 'b'\n", "line 3, column 11", "Cannot overwrite"),
        ("[stores.x]\n[stores.x]\n", "line 2, column 10", "Cannot declare"),
        ("[site]\nname = 'a", "end of document", "not valid TOML"),
        ("a = " + "[" * 5000, "file", "nested too deeply"),
        ("", "site", "is missing"),
    ],
)
def test_toml_faults_name_the_line(tmp_path, text, place, words):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    assert caught.value.faults[0].startswith(f"{path}: {place}: ")
    assert words in caught.value.faults[0]


def test_bytes_that_are_no_text_name_the_line(tmp_path):
    path = tmp_path / "site.toml"
    path.write_bytes(b"[site]\n\nname = '\xff'\n")
    with pytest.raises(ConfigError, match="line 3: is not UTF-8 text"):
        load_site(path)


def test_a_byte_order_mark_is_no_fault(site):
    site.load()
    site.path.write_bytes(b"\xef\xbb\xbf" + site.path.read_bytes())
    assert load_site(site.path).name == "Elm Street Dental"


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        load_site(tmp_path / "site.toml")
    assert caught.value.exit_code == 2
    assert "orchestrator init" in caught.value.hint


def test_a_folder_or_a_huge_file_is_no_site_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load_site(tmp_path)
    path = tmp_path / "site.toml"
    path.touch()
    os.truncate(path, 1 << 30)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_site(path)
