"""The recovery kit: all that is needed to open every copy without this product or its machine.

A text file, which the product can read back, and a page to print, with QR codes. Both hold the
passwords in clear and MUST leave the machine; the product says so wherever it makes them.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import CredentialError, DamageError, EngineError, UsageError
from orchestrator.keys.kit_contents import (
    BEGIN,
    END,
    FORMAT,
    KitContents,
    KitCopy,
    KitRepository,
    check_word,
    checksum_of,
)
from orchestrator.keys.private_file import PrivateFile
from orchestrator.keys.secret import Secret

TEXT_NAME = "recovery-kit.txt"
PAGE_NAME = "recovery-kit.html"

_LARGEST = 1 << 20
_WHICH = f"name the kit's text file, such as {TEXT_NAME}, or one typed from the print"
_RETYPE = "compare the block with the printed one, or take another copy of the kit"


@dataclass(frozen=True, slots=True)
class KitFiles:
    """Where a kit was written: the text file and the page to print."""

    text: Path
    html: Path


def write_kit(directory: Path, contents: KitContents) -> KitFiles:
    """Write the kit's two files with mode 0600, in place of earlier ones.

    Args:
        directory: Made with mode 0700 if it is not there.
        contents: What the kit says.

    Raises:
        EngineError: The disk refuses.
        LockedError: Another process is writing the kit.
    """
    from orchestrator.keys.kit_page import render_page
    from orchestrator.keys.kit_text import render_text

    files = KitFiles(directory / TEXT_NAME, directory / PAGE_NAME)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the folder {directory} cannot be made: {why}") from error
    for path, text in ((files.text, render_text(contents)), (files.html, render_page(contents))):
        with PrivateFile(path) as out:
            out.write(text.encode())
    return files


def load_kit(path: Path) -> KitContents:
    """Read a kit back, from its text file or from the scanned block alone.

    Args:
        path: The text file, or a file with the block between its markers.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        CredentialError: It may not be read.
        DamageError: It is no kit, or a character of it is wrong; the message says where if that
            can be told.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LARGEST)
        text = raw.decode("utf-8-sig")
    except PermissionError:
        raise CredentialError(f"{path} may not be read: access refused") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise UsageError(f"the recovery kit {path} cannot be read: {why}", hint=_WHICH) from None
    except UnicodeDecodeError:
        raise DamageError(
            f"the file {path} is no recovery kit: it is not text", hint=_WHICH
        ) from None
    if BEGIN in text and END in text:
        text = text.split(BEGIN, 1)[1].split(END, 1)[0]
    try:
        body = json.loads(text)
        found = body["kit"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamageError(
            f"the file {path} is no recovery kit, or its block is damaged",
            hint=f"{_WHICH}; the block lies between {BEGIN} and {END}",
        ) from None
    if found != FORMAT:
        raise DamageError(
            f"the kit {path} has the unknown format {found!r}", hint="use a newer release"
        )
    return _read(body, path)


def _read(body: dict[str, Any], path: Path) -> KitContents:
    expected = body.pop("checksum", None)
    whole = hmac.compare_digest(checksum_of(body).encode(), str(expected).encode())
    try:
        contents = KitContents(
            site=body["site"],
            made_at=datetime.fromisoformat(body["made_at"]),
            version=body["version"],
            keyring_id=body["keyring"],
            site_key=Secret(body["site_key"]),
            repositories=tuple(
                KitRepository(
                    one["name"],
                    one["store"],
                    one["id"],
                    Secret(one["password"]),
                    one["config_sha256"],
                )
                for one in body["repositories"]
            ),
            copies=tuple(
                KitCopy(
                    copy["name"],
                    copy["role"],
                    copy["reach"],
                    dict(copy["locations"]),
                    copy["region"],
                    copy["ca"],
                )
                for copy in body["copies"]
            ),
            ledger_key=body.get("ledger_key"),
        )
        wrong = [] if whole else _mistyped(body, contents)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DamageError(
            f"the recovery kit {path} has a block that is not whole", hint=_RETYPE
        ) from None
    if not whole:
        where = f": look at {', '.join(wrong)}" if wrong else ""
        raise DamageError(
            f"the file {path}: the recovery kit's checksum is wrong, "
            f"so a character of it is{where}",
            hint=_RETYPE,
        )
    return contents


def _mistyped(body: Mapping[str, Any], contents: KitContents) -> list[str]:
    """Name the secrets whose own check says that they are wrong."""
    wrong = []
    if check_word(contents.site_key) != body["site_key_check"]:
        wrong.append("the site key")
    for one, raw in zip(contents.repositories, body["repositories"], strict=True):
        if check_word(one.password) != raw["check"]:
            wrong.append(f"the password of {one.name}")
    return wrong
