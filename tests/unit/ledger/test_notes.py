"""Signed notes and checkpoints: what is accepted and, mostly, what is not."""

from __future__ import annotations

import base64

import pytest

from orchestrator.ledger import checkpoint, note
from orchestrator.ledger.note import COSIGNATURE, Verifier, cosign, parse_vkey, verifier_of
from orchestrator.ledger.standalone import verify_ledger
from orchestrator.ledger.tree import EMPTY_ROOT
from tests.support.ledger import ORIGIN, SIGNER, VERIFIER, signer

# Published with the formats: C2SP signed-note and tlog-cosignature.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ON"
    "ncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

ROOT = b"\x01" * 32
TEXT = checkpoint.body(ORIGIN, 7, ROOT)
SIGNED = note.sign(TEXT, SIGNER)


def test_the_published_example_is_accepted() -> None:
    verifier = parse_vkey(VKEY)
    assert verifier.vkey == VKEY
    assert note.signers_of(note.parse(NOTE), [verifier]) == [verifier]


def test_the_published_example_with_another_text_is_refused() -> None:
    changed = note.parse(NOTE.replace(b"an example", b"no example"))
    with pytest.raises(ValueError, match="is wrong"):
        note.signers_of(changed, [parse_vkey(VKEY)])


def test_the_standalone_verifier_accepts_the_published_example() -> None:
    key = verify_ledger.Key(VKEY)
    text, _, line = NOTE.rpartition(b"\n\n")
    verify_ledger.demand_signature(text + b"\n", [line.decode()[:-1]], key)


def test_a_checkpoint_is_read_as_it_was_signed() -> None:
    found = checkpoint.verify(SIGNED, [VERIFIER])
    assert (found.origin, found.size, found.root, found.data) == (ORIGIN, 7, ROOT, SIGNED)
    assert found.text == TEXT


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (SIGNED.replace(b"\n", b"\r\n"), "control"),
        (SIGNED.replace(b"\n7\n", b"\n7\t\n"), "control"),
        (SIGNED[:-1], "no signature"),
        (TEXT, "no signature"),
        (b"\n\n" + SIGNED.split(b"\n\n")[1], "no signature|malformed"),
        (SIGNED + b"\n", "malformed|no signature"),
        (SIGNED.replace("— ".encode(), b"- "), "malformed"),
        (SIGNED.replace(b"invalid/disposal/1 ", b"invalid/disposal/1  "), "malformed|base64"),
        (SIGNED + SIGNED.split(b"\n")[-2].replace(b" ", b"\xc2\xa0"), "malformed|no signature"),
        (SIGNED.replace(b"=\n", b"\n"), "base64|malformed|wrong"),
        (SIGNED + "— a.invalid/w AAAA\n".encode(), "without a signature"),
        (SIGNED + "— a+b AAAAAAAA\n".encode(), "name of a key"),
        (b"\xff" + SIGNED, "UTF-8"),
        (SIGNED + "— a.invalid/w AAAAAAAA\n".encode() * 64, "more than 64"),
        (b"x" * note.LARGEST_NOTE + b"\n" + SIGNED, "longer"),
    ],
)
def test_malformed_notes_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checkpoint.verify(data, [VERIFIER])


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n07\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n-7\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n٧\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n9007199254740992\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n7\n{base64.b64encode(ROOT[:31]).decode()}\n",
        f"{ORIGIN}\n7\n{base64.b64encode(ROOT).decode().replace('=', '')}\n",
        f"{ORIGIN}\n0\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n7\n{base64.b64encode(ROOT).decode()}\nextension\n",
        f"{ORIGIN}\n7\n",
        f"\n7\n{base64.b64encode(ROOT).decode()}\n",
    ],
)
def test_malformed_checkpoints_are_refused_although_signed(text: str) -> None:
    with pytest.raises(ValueError, match=r"origin|root|base64|signature"):
        checkpoint.verify(note.sign(text.encode(), SIGNER), [VERIFIER])


def test_the_empty_logs_checkpoint_has_the_empty_root() -> None:
    assert checkpoint.verify(checkpoint.sign(SIGNER, 0, EMPTY_ROOT).data, [VERIFIER]).size == 0


def test_every_bit_of_the_signature_counts() -> None:
    # Base64 leaves bits over in its last character; they must be zero.
    head, line = SIGNED.rsplit(b" ", 1)
    for at in range(len(line) - 1):
        for bit in range(7):
            changed = bytearray(line)
            changed[at] ^= 1 << bit
            with pytest.raises(ValueError, match=r".+"):
                checkpoint.verify(head + b" " + bytes(changed), [VERIFIER])


def test_an_unknown_signature_is_ignored_and_a_known_wrong_one_is_not() -> None:
    stranger = note.sign(TEXT, signer(2)).split(b"\n")[-2] + b"\n"
    assert checkpoint.verify(SIGNED + stranger, [VERIFIER]).size == 7
    with pytest.raises(ValueError, match="known key"):
        checkpoint.verify(TEXT + b"\n" + stranger, [VERIFIER])
    other = note.sign(checkpoint.body(ORIGIN, 8, ROOT), SIGNER).split(b"\n")[-2] + b"\n"
    with pytest.raises(ValueError, match="is wrong"):
        checkpoint.verify(SIGNED + other, [VERIFIER])


def test_a_witness_alone_makes_no_checkpoint() -> None:
    witness = signer(3, "witness.invalid/w")
    known = Verifier(witness.name, COSIGNATURE, witness.public_key)
    line = cosign(TEXT, witness, timestamp=1_679_315_147).line
    assert parse_vkey(known.vkey) == known
    with pytest.raises(ValueError, match="not signed by the log"):
        checkpoint.verify(TEXT + b"\n" + line, [VERIFIER, known])
    assert checkpoint.verify(SIGNED + line, [VERIFIER, known]).data == SIGNED + line


def test_a_witness_signs_its_time_too() -> None:
    witness = signer(3, "witness.invalid/w")
    known = Verifier(witness.name, COSIGNATURE, witness.public_key)
    signature = cosign(TEXT, witness, timestamp=1_679_315_147)
    assert known.is_signed(TEXT, signature.value)
    later = (1_679_315_148).to_bytes(8, "big") + signature.value[8:]
    assert not known.is_signed(TEXT, later)
    assert not known.is_signed(TEXT, signature.value[8:])


def test_a_key_of_another_log_signs_nothing_here() -> None:
    elsewhere = verifier_of(signer(1, "elsewhere.invalid/disposal/1"))
    with pytest.raises(ValueError, match="known key"):
        checkpoint.verify(SIGNED, [elsewhere])
    with pytest.raises(ValueError, match="not signed by the log"):
        checkpoint.verify(note.sign(TEXT, signer(1, elsewhere.name)), [elsewhere])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        VKEY.replace("530d", "530e"),
        VKEY.replace("+Aeky", "+Beky"),
        VKEY.replace("foo", "fo o"),
        VKEY[:-1],
        VKEY[:-1] + "l",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
    ],
)
def test_malformed_keys_are_refused(vkey: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_vkey(vkey)
    with pytest.raises(verify_ledger.Wrong):
        verify_ledger.Key(vkey)


@pytest.mark.parametrize(
    ("practice", "origin"),
    [
        ("Elm Street Dental", "elm-street-dental.invalid/disposal/1"),
        ("  Zahnärzte Müller & Söhne ", "zahnarzte-muller-sohne.invalid/disposal/1"),
        ("東京歯科", "site.invalid/disposal/1"),
        ("a" * 80, "a" * 63 + ".invalid/disposal/1"),
        ("--+--", "site.invalid/disposal/1"),
    ],
)
def test_a_logs_name_is_made_from_the_practices(practice: str, origin: str) -> None:
    assert checkpoint.origin_of(practice) == origin
    assert signer(1, origin).name == origin
    assert checkpoint.origin_of(practice, 12) == origin[:-1] + "12"


def test_both_verifiers_of_signatures_agree_on_published_vectors() -> None:
    # RFC 8032 section 7.1, tests 1 to 3.
    vectors = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ]
    for key, message, signature in vectors:
        parts = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
        for verify in (verify_ledger.is_signed, note._is_valid):
            assert verify(*parts)
            assert not verify(parts[0], parts[1] + b"x", parts[2])
            for at in (0, 31, 32, 63):
                changed = bytearray(parts[2])
                changed[at] ^= 1
                assert not verify(parts[0], parts[1], bytes(changed))


def test_both_verifiers_of_signatures_refuse_a_signature_with_a_second_form() -> None:
    # s + L is the same number modulo L; accepting it would let anybody change a signature.
    signature = SIGNER.sign(TEXT)
    number = int.from_bytes(signature[32:], "little") + verify_ledger.L
    second = signature[:32] + number.to_bytes(32, "little")
    for verify in (verify_ledger.is_signed, note._is_valid):
        assert verify(SIGNER.public_key, TEXT, signature)
        assert not verify(SIGNER.public_key, TEXT, second)


@pytest.mark.parametrize("key", [b"\xff" * 32, b"\x02" + b"\0" * 31, b"", b"\x01" * 31])
def test_both_verifiers_of_signatures_refuse_what_is_no_key(key: bytes) -> None:
    signature = SIGNER.sign(TEXT)
    assert not note._is_valid(key, TEXT, signature)
    assert not verify_ledger.is_signed(key, TEXT, signature)
