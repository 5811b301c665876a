"""Fields and pseudonyms."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog.encryption import FieldCipher, Pseudonyms
from orchestrator.errors import DamageError

KEY = bytes(range(32))
CIPHER = FieldCipher(KEY)
NAMES = Pseudonyms(KEY)


@given(st.binary(max_size=300), st.text(max_size=50))
def test_a_field_comes_back_as_it_went_in(plain: bytes, context: str) -> None:
    field = CIPHER.encrypt(plain, context)
    assert CIPHER.decrypt(field, context) == plain


@given(st.binary(min_size=8, max_size=100))
def test_equal_plaintexts_give_different_fields(plain: bytes) -> None:
    first, second = CIPHER.encrypt(plain, "c"), CIPHER.encrypt(plain, "c")
    assert first != second
    assert plain not in first


@given(st.binary(max_size=60), st.data())
def test_any_flipped_bit_is_damage(plain: bytes, data: st.DataObject) -> None:
    field = bytearray(CIPHER.encrypt(plain, "c"))
    bit = data.draw(st.integers(0, len(field) * 8 - 1))
    field[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamageError):
        CIPHER.decrypt(bytes(field), "c")


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_field_moved_elsewhere_is_damage(here: str, there: str) -> None:
    field = CIPHER.encrypt(b"x", here)
    if here == there:
        assert CIPHER.decrypt(field, there) == b"x"
        return
    with pytest.raises(DamageError):
        CIPHER.decrypt(field, there)


@pytest.mark.parametrize("length", range(29))
def test_a_field_cut_short_is_damage(length: int) -> None:
    with pytest.raises(DamageError):
        CIPHER.decrypt(CIPHER.encrypt(b"", "c")[:length], "c")


def test_another_key_does_not_open_a_field() -> None:
    field = CIPHER.encrypt(b"x", "c")
    with pytest.raises(DamageError, match="another key"):
        FieldCipher(bytes(32)).decrypt(field, "c")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_keys_are_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        FieldCipher(bytes(length))
    with pytest.raises(ValueError, match="32"):
        Pseudonyms(bytes(length))


def test_pseudonyms_do_not_change_between_releases() -> None:
    """They stand in ledgers and certificates for decades."""
    assert NAMES.study("1.2.3") == "xstrqth2oirw2sli"
    assert NAMES.series("1.2.3") == "viueiiznlbnarrdo"
    assert NAMES.instance("1.2.3") == "cbqsiggzvdsaeoal"
    assert NAMES.patient("issuer", "42") == "my4tiid5vh2puz7h"
    assert NAMES.path("xrays", b"a/b") == "f1798c8d324a4ae68cdebb7c4312dd6b"


def test_a_pseudonym_can_be_computed_by_hand() -> None:
    """The recipe an auditor would follow: HMAC-SHA256, 80 bits, base32."""
    digest = hmac.new(KEY, b"7:patient3:elm2:42", "sha256").digest()
    assert NAMES.patient("ELM", "42") == base64.b32encode(digest)[:16].decode().lower()
    digest = hmac.new(KEY, b"4:path5:xrays3:a/b", "sha256").digest()
    assert NAMES.path("xrays", b"a/b") == digest.hex()[:32]


def test_a_broken_header_still_has_a_pseudonym() -> None:
    assert NAMES.study("1.2\ud800") != NAMES.study("1.2\ud801")


def test_pseudonyms_depend_on_kind_and_key() -> None:
    uid = "1.2.3"
    made = [
        NAMES.study(uid),
        NAMES.series(uid),
        NAMES.instance(uid),
        Pseudonyms(bytes(32)).study(uid),
    ]
    assert len(set(made)) == 4
    assert all(len(name) == 16 and name.isascii() and name == name.lower() for name in made)


@given(st.text(), st.text(), st.text(), st.text())
def test_patients_are_told_apart_by_issuer_and_id(a: str, b: str, c: str, d: str) -> None:
    """No shifting of characters from issuer to id makes two patients one."""
    same = NAMES.patient(a, b) == NAMES.patient(c, d)
    if same and NAMES.patient(a, b) is not None:
        assert _normal(a).casefold() == _normal(c).casefold()
        assert _normal(b) == _normal(d)


def _normal(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFKC", text).strip()


def test_an_empty_patient_id_is_nobody() -> None:
    assert NAMES.patient("issuer", "") is None
    assert NAMES.patient("issuer", "  \u3000") is None


def test_a_patient_is_the_same_however_it_is_written() -> None:
    assert NAMES.patient("Elm Street", "１２３ ") == NAMES.patient("ELM STREET", "123")
    assert NAMES.patient("x", "abc") != NAMES.patient("x", "ABC")


@given(st.text(max_size=5), st.binary(max_size=5), st.text(max_size=5), st.binary(max_size=5))
def test_paths_of_different_stores_have_different_keys(
    store: str, path: bytes, other: str, elsewhere: bytes
) -> None:
    same = NAMES.path(store, path) == NAMES.path(other, elsewhere)
    assert same == ((store, path) == (other, elsewhere))
