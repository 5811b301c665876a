"""Gives a repository a key that is cheap to derive.

restic spends about half a second of scrypt on every start, which is what a password needs and a
test does not. The repository stays a real one: same master key, same format, opened by restic
as any other. Only the cost parameters in the key file differ.

Source: restic's repository design document, "Keys, Encryption and MAC".
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

_CHEAP = {"N": 1024, "r": 8, "p": 1}


def make_cheap(repository: Path, password: str) -> None:
    """Replace the repository's only key file by one with cheap cost parameters."""
    (path,) = (repository / "keys").iterdir()
    fields = json.loads(path.read_bytes())
    master = _decrypt(_derive(fields, password), base64.b64decode(fields["data"]))
    cheap = fields | _CHEAP | {"salt": base64.b64encode(os.urandom(64)).decode()}
    cheap["data"] = base64.b64encode(_encrypt(_derive(cheap, password), master)).decode()
    content = json.dumps(cheap).encode()
    new = path.with_name(hashlib.sha256(content).hexdigest())
    new.write_bytes(content)
    new.chmod(0o400)
    path.unlink()


def _derive(fields: dict[str, object], password: str) -> bytes:
    cost = {name: int(str(fields[name])) for name in ("N", "r", "p")}
    salt = base64.b64decode(str(fields["salt"]))
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost["N"], r=cost["r"], p=cost["p"], dklen=64, maxmem=2**28
    )


def _decrypt(key: bytes, data: bytes) -> bytes:
    nonce, text, mac = data[:16], data[16:-16], data[-16:]
    Poly1305.verify_tag(_mac_key(key, nonce), text, mac)
    return _stream(key, nonce, text)


def _encrypt(key: bytes, text: bytes) -> bytes:
    nonce = os.urandom(16)
    sealed = _stream(key, nonce, text)
    return nonce + sealed + Poly1305.generate_tag(_mac_key(key, nonce), sealed)


def _stream(key: bytes, nonce: bytes, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES256(key[:32]), modes.CTR(nonce)).encryptor()
    return cipher.update(text) + cipher.finalize()


def _mac_key(key: bytes, nonce: bytes) -> bytes:
    """Return the one-time key of Poly1305-AES: r as it is, s the encrypted nonce."""
    block = Cipher(algorithms.AES128(key[32:48]), modes.ECB()).encryptor()
    return key[48:64] + block.update(nonce) + block.finalize()
