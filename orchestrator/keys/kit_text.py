"""The recovery kit as a text file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from orchestrator.keys import kit_words as words
from orchestrator.keys.kit_commands import (
    INSTALL,
    copy_commands,
    hidden_commands,
    site_commands,
)
from orchestrator.keys.kit_contents import (
    BEGIN,
    END,
    KitContents,
    KitCopy,
    block,
    check_word,
    checksum,
)

_WIDTH = 78


def render_text(contents: KitContents) -> str:
    """Return the kit as text, with the block that `kit.load_kit` reads back."""
    return "\n".join(_lines(contents)) + "\n"


def _lines(contents: KitContents) -> Iterator[str]:
    yield from _warning(contents)
    yield from _heading(words.WHEN)
    for number, step in enumerate(words.STEPS, 1):
        yield from _wrapped(step, f"{number}. ")
    yield ""
    yield f"    {INSTALL}"
    yield from _heading(words.PASSWORDS)
    yield from _wrapped(words.TYPING_NOTE)
    for one in contents.repositories:
        yield ""
        yield f"{one.name} (images of {one.store})"
        yield f"    password   {one.password.reveal()}"
        yield f"    check      {check_word(one.password)}"
        yield f"    id         {one.repository_id or 'not made yet'}"
        yield f"    config     {one.config_sha256 or 'not made yet'}"
    yield from _heading(words.COPIES)
    for copy in contents.copies:
        yield from _copy(contents, copy)
    yield from _site(contents)
    yield from _heading(words.BLOCK)
    yield from _wrapped(words.BLOCK_NOTE)
    yield f"Checksum: {checksum(contents)}"
    yield ""
    yield BEGIN
    yield block(contents, indent=1)
    yield END


def _warning(contents: KitContents) -> Iterator[str]:
    yield "#" * _WIDTH
    yield f"#  RECOVERY KIT of {contents.site}"
    yield "#"
    yield f"#  {words.WARNING_TITLE.upper()}"
    yield "#"
    for sentence in words.WARNING:
        for line in textwrap.wrap(sentence, _WIDTH - 3):
            yield f"#  {line}"
    yield "#"
    made = f"{contents.made_at:%Y-%m-%d %H:%M} UTC"
    yield f"#  Made {made} by imaging-orchestrator {contents.version}"
    yield "#" * _WIDTH


def _copy(contents: KitContents, copy: KitCopy) -> Iterator[str]:
    yield f"{copy.name}: {words.ROLES.get(copy.role, copy.role)}"
    yield from _wrapped(copy.reach, "    ")
    yield ""
    # Not indented, so that they can be pasted as they are.
    yield from copy_commands(contents, copy)
    yield ""
    if copy.role == "immutable":
        yield from _wrapped(words.HIDDEN_BUCKET, "    ")
        yield ""
        yield from hidden_commands(contents, copy)
        yield ""
        yield from _wrapped(words.HIDDEN_AFTER, "    ")
        yield ""


def _site(contents: KitContents) -> Iterator[str]:
    yield from _heading(words.SITE)
    yield from _wrapped(words.SITE_NOTE)
    yield ""
    yield from site_commands(contents)
    yield ""
    yield from _wrapped(words.SITE_AFTER)
    yield ""
    yield from _wrapped(words.DISPOSED)
    yield ""
    yield f"    site key   {contents.site_key.reveal()}"
    yield f"    check      {check_word(contents.site_key)}"
    yield f"    keyring    {contents.keyring_id}"
    if contents.ledger_key is not None:
        yield ""
        yield from _wrapped(words.LEDGER_NOTE)
        yield ""
        yield f"    {contents.ledger_key}"


def _heading(title: str) -> Iterator[str]:
    yield ""
    yield title
    yield "=" * len(title)
    yield ""


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
