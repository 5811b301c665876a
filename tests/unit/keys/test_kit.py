from __future__ import annotations

import base64
import os
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from orchestrator.errors import DamageError, EngineError, UsageError
from orchestrator.keys.kit import load_kit, write_kit
from orchestrator.keys.kit_commands import copy_commands, hidden_commands, site_commands
from orchestrator.keys.kit_contents import (
    BEGIN,
    END,
    KitContents,
    KitCopy,
    KitRepository,
    block,
    checksum,
)
from orchestrator.keys.kit_page import render_page
from orchestrator.keys.kit_text import render_text
from orchestrator.keys.secret import Secret

PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"


def password() -> Secret:
    return Secret(base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="))


def make(*stores: str, site: str = "Elm Street <Dental> & Söhne") -> KitContents:
    def places(base: str) -> dict[str, str]:
        return {name: f"{base}/{name}" for name in stores}

    return KitContents(
        site=site,
        made_at=datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC),
        version="0.1.0",
        keyring_id="12" * 16,
        site_key=Secret(base64.b64encode(os.urandom(32)).decode()),
        repositories=tuple(
            KitRepository(name, name, "ab" * 32, password(), "cd" * 32) for name in stores
        ),
        copies=(
            KitCopy("disk", "local", "The disk of the server.", places("/backup/my disk")),
            KitCopy("rotation", "offline", "USB disks, box 17.", places("/media/OFF-A/repos")),
            KitCopy(
                "vault",
                "immutable",
                "Bucket at the provider.",
                places("s3:https://objects.example:8443/vault/x"),
                region="us-east-1",
                ca_certificate=PEM,
            ),
        ),
    )


@pytest.fixture
def contents() -> KitContents:
    return make("xrays", "ct")


def test_a_kit_reads_back_as_it_was_written(tmp_path, contents):
    files = write_kit(tmp_path / "kit", contents)
    assert load_kit(files.text) == contents
    assert load_kit(files.text).repositories[0].password == contents.repositories[0].password


def test_the_block_alone_reads_back(tmp_path, contents):
    scanned = tmp_path / "scan.json"
    scanned.write_text(block(contents))
    assert scanned.read_text().isascii()
    assert load_kit(scanned) == contents


def test_white_space_and_line_ends_do_not_matter(tmp_path, contents):
    text = write_kit(tmp_path, contents).text
    text.write_bytes(b"\xef\xbb\xbf" + text.read_bytes().replace(b"\n", b"\r\n  "))
    assert load_kit(text) == contents


def test_files_are_private_and_replace_earlier_ones(tmp_path, contents):
    write_kit(tmp_path / "kit", make("old"))
    files = write_kit(tmp_path / "kit", contents)
    for path in (files.text, files.html):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list((tmp_path / "kit").iterdir())) == 2
    assert load_kit(files.text) == contents


def test_a_typing_error_is_found_and_placed(tmp_path, contents):
    text = write_kit(tmp_path, contents).text
    secret = contents.repositories[1].password.reveal()
    wrong = ("a" if secret[0] != "a" else "b") + secret[1:]
    text.write_text(text.read_text().replace(secret, wrong))
    with pytest.raises(DamageError, match="the password of ct") as caught:
        load_kit(text)
    assert secret not in str(caught.value)
    assert wrong not in str(caught.value)


def test_every_changed_character_of_the_block_is_found(tmp_path):
    contents = make("xrays")
    path = tmp_path / "scan.json"
    whole = block(contents)
    for position in range(len(whole)):
        path.write_text(whole[:position] + chr(ord(whole[position]) ^ 1) + whole[position + 1 :])
        with pytest.raises(DamageError):
            load_kit(path)


@pytest.mark.parametrize(
    "text", ["", "hello", "{}", "[]", "7", '{"kit": 9}', '{"kit": 1}', f"{BEGIN}\n{END}", "\0"]
)
def test_what_is_no_kit_is_refused(tmp_path, text):
    path = tmp_path / "kit.txt"
    path.write_text(text)
    with pytest.raises(DamageError):
        load_kit(path)


def test_a_missing_or_binary_kit_is_said(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_kit(tmp_path / "kit.txt")
    with pytest.raises(UsageError, match="directory"):
        load_kit(tmp_path)
    (tmp_path / "kit.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamageError):
        load_kit(tmp_path / "kit.txt")


def test_a_folder_that_cannot_be_made_is_said(tmp_path, contents):
    (tmp_path / "file").touch()
    with pytest.raises(EngineError):
        write_kit(tmp_path / "file" / "kit", contents)


def test_the_text_says_loudly_that_it_must_leave(contents):
    text = render_text(contents)
    assert "IT MUST LEAVE THIS COMPUTER" in text[:700]
    assert "Lock it away" in text[:700]
    assert checksum(contents) in text


def test_both_files_hold_all_that_is_needed(contents):
    page = Visible.of(render_page(contents))
    for where in (render_text(contents), page):
        assert contents.site in where
        assert contents.site_key.reveal() in where
        for one in contents.repositories:
            assert one.password.reveal() in where
            assert one.repository_id in where
            assert one.config_sha256 in where
        for copy in contents.copies:
            assert copy.reach in where
            for line in copy_commands(contents, copy):
                assert line in where


def test_commands_are_quoted_and_lock_nothing(contents):
    disk, _, vault = contents.copies
    lines = copy_commands(contents, disk)
    assert "restic -r '/backup/my disk/xrays' --no-lock --no-cache snapshots --tag data" in lines
    for line in site_commands(contents):
        assert len(line) <= 88
    for copy in contents.copies:
        for line in copy_commands(contents, copy):
            assert len(line) <= 88
    bucket = "\n".join(copy_commands(contents, vault))
    assert "AWS_ACCESS_KEY_ID='FILL IN'" in bucket
    assert "    -o s3.region=us-east-1 --cacert vault-ca.pem --no-lock --no-cache \\\n" in bucket
    assert PEM.strip() in bucket
    # Bucket credentials are never in a kit, so none can leak from it.
    assert bucket.count("FILL IN") == 2


def test_an_attacked_bucket_needs_no_product(contents):
    disk, rotation, vault = contents.copies
    assert hidden_commands(contents, disk) == hidden_commands(contents, rotation) == []
    lines = hidden_commands(contents, vault)
    assert "    --ca-cert vault-ca.pem bucket:vault/x/xrays ./bucket-xrays" in lines
    assert "export RCLONE_CONFIG_BUCKET_ENDPOINT=https://objects.example:8443" in lines
    assert max(map(len, lines)) <= 88
    for text in (render_text(contents), Visible.of(render_page(contents))):
        assert all(line in text for line in lines)


def test_the_site_comes_back_from_a_copy_that_was_not_in_the_computer(contents):
    disk, rotation, vault = contents.copies
    for copies, expected in (
        ((disk, rotation, vault), "/media/OFF-A/repos/xrays"),
        ((disk, vault), "s3:https://objects.example:8443/vault/x/xrays"),
        ((disk,), "/backup/my disk/xrays"),
    ):
        lines = "\n".join(site_commands(replace(contents, copies=copies)))
        assert lines.count(expected) == 2
        assert lines.count(" -r ") == 2


def test_the_page_loads_nothing_from_outside_and_escapes(contents):
    page = render_page(contents)
    assert "<Dental>" not in page
    assert not re.search(r"<(script|link|img|iframe)|url\(|@import", page)
    assert set(re.findall(r'(?:href|src)="([^"]*)"', page)) == set()
    assert page.count("<svg") == 4


def test_a_kit_too_long_for_a_code_says_so():
    page = render_page(make(*[f"store-{n}" for n in range(12)]))
    assert "too long for a QR code" in page
    assert page.count("<svg") == 13


def test_a_kit_without_repositories_can_be_made(tmp_path):
    contents = make()
    assert load_kit(write_kit(tmp_path, contents).text) == contents


def test_secrets_do_not_show_in_reprs(contents):
    assert contents.site_key.reveal() not in repr(contents)
    assert contents.repositories[0].password.reveal() not in repr(contents)


class Visible(HTMLParser):
    """The text of a page as it is copied from a browser."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    @classmethod
    def of(cls, page: str) -> str:
        parser = cls()
        parser.feed(page)
        return parser.text

    def handle_data(self, data: str) -> None:
        self.text += data
