"""The recovery kit as one page of HTML to print, with QR codes; nothing is loaded from outside."""

from __future__ import annotations

import io
import re
from html import escape

from orchestrator.keys import kit_words as words
from orchestrator.keys.kit_commands import (
    INSTALL,
    copy_commands,
    hidden_commands,
    site_commands,
)
from orchestrator.keys.kit_contents import (
    KitContents,
    KitCopy,
    KitRepository,
    block,
    check_word,
    checksum,
)
from orchestrator.keys.secret import Secret

LARGEST_QR_BYTES = 2200
"""More makes modules so small that a telephone does not read them off paper."""

_DIGITS = re.compile(r"[0-9]+")

_STYLE = """
@page { margin: 14mm 15mm; }
* { box-sizing: border-box; }
body { font: 10.5pt/1.4 "DejaVu Sans", "Helvetica Neue", Arial, sans-serif; color: #111;
  margin: 0 auto; max-width: 180mm; padding: 4mm 0; }
h1 { font-size: 21pt; margin: 0; }
h2 { font-size: 13.5pt; margin: 7mm 0 2mm; border-bottom: 0.5mm solid #111;
  break-after: avoid; }
h3 { font-size: 11.5pt; margin: 0 0 1mm; }
p { margin: 0 0 1.5mm; }
ol { margin: 0; padding-left: 6mm; }
li { margin-bottom: 0.8mm; }
.made { color: #444; margin: 1mm 0 4mm; }
.warning { border: 1mm solid #b00020; border-radius: 2mm; padding: 4mm 5mm; }
.warning strong { color: #b00020; font-size: 14pt; display: block; margin-bottom: 1.5mm; }
.card { border: 0.3mm solid #777; border-radius: 2mm; padding: 3.5mm 4mm; margin: 3mm 0;
  break-inside: avoid; }
.secret { display: flex; gap: 5mm; align-items: center; justify-content: space-between; }
.secret > div { min-width: 0; }
.secret svg { flex: none; width: 32mm; height: 32mm; }
.word { font: 12.5pt/1.7 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.word span { margin-right: 1.2mm; white-space: nowrap; }
.word u { text-decoration-thickness: 0.35mm; text-underline-offset: 0.8mm; }
.small { font-size: 8.5pt; color: #333; }
.id { font: 8pt/1.4 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { font: 8pt/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; background: #f2f2f2;
  padding: 2mm 3mm; margin: 2mm 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.role { font-weight: normal; color: #444; }
.block svg { width: 100mm; height: 100mm; display: block; margin: 3mm auto 0; }
"""


def render_page(contents: KitContents) -> str:
    """Return the kit as HTML that prints well on A4 and on Letter."""
    parts = [
        _head(contents),
        f"<h2>{escape(words.WHEN)}</h2><ol>",
        *(f"<li>{escape(step)}</li>" for step in words.STEPS),
        f"</ol><pre>{escape(INSTALL)}</pre>",
        f"<h2>{escape(words.PASSWORDS)}</h2><p>{escape(words.TYPING_NOTE)}</p>",
        *(_repository(one) for one in contents.repositories),
        f"<h2>{escape(words.COPIES)}</h2>",
        *(_copy(contents, copy) for copy in contents.copies),
        _site(contents),
        _block(contents),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _head(contents: KitContents) -> str:
    title = f"Recovery kit of {contents.site}"
    warning = "".join(f"<p>{escape(sentence)}</p>" for sentence in words.WARNING)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>"
        f'<p class="made">Made {contents.made_at:%Y-%m-%d %H:%M} UTC by imaging-orchestrator '
        f"{escape(contents.version)}</p>"
        f'<div class="warning"><strong>{escape(words.WARNING_TITLE)}</strong>{warning}</div>'
    )


def _repository(one: KitRepository) -> str:
    return (
        f'<div class="card"><div class="secret"><div><h3>{escape(one.name)} '
        f'<span class="role">&ndash; images of {escape(one.store)}</span></h3>'
        f"{_secret(one.password)}"
        f'<p class="id">repository {escape(one.repository_id or "not made yet")}<br>'
        f"config {escape(one.config_sha256 or 'not made yet')}</p></div>"
        f"{_qr(one.password.reveal(), f'password of {one.name}')}</div></div>"
    )


def _secret(secret: Secret) -> str:
    """Show a secret in groups that copy without spaces, digits underlined."""
    text = secret.reveal()
    groups = [text[start : start + 4] for start in range(0, len(text), 4)]
    marked = [_DIGITS.sub(r"<u>\g<0></u>", escape(group)) for group in groups]
    shown = "".join(f"<span>{group}</span><wbr>" for group in marked)
    return f'<p class="word">{shown}</p><p class="small">check: {check_word(secret)}</p>'


def _copy(contents: KitContents, copy: KitCopy) -> str:
    commands = escape("\n".join(copy_commands(contents, copy)))
    hidden = ""
    if copy.role == "immutable":
        lines = escape("\n".join(hidden_commands(contents, copy)))
        hidden = f'<p class="small">{escape(words.HIDDEN_BUCKET)}</p><pre>{lines}</pre>'
        hidden += f'<p class="small">{escape(words.HIDDEN_AFTER)}</p>'
    return (
        f'<div class="card"><h3>{escape(copy.name)} '
        f'<span class="role">&ndash; {escape(words.ROLES.get(copy.role, copy.role))}</span></h3>'
        f"<p>{escape(copy.reach)}</p><pre>{commands}</pre>{hidden}</div>"
    )


def _site(contents: KitContents) -> str:
    commands = "\n".join(site_commands(contents))
    return (
        f"<h2>{escape(words.SITE)}</h2><p>{escape(words.SITE_NOTE)}</p>"
        f"<pre>{escape(commands)}</pre><p>{escape(words.SITE_AFTER)}</p>"
        f"<p>{escape(words.DISPOSED)}</p>"
        '<div class="card"><div class="secret"><div><h3>site key</h3>'
        f'{_secret(contents.site_key)}<p class="id">keyring {escape(contents.keyring_id)}</p></div>'
        f"{_qr(contents.site_key.reveal(), 'site key')}</div></div>"
    )


def _block(contents: KitContents) -> str:
    text = block(contents)
    fits = len(text.encode()) <= LARGEST_QR_BYTES
    body = (
        _qr(text, "the whole kit", error="l")
        if fits
        else '<p class="small">It is too long for a QR code: keep the text file too.</p>'
    )
    return (
        f'<div class="card block"><h3>{escape(words.BLOCK)}</h3>'
        f"<p>{escape(words.BLOCK_NOTE)} Checksum: {checksum(contents)}</p>{body}</div>"
    )


def _qr(text: str, title: str, *, error: str = "m") -> str:
    import segno

    out = io.BytesIO()
    code = segno.make_qr(text.encode(), error=error, boost_error=False)
    code.save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=True,
        omitsize=True,
        border=4,
        title=f"QR code: {title}",
        svgclass=None,
        lineclass=None,
    )
    return out.getvalue().decode().strip()
