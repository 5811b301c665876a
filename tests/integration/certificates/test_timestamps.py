"""The time of signing by a real RFC 3161 authority, which openssl plays behind a loopback port."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates import verify as verify_certificate
from orchestrator.errors import EngineError
from tests.integration.certificates.conftest import OpenSite
from tests.support import certificate_records as acts

CONFIG = """
[tsa]
default_tsa = here
[here]
dir = {folder}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
[req]
distinguished_name = dn
prompt = no
[dn]
CN = Test authority
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[stamp]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
"""


@dataclass
class Authority:
    url: str
    ca: Path
    broken: bytes | None = None


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tsa")
    config = folder / "tsa.cnf"
    config.write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    key = ("-newkey", "rsa:2048", "-nodes", "-config", config)
    openssl("req", "-x509", *key, "-keyout", folder / "ca.key", "-out", folder / "ca.pem",
            "-days", "30", "-extensions", "ca")  # fmt: skip
    openssl("req", *key, "-keyout", folder / "tsa.key", "-out", folder / "tsa.csr")
    openssl("x509", "-req", "-in", folder / "tsa.csr", "-CA", folder / "ca.pem",
            "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "20",
            "-out", folder / "tsa.pem", "-extfile", config, "-extensions", "stamp")  # fmt: skip
    return folder


@pytest.fixture
def authority(stamps: Path) -> Iterator[Authority]:
    made = Authority("", stamps / "ca.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = stamps / "query"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            openssl("ts", "-reply", "-config", stamps / "tsa.cnf", "-queryfile", query,
                    "-out", stamps / "reply")  # fmt: skip
            body = (stamps / "reply").read_bytes() if made.broken is None else made.broken
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lines(authority: Authority, ca: Path | None = None) -> str:
    return (
        f'[certificates]\ntimestamp_url = "{authority.url}"\n'
        f'timestamp_ca = "{ca or authority.ca}"\n'
    )


def test_the_authoritys_time_is_in_the_signature(opened: OpenSite, authority: Authority) -> None:
    site = opened(more=lines(authority))
    made = certify.issue_sanitization(site, acts.sanitization())
    checked = verify_certificate.verify(site, made.pdf)
    assert checked.verdict == "valid", checked.checks
    assert [one.state for one in checked.checks if one.name == "timestamp"] == ["ok"]
    said = subprocess.run(["pdfsig", made.pdf], capture_output=True, text=True, check=True).stdout
    assert "Signature is Valid." in said
    assert "Total document signed" in said


def test_a_stamp_of_another_authority_is_not_good(
    opened: OpenSite, authority: Authority, tmp_path: Path
) -> None:
    made = certify.issue_sanitization(opened(more=lines(authority)), acts.sanitization())
    config = authority.ca.with_name("tsa.cnf")
    other = tmp_path / "other.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-config", config, "-keyout",
            tmp_path / "other.key", "-out", other, "-days", "30", "-extensions", "ca")  # fmt: skip
    checked = verify_certificate.verify(opened(more=lines(authority, other)), made.pdf)
    assert checked.verdict == "invalid"
    assert [one.name for one in checked.checks if one.state == "fail"] == ["timestamp"]


@pytest.mark.parametrize("broken", [b"", b"no timestamp", b"\x30\x03\x02\x01\x02"])
def test_without_the_authoritys_answer_nothing_is_issued_until_it_comes(
    opened: OpenSite, authority: Authority, broken: bytes
) -> None:
    authority.broken = broken
    site = opened(more=lines(authority))
    with pytest.raises(EngineError, match="authority"):
        certify.issue_sanitization(site, acts.sanitization())
    (left,) = certify.listing(site)
    assert left.state == "recorded"
    assert not left.pdf.exists()
    authority.broken = None
    (done,) = certify.settle(site)
    assert (done.number, done.state) == (left.number, "issued")
    assert verify_certificate.verify(site, done.pdf).verdict == "valid"
