"""Certificates signed with a PKCS#11 token: SoftHSM, with a token in a folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates import verify as verify_certificate
from orchestrator.certificates import identity, signing
from orchestrator.certificates.tokens import demand_tries
from orchestrator.clock import SystemClock
from orchestrator.errors import ConfigError, CredentialError, OrchestratorError
from tests.integration.certificates.conftest import OpenSite
from tests.support import certificate_records as acts

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LABEL = "practice"
PIN = "971531-of-the-test"
WRONG_PIN = "246802-of-the-test"


@dataclass(frozen=True)
class Token:
    """A token with keys of the labels ``ec``, ``rsa`` and ``other``.

    Attributes:
        folder: Holds ``LABEL.pem``, the certificate of each key; that of ``other`` is another's.
        config: SoftHSM's configuration.
    """

    folder: Path
    config: Path

    def table(self, key: str = "ec", **values: str) -> str:
        """Return the lines of the site file."""
        table = {"module": MODULE, "token": LABEL, "key": key, **values}
        table.setdefault("certificate", str(self.folder / f"{key}.pem"))
        lines = [f'{name} = "{value}"' for name, value in table.items() if name != "pin"]
        pin = self.folder / "pin"
        pin.write_text(values.get("pin", PIN))
        return "\n".join(["[certificates.token]", *lines, f'pin = {{ file = "{pin}" }}', ""])


def softhsm(*words: str | Path) -> None:
    subprocess.run(["softhsm2-util", *map(str, words)], check=True, capture_output=True)


def rsa_key() -> bytes:
    words = ("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")
    return subprocess.run(words, check=True, capture_output=True).stdout


def rsa_certificate(folder: Path, key: Path) -> bytes:
    made = folder / "made.pem"
    words = ("openssl", "req", "-x509", "-new", "-days", "30", "-subj", "/O=Own RSA/CN=x")
    purpose = ("-addext", "keyUsage = digitalSignature, nonRepudiation")
    subprocess.run([*words, *purpose, "-key", key, "-out", made], check=True, capture_output=True)
    return made.read_bytes()


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    now = SystemClock().now()
    with pytest.MonkeyPatch.context() as patch:
        # The library reads it once in a process: one token for all tests of this file.
        patch.setenv("SOFTHSM2_CONF", str(config))
        softhsm("--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "0" * 8)
        for number, label in enumerate(("ec", "rsa", "other"), 1):
            key = identity.make_key()
            private = folder / f"{label}.key"
            private.write_bytes(rsa_key() if label == "rsa" else identity.key_pem(key))
            if label == "rsa":
                certificate = rsa_certificate(folder, private)
            else:
                certificate = identity.make_certificate(key, f"Own {label}", now=now)
            (folder / f"{label}.pem").write_bytes(certificate)
            where = ("--token", LABEL, "--pin", PIN, "--label", label, "--id", f"0{number}")
            softhsm("--import", private, *where)
            private.unlink()  # from here on it is nowhere but in the token
        (folder / "other.pem").write_bytes((folder / "ec.pem").read_bytes())
        yield Token(folder, config)


def said_by(program: str, *words: str | Path) -> str:
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_a_key_in_a_token_signs_and_two_readers_accept_it(
    opened: OpenSite, token: Token, key: str, tmp_path: Path
) -> None:
    site = opened(more=token.table(key))
    made = certify.issue_sanitization(site, acts.sanitization())
    assert made.state == "issued"
    said = said_by("pdfsig", made.pdf)
    assert "Signature is Valid." in said
    assert "Total document signed" in said
    assert f"O=Own {key.upper() if key == 'rsa' else key}" in said
    checked = verify_certificate.verify(site, made.pdf, signer=token.folder / f"{key}.pem")
    assert checked.verdict == "valid", checked.checks
    # The ledger names the signer: without the token, and with another key named, it still counts.
    assert verify_certificate.verify(opened(), made.pdf).verdict == "valid"

    pdf = made.pdf.read_bytes()
    for at in (100, len(pdf) // 3, pdf.index(b"/Contents") + 40, len(pdf) - 20):
        changed = bytearray(pdf)
        changed[at] ^= 0x01
        other = tmp_path / "changed.pdf"
        other.write_bytes(changed)
        assert verify_certificate.verify(site, other).verdict == "invalid", at
        assert "Signature is Valid." not in said_by("pdfsig", other), at


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"pin": WRONG_PIN}, CredentialError, "its PIN is another one"),
        ({"pin": "1" * 300}, CredentialError, "its PIN is another one"),
        ({"token": "elsewhere"}, CredentialError, "no token of the label elsewhere"),
        ({"key": "absent"}, CredentialError, "no keys of the label absent"),
        ({"key": "other"}, ConfigError, "the key is not that of the certificate"),
        ({"module": "/nowhere/module.so"}, ConfigError, "there is no such file"),
        ({"module": sys.executable}, ConfigError, "no PKCS#11 library"),
    ],
    ids=["wrong-pin", "long-pin", "no-token", "no-key", "other-key", "no-module", "no-library"],
)
def test_a_token_that_cannot_sign_says_why_and_shows_no_pin(
    opened: OpenSite,
    token: Token,
    values: dict[str, str],
    kind: type[OrchestratorError],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate = str(token.folder / "ec.pem")
    site = opened(more=token.table(**{"certificate": certificate, **values}))
    with pytest.raises(kind, match=message) as caught:
        certify.issue_sanitization(site, acts.sanitization())
    said = f"{caught.value.message} {caught.value.hint} {caplog.text}"
    assert "certificates.token" in said
    for pin in (PIN, values.get("pin", PIN)):
        assert pin not in said
    (left,) = certify.listing(site)
    assert (left.state, left.issued_index, left.pdf.exists()) == ("recorded", None, False)
    # The site file is put right: the next run finishes the same number.
    (done,) = certify.settle(opened(more=token.table()))
    assert (done.number, done.state) == (left.number, "issued")


def test_the_command_line_ends_with_the_code_for_credentials(
    opened: OpenSite, token: Token, folder: Path
) -> None:
    site = opened(more=token.table(pin=WRONG_PIN))
    with pytest.raises(CredentialError):
        certify.issue_sanitization(site, acts.sanitization())
    program = Path(sys.executable).with_name("orchestrator")
    words = [str(program), "--site", str(folder / "site.toml"), "certificate"]

    def command(*more: str | Path) -> tuple[int, str]:
        done = subprocess.run(
            [*words, *map(str, more)], capture_output=True, text=True, env=os.environ, check=False
        )
        return done.returncode, done.stdout + done.stderr

    code, said = command("settle")
    assert code == 12, said
    assert "its PIN is another one" in said
    assert PIN not in said
    assert WRONG_PIN not in said
    (token.folder / "pin").write_text(PIN)
    assert command("settle")[0] == 0
    (done,) = certify.listing(site)
    code, said = command("verify", done.pdf)
    assert (code, "valid" in said) == (0, True), said


def test_a_weak_key_does_not_sign(token: Token, tmp_path: Path) -> None:
    weak, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    make = ("openssl", "req", "-x509", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=x")
    subprocess.run([*make, "-keyout", key, "-out", weak], check=True, capture_output=True)
    who = identity.TokenIdentity(weak.read_bytes(), MODULE, LABEL, "rsa", PIN)
    assert PIN not in repr(who)
    with pytest.raises(ConfigError, match="RSA 3072"):
        signing.sign(b"%PDF-1.7\n", who, signing.Signing("x"), at=SystemClock().now())


def test_the_last_try_before_a_token_locks_is_not_made() -> None:
    # Flags of PKCS #11: an own PIN is set; a wrong one was given; one try is left; locked.
    demand_tries("t", 0x8)
    demand_tries("t", 0x8 | 0x10000)
    with pytest.raises(CredentialError, match="one more wrong PIN would lock it"):
        demand_tries("t", 0x8 | 0x10000 | 0x20000)
    with pytest.raises(CredentialError, match="is locked"):
        demand_tries("t", 0x8 | 0x40000)
