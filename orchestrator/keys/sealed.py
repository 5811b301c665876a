"""Sealed files: large private streams on this machine's disk, encrypted and whole or refused.

The form is that of Tink's streaming AES-GCM: a key of its own for each file, derived from the
given key, a random salt and the context; frames of 256 KiB whose nonces carry a counter and a
mark on the last frame. Any byte changed, any frame lost, moved, added or taken from another file
is found when it is read. Nothing is handed out before it is authenticated, but only the end of
the stream proves that it is whole.

Source: Google Tink, "AES-GCM-HKDF Streaming AEAD", read 2026-11-22.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import CredentialError, DamageError, EngineError, NotFoundError
from orchestrator.keys.private_file import PrivateFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FRAME_BYTES = 256 * 1024
KEY_BYTES = 32

_MAGIC = b"ORSEAL1\n"
_SALT_BYTES = 32
_PREFIX_BYTES = 7
_TAG_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + _SALT_BYTES + _PREFIX_BYTES
_LAST_COUNTER = (1 << 32) - 1


class SealedWriter:
    """Writes a sealed file; a context manager.

    Leaving the context without an exception publishes the file, durably and under its name;
    with one, nothing is left and an earlier file stays as it was.

    Args:
        path: Where the file is to appear; its folder must exist.
        key: 32 bytes.
        context: What the file is for; a reader must give the same.

    Raises:
        LockedError: Another process is writing this file.
        EngineError: The disk refuses.
    """

    def __init__(self, path: Path, key: bytes, context: str) -> None:
        self._file = PrivateFile(path)
        self._header = _MAGIC + os.urandom(_SALT_BYTES + _PREFIX_BYTES)
        self._cipher = _cipher(key, self._header, context)
        self._buffer = bytearray()
        self._counter = 0

    def __enter__(self) -> SealedWriter:
        self._file.__enter__()
        self._file.write(self._header)
        return self

    def write(self, data: bytes) -> None:
        """Append bytes, any number of them.

        Raises:
            EngineError: The disk refuses.
        """
        buffer = self._buffer
        buffer += data
        # One full frame is held back: the last one is marked, and this may be it.
        if len(buffer) <= FRAME_BYTES:
            return
        start = 0
        with memoryview(buffer) as view:
            while len(buffer) - start > FRAME_BYTES:
                # A copy: a view kept alive by an exception's traceback would block the buffer.
                self._seal(bytes(view[start : start + FRAME_BYTES]), last=False)
                start += FRAME_BYTES
        del buffer[:start]

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            try:
                self._seal(bytes(self._buffer), last=True)
            except BaseException as error:
                self._file.__exit__(type(error))
                raise
        self._buffer.clear()
        self._file.__exit__(kind)

    def _seal(self, frame: bytes, *, last: bool) -> None:
        nonce = _nonce(self._header, self._counter, last=last)
        self._file.write(self._cipher.encrypt(nonce, frame, self._header))
        self._counter += 1


class SealedReader:
    """Reads a sealed file, as often as wanted; it is opened when reading begins.

    Args:
        path: The file.
        key: The 32 bytes it was written with.
        context: What it was written for.
    """

    def __init__(self, path: Path, key: bytes, context: str) -> None:
        self._path = path
        self._key = key
        self._context = context

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 256 KiB, each authenticated.

        Raises:
            NotFoundError: There is no such file.
            CredentialError: The file may not be read.
            DamageError: The file is damaged, cut short, or was made with another key or for
                another purpose. What was yielded before is genuine, but not the whole.
            EngineError: The disk fails.
        """
        with self._open() as stream:
            header = self._read(stream, _HEADER_BYTES)
            if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
                raise DamageError(f"{self._path.name} is not a sealed file, or its start is lost")
            cipher = _cipher(self._key, header, self._context)
            frame = self._read(stream, FRAME_BYTES + _TAG_BYTES)
            counter, last = 0, False
            while not last:
                following = self._read(stream, FRAME_BYTES + _TAG_BYTES)
                last = not following
                piece = self._unseal(cipher, header, counter, frame, last=last)
                if piece:
                    yield piece
                frame = following
                counter += 1

    def lines(self) -> Iterator[bytes]:
        """Yield the content line by line, each with its newline (the last one may lack it).

        Memory is bounded by one frame and the longest line.

        Raises:
            NotFoundError, CredentialError, DamageError, EngineError: As `chunks`.
        """
        parts: list[bytes] = []
        for chunk in self.chunks():
            for line in BytesIO(chunk):
                if not line.endswith(b"\n"):
                    parts.append(line)
                elif parts:
                    parts.append(line)
                    yield b"".join(parts)
                    parts.clear()
                else:
                    yield line
        if parts:
            yield b"".join(parts)

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            raise NotFoundError(f"{self._path.name}: there is no such sealed file") from None
        except PermissionError:
            raise CredentialError(f"{self._path.name} may not be read: access refused") from None
        except OSError as error:
            raise self._failed(error) from error

    def _read(self, stream: BinaryIO, size: int) -> bytes:
        try:
            return stream.read(size)
        except OSError as error:
            raise self._failed(error) from error

    def _unseal(
        self, cipher: AESGCM, header: bytes, counter: int, frame: bytes, *, last: bool
    ) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return cipher.decrypt(_nonce(header, counter, last=last), frame, header)
        except InvalidTag:
            raise DamageError(
                f"{self._path.name} is damaged or cut short at byte "
                f"{_HEADER_BYTES + counter * (FRAME_BYTES + _TAG_BYTES)} or later, "
                "or was not made for this purpose with this key"
            ) from None

    def _failed(self, error: OSError) -> EngineError:
        why = (error.strerror or "unknown error").lower()
        return EngineError(f"{self._path.name} cannot be read: {why}")


def _cipher(key: bytes, header: bytes, context: str) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {KEY_BYTES} bytes is needed")
    salt = header[len(_MAGIC) : len(_MAGIC) + _SALT_BYTES]
    info = b"orchestrator sealed file\0" + context.encode()
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, info).derive(key))


def _nonce(header: bytes, counter: int, *, last: bool) -> bytes:
    if counter > _LAST_COUNTER:
        raise ValueError("a sealed file is never larger than 1 PiB")
    return header[-_PREFIX_BYTES:] + counter.to_bytes(4, "big") + bytes([last])
