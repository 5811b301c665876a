from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from orchestrator.keys.key_file import write_key_file
from orchestrator.keys.keyring import Keyring
from orchestrator.keys.secret import Secret

REPOSITORY_ID = "ab" * 32
KEY_ID = "cd" * 32
AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "keys" / "keyring.json", tmp_path / "keys" / "site.key"


@pytest.fixture
def keyring(paths):
    keyring = Keyring.create(*paths)
    keyring.add_repository("xrays")
    return keyring


def rewrite(path, change):
    """Change the file as somebody would who can compute its checksum, but has no key."""
    body = json.loads(path.read_text())
    body.pop("sha256")
    change(body)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    path.write_text(json.dumps(body | {"sha256": hashlib.sha256(canonical).hexdigest()}))


def test_a_repository_may_have_the_name_of_a_key_of_the_site(keyring):
    assert keyring.find_repository("stream") is None
    keyring.add_repository("stream")
    keyring.bind("stream", REPOSITORY_ID, [KEY_ID])
    assert keyring.find_repository("stream").key_ids == (KEY_ID,)


def test_every_key_comes_back_after_opening(paths, keyring):
    keyring.add_repository("ct-2024")
    again = Keyring.open(*paths)
    assert again.id == keyring.id
    for name in ("xrays", "ct-2024"):
        assert again.password(name) == keyring.password(name)
    assert again.catalog_key() == keyring.catalog_key()
    assert again.pseudonym_key() == keyring.pseudonym_key()
    assert again.stream_key() == keyring.stream_key()
    own = {again.catalog_key(), again.pseudonym_key(), again.stream_key()}
    assert len(own) == 3
    assert {len(key) for key in own} == {32}


def test_a_password_is_32_bytes_in_base64url(keyring):
    text = keyring.password("xrays").reveal()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", text)
    assert len(base64.urlsafe_b64decode(text + "=")) == 32


def test_no_key_stands_in_the_file_or_in_its_entries(paths, keyring):
    raw = paths[0].read_bytes()
    secrets = [
        keyring.password("xrays").reveal().encode(),
        base64.b64encode(keyring.catalog_key()),
        keyring.stream_key(),
        paths[1].read_bytes(),
        keyring.site_key().reveal().encode(),
    ]
    for secret in secrets:
        assert secret not in raw
        assert secret.decode("latin-1") not in repr(keyring.entries())
    assert "xrays" in repr(keyring.entries())


def test_files_are_private(paths, keyring):
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]
    assert stat.S_IMODE(paths[0].parent.stat().st_mode) == 0o700
    assert len(paths[1].read_bytes()) == 32


def test_a_keyring_is_never_overwritten(paths, keyring):
    before = [path.read_bytes() for path in paths]
    with pytest.raises(RefusedError):
        Keyring.create(*paths)
    assert [path.read_bytes() for path in paths] == before


def test_a_key_file_left_by_a_cut_off_attempt_is_used(paths):
    paths[1].parent.mkdir()
    paths[1].write_bytes(b"k" * 32)
    paths[1].chmod(0o600)
    Keyring.create(*paths)
    assert paths[1].read_bytes() == b"k" * 32
    Keyring.open(*paths)


def test_a_repository_keeps_its_first_password(keyring):
    first = keyring.password("xrays")
    with pytest.raises(RefusedError):
        keyring.add_repository("xrays")
    assert keyring.password("xrays") == first


@pytest.mark.parametrize("name", ["", "X", "a/b", "../x", "a b", "-a", "a" * 64])
def test_wrong_repository_names_are_refused(keyring, name):
    with pytest.raises(UsageError):
        keyring.add_repository(name)


def test_an_unknown_repository_is_not_found(keyring):
    with pytest.raises(NotFoundError):
        keyring.password("ct")
    with pytest.raises(NotFoundError):
        keyring.bind("ct", REPOSITORY_ID, [])


def test_a_repository_another_process_added_is_found(paths, keyring):
    other = Keyring.open(*paths)
    other.add_repository("ct")
    assert keyring.password("ct") == other.password("ct")
    keyring.add_repository("mr")
    assert {entry.name for entry in Keyring.open(*paths).entries()} >= {"xrays", "ct", "mr"}


def test_binding_is_kept_and_password_unchanged(paths, keyring):
    password = keyring.password("xrays")
    keyring.bind("xrays", REPOSITORY_ID, [KEY_ID, KEY_ID])
    entry = next(one for one in Keyring.open(*paths).entries() if one.name == "xrays")
    assert (entry.repository_id, entry.key_ids) == (REPOSITORY_ID, (KEY_ID,))
    keyring.bind("xrays", REPOSITORY_ID, ["ee" * 32, KEY_ID])
    assert keyring.entries()[-1].key_ids == (KEY_ID, "ee" * 32)
    assert Keyring.open(*paths).password("xrays") == password


def test_a_name_is_bound_to_one_repository_for_good(keyring):
    keyring.bind("xrays", REPOSITORY_ID, [KEY_ID])
    with pytest.raises(RefusedError):
        keyring.bind("xrays", "ef" * 32, [KEY_ID])


@pytest.mark.parametrize("wrong", ["", "abcd1234", "AB" * 32, "zz" * 32])
def test_short_ids_are_refused(keyring, wrong):
    with pytest.raises(UsageError):
        keyring.bind("xrays", wrong, [])
    with pytest.raises(UsageError):
        keyring.bind("xrays", REPOSITORY_ID, [wrong])


def test_the_site_key_opens_the_keyring_and_remakes_the_key_file(paths, keyring):
    site_key = keyring.site_key()
    opened = Keyring.open_with_site_key(paths[0], site_key)
    assert opened.password("xrays") == keyring.password("xrays")
    key = paths[1].read_bytes()
    paths[1].unlink()
    # As typed off paper: in groups.
    text = site_key.reveal()
    write_key_file(paths[1], Secret(f"{text[:20]} {text[20:]}\n"))
    assert paths[1].read_bytes() == key
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600
    with pytest.raises(RefusedError):
        write_key_file(paths[1], site_key)
    with pytest.raises(CredentialError):
        Keyring.open_with_site_key(paths[0], Secret("not a key"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620])
def test_a_key_file_others_can_read_is_refused(paths, keyring, mode):
    paths[1].chmod(mode)
    with pytest.raises(CredentialError, match="by others") as caught:
        Keyring.open(*paths)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"k" * 31, b"k" * 33, b"k" * 1000])
def test_what_is_no_key_file_is_refused(paths, keyring, content):
    paths[1].write_bytes(content)
    with pytest.raises(DamageError, match="is no key file"):
        Keyring.open(*paths)


def test_a_folder_is_no_key_file(paths, keyring, tmp_path):
    with pytest.raises(CredentialError, match="is a directory"):
        Keyring.open(paths[0], tmp_path)


@pytest.mark.parametrize(("index", "name"), [(0, "keyring"), (1, "key file")])
def test_a_missing_file_is_named_with_a_way_out(paths, keyring, index, name):
    paths[index].unlink()
    with pytest.raises(CredentialError, match=f"{name}.* is missing") as caught:
        Keyring.open(*paths)
    assert "recovery kit" in caught.value.hint


def test_a_foreign_key_file_is_told_from_damage(paths, keyring, tmp_path):
    foreign = tmp_path / "foreign.key"
    foreign.write_bytes(os.urandom(32))
    foreign.chmod(0o600)
    with pytest.raises(CredentialError, match="does not belong"):
        Keyring.open(paths[0], foreign)


def test_every_flipped_byte_of_the_keyring_is_damage(paths, keyring):
    whole = paths[0].read_bytes()
    body = json.loads(whole)
    for position in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0x01
        try:
            same = json.loads(spoiled) == body
        except ValueError:
            same = False
        if same:  # White space.
            continue
        paths[0].write_bytes(spoiled)
        with pytest.raises(DamageError):
            Keyring.open(*paths)


def test_a_cut_keyring_is_damage(paths, keyring):
    whole = paths[0].read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 2):
        paths[0].write_bytes(whole[:length])
        with pytest.raises(DamageError):
            Keyring.open(*paths)


@pytest.mark.parametrize("text", ["[]", "7", "null", '{"sha256": 1}', "[" * 100_000])
def test_other_json_is_no_keyring(paths, keyring, text):
    paths[0].write_text(text)
    with pytest.raises(DamageError):
        Keyring.open(*paths)


def test_a_newer_format_is_told_from_damage(paths, keyring):
    rewrite(paths[0], lambda body: body.update(keyring=2))
    with pytest.raises(DamageError, match="not known"):
        Keyring.open(*paths)


def test_key_ids_cannot_be_added_without_the_key(paths, keyring):
    keyring.bind("xrays", REPOSITORY_ID, [KEY_ID])
    rewrite(paths[0], lambda body: body["entries"][-1]["key_ids"].append("ee" * 32))
    with pytest.raises(DamageError, match="does not have its key"):
        Keyring.open(*paths)


def test_entries_cannot_be_removed_or_swapped_without_the_key(paths, keyring):
    keyring.add_repository("ct")
    whole = paths[0].read_bytes()

    def swap(body):
        one, two = body["entries"][-2:]
        one["wraps"], two["wraps"] = two["wraps"], one["wraps"]

    for change in (swap, lambda body: body["entries"].pop()):
        paths[0].write_bytes(whole)
        rewrite(paths[0], change)
        with pytest.raises(DamageError):
            Keyring.open(*paths)


def test_a_wrap_is_bound_to_purpose_name_and_keyring(paths, keyring, tmp_path):
    from orchestrator.keys.keyring_file import Entry, KeyringFile, seal, unseal

    key = os.urandom(32)
    file = KeyringFile("0" * 32, ())
    sealed = seal(file, Entry("repository", "xrays"), b"s" * 32, key)
    assert unseal(file, sealed, key) == b"s" * 32
    for other in (
        (file, Entry("repository", "ct", wraps=sealed.wraps)),
        (file, Entry("site", "xrays", wraps=sealed.wraps)),
        (KeyringFile("1" * 32, ()), sealed),
    ):
        with pytest.raises(DamageError):
            unseal(*other, key)


def test_an_entry_may_have_several_wraps():
    from orchestrator.keys.keyring_file import Entry, KeyringFile, seal, unseal

    one, two = os.urandom(32), os.urandom(32)
    file = KeyringFile("0" * 32, ())
    entry = seal(file, Entry("repository", "xrays"), b"s" * 32, one)
    entry = seal(file, entry, b"s" * 32, two)
    assert unseal(file, entry, one) == unseal(file, entry, two) == b"s" * 32
    with pytest.raises(CredentialError):
        unseal(file, entry, os.urandom(32))


def test_a_keyring_replaced_under_us_is_noticed(paths, keyring, tmp_path):
    paths[0].unlink()
    Keyring.create(*paths)
    with pytest.raises(CredentialError, match="replaced"):
        keyring.add_repository("ct")


def test_a_disk_that_refuses_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EngineError):
        Keyring.create(tmp_path / "file" / "keyring.json", tmp_path / "site.key")
    with pytest.raises(EngineError):
        Keyring.create(tmp_path / "keyring.json", tmp_path / "file" / "site.key")
    assert not (tmp_path / "keyring.json").exists()


def test_errors_hold_no_secret(paths, keyring):
    password = keyring.password("xrays").reveal()
    assert password not in repr(keyring.password("xrays"))
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    with pytest.raises(DamageError) as caught:
        Keyring.open(*paths)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_kept_key_comes_back_and_is_never_replaced(paths, keyring):
    assert keyring.site_secret("ledger-1") is None
    other = Keyring.open(*paths)
    keyring.add_site_secret("ledger-1", b"s" * 32)
    assert other.site_secret("ledger-1") == b"s" * 32
    with pytest.raises(RefusedError, match="ledger-1"):
        other.add_site_secret("ledger-1", b"t" * 32)
    with pytest.raises(RefusedError):
        other.add_site_secret("catalog", b"t" * 32)
    assert Keyring.open(*paths).site_secret("ledger-1") == b"s" * 32


def test_a_key_needs_a_plain_name(keyring):
    with pytest.raises(UsageError):
        keyring.add_site_secret("../ledger", b"s" * 32)


def test_a_destroyed_password_is_in_the_file_no_more_and_its_name_is(paths, keyring):
    keyring.bind("xrays", REPOSITORY_ID, [KEY_ID])
    (before,) = (one for one in keyring.entries() if one.name == "xrays")
    sealed = base64.b64encode(before.wraps[0].sealed)
    assert sealed in paths[0].read_bytes()
    keyring.destroy("xrays", at=AT)
    assert sealed not in paths[0].read_bytes()
    again = Keyring.open(*paths)
    (after,) = (one for one in again.entries() if one.name == "xrays")
    assert (after.wraps, after.destroyed_at) == ((), AT.isoformat())
    assert (after.repository_id, after.key_ids) == (REPOSITORY_ID, (KEY_ID,))
    for ring in (keyring, again):
        with pytest.raises(CredentialError, match="destroyed"):
            ring.password("xrays")
    assert again.catalog_key() == keyring.catalog_key()


def test_a_destroyed_password_is_not_made_anew_and_keeps_its_first_date(paths, keyring):
    keyring.destroy("xrays", at=AT)
    with pytest.raises(RefusedError):
        keyring.add_repository("xrays")
    keyring.destroy("xrays", at=AT + timedelta(days=1))
    assert keyring.entries()[-1].destroyed_at == AT.isoformat()
    with pytest.raises(NotFoundError):
        keyring.destroy("other", at=AT)


def test_an_entry_without_wraps_that_was_not_destroyed_is_refused(paths, keyring):
    def strip(body):
        body["entries"][-1]["wraps"] = []

    rewrite(paths[0], strip)
    with pytest.raises(CredentialError):
        Keyring.open(*paths)


def test_nobody_without_the_key_can_mark_a_key_as_destroyed(paths, keyring):
    def mark(body):
        body["entries"][-1]["wraps"] = []
        body["entries"][-1]["destroyed_at"] = AT.isoformat()

    rewrite(paths[0], mark)
    with pytest.raises(DamageError):
        Keyring.open(*paths)
