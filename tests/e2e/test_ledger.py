"""The ledger by the installed command line: anchored, put back, lost, exported."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from datetime import timedelta
from html import unescape

from orchestrator.actions.ledger.record import Event, record
from tests.support.clock import ShiftedClock
from tests.support.timestamp_authority import timestamp_authority

STUDY = "abcdefghijklmnop"


def kept(site):
    """A copy of the ledger's folder, as a backup of the machine would have it."""
    aside = site.folder / "ledger-aside"
    shutil.copytree(site.state / "ledger", aside)
    return aside


def put_back(site, aside):
    shutil.rmtree(site.state / "ledger")
    shutil.copytree(aside, site.state / "ledger")


def add(site, **body):
    with site.opened() as opened:
        record(opened, [Event("key.created", body)])


def forget(site):
    """Forget what the catalog saw of the ledger, as a catalog that was put back too has."""
    with closing(sqlite3.connect(site.state / "catalog.sqlite")) as catalog:
        catalog.executescript(
            "update ledger set mirrored = 1; delete from ledger_outside; delete from ledger_anchor;"
        )


def test_an_anchored_ledger_that_was_put_back_is_not_signed_until_it_is_reopened(make_site):
    site = make_site(vault=True)
    aside = kept(site)
    size = len(site.ask("ledger", "list")["entries"])
    add(site, what="one")
    done = site.ask("ledger", "anchor")
    assert [one["state"] for one in done["anchors"]] == ["anchored"]
    again = site.ask("ledger", "anchor")["anchors"][0]
    assert (again["files"], again["extended"]) == (0, 0)
    old = site.folder / "old.checkpoint"
    old.write_text(done["checkpoint"])
    assert site.ask("ledger", "verify", "--against", old)["verdict"] == "verified"

    put_back(site, aside)
    found = site.run("ledger", "verify", expect=4).document
    assert any("put back" in problem for problem in found["problems"])
    refused = site.run("ledger", "anchor", expect=5).error
    assert "holds a checkpoint of" in refused["message"]
    assert "ledger reopen" in refused["hint"]
    # a backup is a backup, also where it cannot be recorded
    forget(site)
    with site.opened(ShiftedClock(timedelta(days=1))) as later:
        from orchestrator.actions.backup import back_up

        (result,) = back_up(later, ["xrays"], copies=[])
    assert result.snapshot is not None
    assert result.outcome == "partial"

    site.run("ledger", "reopen", "--note", "restored by mistake", expect=5)
    made = site.ask("--as", "privacy", "ledger", "reopen", "--note", "restored by mistake")
    assert made["origin"].endswith("/disposal/2")
    entries = site.ask("ledger", "list")["entries"]
    assert [one["type"] for one in entries][:2] == ["ledger.opened", "ledger.incident"]
    assert entries[0]["body"]["previous"]["size"] == size
    assert entries[1]["body"]["outside"][0]["size"] == done["entries"]
    assert site.ask("ledger", "anchor")["anchors"][0]["state"] == "anchored"
    # nobody may begin another one while this one is in order
    site.run("--as", "privacy", "ledger", "reopen", "--note", "again", expect=5)


def test_a_fork_of_the_anchored_ledger_is_not_signed(make_site):
    site = make_site(vault=True)
    aside = kept(site)
    add(site, what="the one")
    site.ask("ledger", "anchor")
    shutil.move(site.state / "ledger", site.folder / "true")
    shutil.copytree(aside, site.state / "ledger")
    forget(site)
    # somebody with the key writes another history of the same length, off the line
    from orchestrator.ledger.entry import Entry, build, new_id
    from orchestrator.ledger.log import Log

    with site.opened() as opened:
        ledger = opened.ledger
        log = Log.open(ledger.folder, ledger.signer)
        now = opened.clock.now()
        other = Entry("key.created", new_id(now), now, "system", {"what": "the other"})
        while log.checkpoint().size < 3:
            log.append([build(other)])
    refused = site.run("ledger", "anchor", expect=5).error
    assert "differs from the checkpoint" in refused["message"]


def test_the_key_that_opens_a_repository_is_recorded_once(make_site):
    site = make_site()
    for again in ("init", "backup"):
        site.run(again, *([site.folder] if again == "init" else []))
        entries = site.ask("ledger", "list")["entries"]
        (made,) = [one["body"] for one in entries if one["type"] == "key.created"]
    assert made["repository"] == "xrays"
    with site.opened() as opened:
        entry = opened.keyring.find_repository("xrays")
    assert entry is not None
    assert (made["repository_id"], len(made["keys"])) == (entry.repository_id, 1)


def test_a_ledger_that_was_lost_is_never_begun_again_in_silence(make_site):
    site = make_site()
    shutil.rmtree(site.state / "ledger")
    refused = site.run("init", site.folder, expect=5).error
    assert "ledger reopen" in refused["hint"]
    assert not (site.state / "ledger").exists()
    assert site.run("ledger", "list", expect=5).error["exit_code"] == 5


def test_a_ledger_from_a_copy_is_signed_only_on_somebodys_word(make_site):
    site = make_site()
    add(site, what="before the backup")
    site.ask("backup")
    size = site.ask("ledger", "list")["size"]
    shutil.rmtree(site.state / "ledger")
    (site.state / "catalog.sqlite").unlink()
    site.ask("catalog", "rebuild", "--copy", "disk")
    assert site.ask("ledger", "list")["size"] == size
    assert site.run("ledger", "anchor", expect=5).error["hint"].endswith("--unanchored")
    word = ("ledger", "anchor", "--unanchored", "--note", "the disk was replaced")
    site.run("--as", "it", *word, expect=5)
    site.ask("--as", "privacy", *word)
    newest = site.ask("ledger", "list")["entries"][-1]
    assert (newest["type"], newest["actor"]) == ("ledger.incident", "privacy")


def test_an_authority_and_a_witness_vouch_and_the_witness_refuses_a_fork(make_site, tmp_path):
    with timestamp_authority(tmp_path / "tsa") as authority:
        site = make_site()
        aside = kept(site)
        size = len(site.ask("ledger", "list")["entries"]) + 1
        watcher = site.folder / "watcher"
        vkey = site.ask("ledger", "witness", watcher, "--new", "watch.example")["vkey"]
        site.write(
            more=f'[ledger]\ntimestamp_url = "{authority.url}"\n'
            f'timestamp_ca = "{authority.ca}"\nwitness = "{vkey}"\n'
        )
        add(site, what="stamped")
        done = site.ask("ledger", "anchor")
        assert [(one["kind"], one["state"]) for one in done["anchors"]] == [
            ("timestamp", "anchored")
        ]
    key = site.ask("ledger", "list")["vkey"]

    def cosigned(name, seen, expect=0):
        request = site.folder / f"{name}.request"
        site.ask("ledger", "anchor", "--request", request, "--seen", seen)
        words = ("ledger", "witness", watcher, "--request", request, "--key", key)
        return site.run(*words, expect=expect)

    line = site.folder / "line.txt"
    line.write_text(cosigned("first", 0).document["cosignature"])
    site.ask("ledger", "anchor", "--cosignature", line)
    found = site.ask("ledger", "verify")
    assert {one["kind"] for one in found["anchors"]} == {"timestamp", "witness"}
    # the witness's memory, not the site's catalog, is what finds a ledger that was put back
    put_back(site, aside)
    forget(site)
    add(site, what="another history")
    assert "does not continue" in cosigned("second", size, expect=5).error["message"]
    line.write_text("— watch.example AAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
    site.run("ledger", "anchor", "--cosignature", line, expect=5)


def test_an_export_verifies_by_its_own_page_with_nothing_of_ours(make_site, tmp_path):
    with timestamp_authority(tmp_path / "tsa") as authority:
        site = make_site(
            more=f'[ledger]\ntimestamp_url = "{authority.url}"\ntimestamp_ca = "{authority.ca}"\n'
        )
        with site.opened() as opened:
            made = record(
                opened,
                [
                    Event("key.created", {"store": "=cmd|' /C calc'!A0"}),
                    Event(
                        "retention.adopted", {"schedule": "x"}, {"study": [STUDY]}, note="ja – 了解"
                    ),
                ],
            )
        site.ask("ledger", "anchor")
    bundle = site.folder / "export.zip"
    site.ask("ledger", "export", "--format", "bundle", "--to", bundle)
    site.run("ledger", "export", "--format", "bundle", "--to", bundle, expect=2)
    unpacked = site.folder / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(unpacked)
    page = (unpacked / "README-VERIFY.html").read_text()
    shown = [unescape(text) for text in re.findall(r"<pre class='try'>(.*?)</pre>", page, re.S)]
    said = [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=unpacked,
            capture_output=True,
            text=True,
            check=False,
        )
        for text in shown
    ]
    assert [one.returncode for one in said] == [0] * 5, [one.stderr for one in said]
    assert "CONSISTENT, BUT NOT VERIFIED" in said[0].stdout
    assert "Signature Verified Successfully" in said[1].stdout
    shown_entry, by_hand, in_tree = said[2].stdout.splitlines()
    assert shown_entry.encode() == made[-1].entry
    assert by_hand == in_tree
    assert "Verification: OK" in said[4].stdout + said[4].stderr
    # what was typed leaves nothing in the folder that the verifier would call wrong
    trusted = site.ask("ledger", "list")["vkey"]
    again = [sys.executable, "-I", "verify_ledger.py", ".", "--key", trusted]
    told_again = subprocess.run(again, cwd=unpacked, capture_output=True, text=True, check=False)
    assert "\nVERIFIED: " in told_again.stdout, told_again.stdout
    fingerprint = re.search(r"fingerprint ([0-9a-f ]{39})", said[0].stdout)
    assert fingerprint is not None
    assert fingerprint[1] in page

    table = site.folder / "export.csv"
    site.ask("ledger", "export", "--format", "csv", "--to", table)
    raw = table.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert rows[made[0].index]["store"].startswith("'=")
    assert rows[made[1].index]["note"] == "ja – 了解"
    lines = site.folder / "export.jsonl"
    site.ask("ledger", "export", "--format", "jsonl", "--to", lines, "--type", "retention")
    assert lines.read_bytes() == made[1].entry + b"\n"
    # what the entry is about stands nowhere but in a disclosure
    assert STUDY.encode() not in b"".join(
        path.read_bytes() for path in unpacked.rglob("*") if path.is_file()
    )
    (about,) = site.ask("ledger", "list", "--study", STUDY)["entries"]
    assert about["index"] == made[1].index
    secret = site.folder / "disclosure.json"
    nobody = site.run("ledger", "disclose", about["index"], "--to", secret, expect=5)
    assert "takes a person" in nobody.error["message"]
    site.ask("--as", "privacy", "ledger", "disclose", about["index"], "--to", secret)
    told = json.loads(secret.read_text())
    (subject,) = told["subjects"]
    assert subject["value"] == STUDY
    tag, salt = bytes.fromhex(told["tag"]), bytes.fromhex(subject["salt"])
    opened_by_hand = hashlib.sha256(tag + b"study\0" + salt + STUDY.encode()).hexdigest()
    assert f"sha256:{opened_by_hand}" in told["entry"]
    report = site.folder / "report.pdf"
    site.ask("ledger", "report", "--to-file", report)
    assert report.read_bytes().startswith(b"%PDF-1.7")
