"""The command line as programs see it: one JSON document, the agreed fields, the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.cli import command_tree
from orchestrator.errors import EXIT_CODES
from tests.support.command_line import CommandLine, LabSite, lab_site
from tests.support.shape import count, differences, full_id, instant, optional, seconds
from tests.support.warm import shared

OUTCOMES = {"succeeded", "partial", "failed", "refused", "interrupted"}
ROLES = {"local", "offline", "immutable"}
STATES = {"proven", "present", "behind", "absent", "damaged", "unknown"}

COPY_RESULT = {
    "copy": str,
    "role": ROLES,
    "state": STATES,
    "files_sent": count,
    "bytes_sent": count,
}
STORE_BACKUP = {
    "store": str,
    "snapshot": full_id,
    "files": count,
    "files_new": count,
    "files_changed": count,
    "bytes_added": count,
    "copies": [COPY_RESULT],
}
BACKUP = {"run": str, "outcome": OUTCOMES, "stores": [STORE_BACKUP]}
STATUS_COPY = {
    "copy": str,
    "role": ROLES,
    "medium": optional(str),
    "state": STATES,
    "newest_snapshot": optional(full_id),
    "newest_at": optional(instant),
    "verified_at": optional(instant),
    "protected_until": optional(instant),
}
STATUS_STORE = {
    "store": str,
    "verdict": {"met", "not_met", "unknown"},
    "reasons": lambda value: isinstance(value, list),
    "copies": [STATUS_COPY],
    "rpo": {"target_s": seconds, "measured_s": seconds, "met": bool},
    "rto": {"target_s": seconds, "measured_s": optional(seconds), "met": optional(bool)},
}
CHECK_COPY = {
    "copy": str,
    "files_checked": count,
    "bytes_checked": count,
    "coverage": lambda value: 0 <= value <= 1,
    "damaged": lambda value: isinstance(value, list),
}
DRILL = {
    "drill": str,
    "store": str,
    "copy": str,
    "role": ROLES,
    "scope": str,
    "snapshot": optional(full_id),
    "as_of": optional(instant),
    "verdict": {"verified", "not_verified", "could_not_run"},
    "reason": str,
    "checks": [{"name": str, "state": {"passed", "failed", "skipped"}, "detail": str}],
    "rto": {
        "target_s": seconds,
        "measured_s": optional(seconds),
        "projected_s": optional(seconds),
        "met": optional(bool),
    },
    "rpo": {"target_s": seconds, "measured_s": optional(seconds), "met": optional(bool)},
    "files": count,
    "bytes": count,
    "report": optional(str),
}
BUCKET = {"verdict": str, "protected_until": instant, "files": count, "requests": count}
MEDIUM = {
    "medium": str,
    "serial": optional(str),
    "state": {"in_use", "away", "retired"},
    "holder": optional(str),
    "location": optional(str),
    "last_seen": instant,
    "due": optional(instant),
}
STUDY = {
    "study": str,
    "store": str,
    "patient": optional(str),
    "files": count,
    "size_bytes": count,
}
SNAPSHOT = {
    "snapshot": full_id,
    "store": str,
    "at": instant,
    "files": count,
    "bytes": count,
    "copies": [str],
}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, object_lock_server: ObjectLockServer
) -> Iterator[LabSite]:
    folder = tmp_path_factory.mktemp("contract")
    media = {"red": 48, "blue": 16}
    with lab_site(folder, server=object_lock_server, media=media, warm=shared()) as made:
        made.cli.ask("backup")
        jobs = made.file.parent / "jobs"
        jobs.mkdir()
        for job in made.cli.ask("job", "list")["jobs"]:
            if job["name"] != "status":
                (jobs / f"{job['name']}.toml").write_text("enabled = false\n")
        (jobs / "small-check.toml").write_text(
            'action = "check"\nschedule = "0 4 * * *"\ncopies = ["local"]\nslices = 30\n'
        )
        yield made


def agree(document: Any, shape: Any) -> None:
    assert differences(document, shape) == []


class TestJsonDocuments:
    def test_backup_says_what_happened_in_each_store_and_copy(self, site: LabSite) -> None:
        (site.images / "new.txt").write_text("new")
        document = site.cli.ask("backup", "xrays")
        agree(document, BACKUP)
        assert document["outcome"] == "succeeded"
        (store,) = document["stores"]
        assert (store["files_new"], store["files_changed"]) == (1, 0)
        assert {copy["copy"] for copy in store["copies"]} == {"disk", "rotation", "vault"}
        assert all(copy["state"] == "proven" for copy in store["copies"])

    def test_replicate_says_what_was_sent(self, site: LabSite) -> None:
        document = site.cli.ask("replicate")
        agree(document, {"run": str, "outcome": OUTCOMES, "copies": [COPY_RESULT]})
        (one,) = site.cli.ask("replicate", "vault", "--store", "xrays")["copies"]
        assert one["copy"] == "vault"

    def test_status_gives_the_verdict_with_every_fact(self, site: LabSite) -> None:
        document = site.cli.ask("status")
        agree(
            document,
            {"stores": [STATUS_STORE], "missed": list, "warnings": list, "disposals": list},
        )
        (one,) = document["stores"]
        assert one["verdict"] == "met", one["reasons"]
        assert {c["copy"]: c["protected_until"] is not None for c in one["copies"]} == {
            "disk": False,
            "rotation": False,
            "vault": True,
        }

    def test_snapshots_name_the_copies_that_hold_each(self, site: LabSite) -> None:
        document = site.cli.ask("snapshots", "xrays")
        agree(document, {"snapshots": [SNAPSHOT]})
        assert set(document["snapshots"][0]["copies"]) == {"disk", "rotation", "vault"}

    def test_check_counts_what_it_read(self, site: LabSite) -> None:
        document = site.cli.ask("check", "disk")
        agree(document, {"copies": [CHECK_COPY]})
        (one,) = document["copies"]
        assert one["coverage"] == 1.0
        assert one["files_checked"] > 5
        sliced = site.cli.ask("check", "disk", "--slice", "1/3", "--no-structure")
        agree(sliced, {"copies": [CHECK_COPY]})
        assert sliced["copies"][0]["files_checked"] < one["files_checked"]

    def test_restore_says_whether_it_was_verified(self, site: LabSite) -> None:
        study = site.cli.ask("study", "list")["studies"][0]
        document = site.cli.ask(
            "restore", "xrays", "--to", site.folder / "one", "--study", study["study"]
        )
        agree(document, {"run": str, "files": count, "bytes": count, "suppressed": count})
        assert document["verified"] is True
        assert (document["files"], document["bytes"]) == (study["files"], study["size_bytes"])

    def test_a_drill_says_what_was_checked_and_how_long_it_took(self, site: LabSite) -> None:
        # Some sample images are broken by design, so which verdict it is hangs on the slice.
        answer = site.cli.run(
            "--json", "drill", "run", "xrays", "--copy", "vault", "--scope", "1/3"
        )
        assert answer.code in (0, 1), answer
        agree(answer.document, DRILL)
        assert answer.code == (0 if answer.document["verdict"] == "verified" else 1)
        assert Path(answer.document["report"]).is_file()
        shown = site.cli.ask("drill", "show", answer.document["drill"])
        assert shown == answer.document
        row = {"drill": str, "started_at": instant, "verdict": str, "rto": dict, "rpo": dict}
        listed = site.cli.ask("drill", "list")
        agree(listed, {"drills": [row], "coverage": [{"store": str, "copy": str}], "missed": list})

    def test_bucket_commands_give_verdict_and_requests(self, site: LabSite) -> None:
        for verb, verdict in (("probe", "held"), ("coverage", "covered"), ("extend", "fresh")):
            document = site.cli.ask("bucket", verb, "vault")
            agree(document, BUCKET)
            assert document["verdict"] == verdict
        agree(site.cli.ask("bucket", "create", "vault"), {"copy": str, "lock_enabled": {True}})
        agree(site.cli.ask("bucket", "sweep", "vault"), {"removed": count, "locked": count})

    def test_media_go_round_with_their_custody(self, site: LabSite) -> None:
        cli = site.cli
        agree(cli.ask("medium", "list"), {"media": [MEDIUM]})
        (away,) = cli.ask(
            "--as", "it", "medium", "release", "rotation", "--holder", "it", "--location", "safe"
        )["media"]
        agree(away, MEDIUM)
        assert (away["state"], away["holder"], away["location"]) == ("away", "it", "safe")
        label = away["label"]
        site.media[label].mount()
        (back,) = cli.ask("medium", "receive", label)["media"]
        agree(back, MEDIUM)
        assert back["state"] == "in_use"
        agree(cli.ask("medium", "mount", "rotation"), {"media": [MEDIUM]})
        (gone,) = cli.ask("medium", "retire", "blue", "--note", "old")["media"]
        assert gone["state"] == "retired"
        assert "blue" not in [m["label"] for m in cli.ask("medium", "list")["media"]]
        agree(cli.ask("medium", "list", "--retired"), {"media": [MEDIUM]})

    def test_lists_of_jobs_stores_studies_and_keys(self, site: LabSite) -> None:
        cli = site.cli
        job = {"name": str, "origin": str, "last_slot": optional(str), "next_at": instant}
        agree(cli.ask("job", "list"), {"jobs": [job], "disabled": [str]})
        agree(cli.ask("store", "list"), {"stores": [{"store": str, "path": str}]})
        agree(cli.ask("store", "show", "xrays"), {"store": str, "files": count})
        agree(cli.ask("study", "list", "--store", "xrays"), {"studies": [STUDY]})
        key = cli.ask("study", "list")["studies"][0]["study"]
        shown = cli.ask("study", "show", key)
        agree(shown, {"studies": [{**STUDY, "copies": [str], "due": optional(instant)}]})
        agree(cli.ask("key", "list"), {"keyring": str, "keys": [{"name": str, "purpose": str}]})
        opened = cli.ask("key", "check")
        agree(opened, {"repositories": [{"repository": str, "opens": {True}}]})

    def test_a_job_run_is_the_run(self, site: LabSite) -> None:
        document = site.cli.ask("job", "run", "small-check")
        agree(document, {"job": str, "run": str, "outcome": OUTCOMES})

    def test_daemon_once_lists_the_jobs_it_ran(self, site: LabSite) -> None:
        agree(
            site.cli.ask("daemon", "--once"),
            {"jobs": [{"job": str, "slot": str, "outcome": {"succeeded"}}]},
        )

    def test_doctor_lists_findings_and_fails_if_one_does(self, site: LabSite) -> None:
        finding = {
            "name": str,
            "state": {"ok", "warn", "fail", "unknown"},
            "detail": str,
            "hint": optional(str),
        }
        agree(site.cli.ask("doctor"), {"checks": [finding]})
        away = site.images.rename(site.images.with_name("away"))
        broken = site.cli.ask("doctor", code=1)
        away.rename(site.images)
        agree(broken, {"checks": [finding]})
        assert [f["name"] for f in broken["checks"] if f["state"] == "fail"] == ["store xrays"]

    def test_rotate_says_what_it_would_forget_and_forgets_nothing(self, site: LabSite) -> None:
        document = site.cli.ask("rotate")
        agree(document, {"stores": [{"store": str, "executed": {False}, "files_removed": {0}}]})

    def test_kit_and_unwrap_show_secrets_only_where_that_is_the_purpose(
        self, site: LabSite
    ) -> None:
        kit = site.cli.ask("--as", "it", "key", "kit", "--to", site.folder / "kit")
        agree(kit, {"recovery_kit": str})
        unwrapped = site.cli.run("key", "unwrap", "--repository", "xrays")
        password = unwrapped.out.strip()
        assert len(password) == 43
        assert password in Path(kit["recovery_kit"]).read_text()
        assert password not in json.dumps(site.cli.ask("key", "list"))

    def test_init_says_where_the_kit_is(self, site: LabSite) -> None:
        answer = site.cli.run("--json", "init", site.folder / "second", "--store", site.images)
        agree(answer.document, {"site": str, "state_dir": str, "recovery_kit": str})
        assert "MUST LEAVE THIS MACHINE" in answer.err
        for path in answer.document["site"], answer.document["recovery_kit"]:
            assert Path(path).stat().st_mode & 0o077 == 0

    def test_catalog_rebuild_brings_back_what_it_had(self, site: LabSite) -> None:
        before = site.cli.ask("snapshots")["snapshots"]
        document = site.cli.ask("catalog", "rebuild", "--copy", "vault")
        agree(document, {"rows": count, "snapshots": count, "files": count, "put_aside": str})
        after = site.cli.ask("snapshots")["snapshots"]
        assert [s["snapshot"] for s in after] == [s["snapshot"] for s in before]


class TestHumans:
    def test_every_command_explains_itself(self) -> None:
        cli = CommandLine()
        tree = command_tree()
        # One process shows that it works installed; the rest need no process each.
        assert "Exit codes" in cli.run("--help").out
        for name, command in tree.items():
            assert command.help, name
            assert command.help.strip().splitlines()[0].endswith((".", ";", "?", ",", ":")), name

    def test_the_root_lists_every_exit_code(self) -> None:
        text = CommandLine().run("--help").out
        for code in EXIT_CODES:
            assert f" {code}  " in text, code

    def test_help_names_exit_statuses_where_they_matter(self) -> None:
        tree = command_tree()
        wanted = [
            "backup",
            "check",
            "restore",
            "rotate",
            "status",
            "doctor",
            "key check",
            "daemon",
            "drill run",
        ]
        for name in [*wanted, "bucket probe", "bucket coverage", "bucket extend"]:
            assert "exit status" in " ".join((tree[name].help or "").split()).lower(), name
        assert "Exit status: 0 done" in CommandLine().run("backup", "--help").out

    def test_without_json_people_get_text_and_messages_on_stderr(self, site: LabSite) -> None:
        installed = replace(site.cli, warm=None)
        for words in (["status"], ["job", "list"], ["doctor"]):
            answer = installed.run(*words)
            assert answer.code == 0
            assert answer.out.strip(), words
            assert not answer.out.lstrip().startswith("{")
            assert answer.err == "", words

    def test_an_error_is_one_line_and_a_hint(self, site: LabSite) -> None:
        answer = site.cli.run("backup", "nowhere")
        assert (answer.code, answer.out) == (10, "")
        first, second = answer.err.splitlines()
        assert first.startswith("error: there is no store named 'nowhere'")
        assert second.startswith("hint:  orchestrator store list")


class TestSiteFile:
    def test_by_option_by_environment_and_by_folder(self, site: LabSite) -> None:
        inside = CommandLine(cwd=site.file.parent)
        assert inside.ask("key", "list") == site.cli.ask("key", "list")
        # The option wins over the environment, the environment over the folder.
        wrong = inside.with_env(ORCHESTRATOR_SITE=str(site.folder / "none.toml"))
        assert wrong.fail("key", "list", code=2)["error"] == "ConfigError"
        assert wrong.ask("--site", site.file, "key", "list")

    def test_none_anywhere_says_how_to_begin(self, tmp_path: Path) -> None:
        body = CommandLine(cwd=tmp_path).fail("status", code=2)
        assert "orchestrator init" in body["hint"]
