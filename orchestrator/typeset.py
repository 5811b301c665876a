"""Typesetting: a template and its data become a PDF. The only module that knows typst.

Templates are typst files inside the package; data comes to them as JSON, never as text pasted
into the source, so no name can become markup. The same input and fonts give the same bytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from orchestrator import fonts
from orchestrator.errors import EngineError

Standard = Literal["a-3b", "1.7"]


def compile_pdf(
    package: str,
    template: str,
    data: Mapping[str, Any],
    *,
    at: datetime,
    files: Mapping[str, bytes] | None = None,
    standard: Standard = "a-3b",
) -> bytes:
    """Typeset a document.

    The template gets one key more, ``typeset``: the ``families`` to fall back to for letters that
    its own font lacks, and the ``files`` they came from.

    Args:
        package: The Python package that holds the template, such as ``orchestrator.certificates``.
        template: The template's file name in it; it reads ``json("data.json")``.
        data: JSON values for the template.
        at: Creation time that the document bears, aware; to the second.
        files: Further files by name, to be read or attached by the template.
        standard: PDF/A-3b, or plain PDF where nothing is to be kept for decades.

    Raises:
        EngineError: The document cannot be typeset.
    """
    import typst

    folder = Path(tempfile.mkdtemp(prefix="typeset-"))
    try:
        source = resources.files(package) / template
        (folder / "main.typ").write_bytes(source.read_bytes())
        shown, needed = fonts.prepare(data)
        (folder / "fonts").mkdir()
        for path in needed:
            shutil.copyfile(path, folder / "fonts" / path.name)
        loaded = typst.Fonts(include_system_fonts=False, font_paths=[str(folder / "fonts")])
        shown["typeset"] = {
            "families": sorted({one.family for one in loaded.fonts() if one.path}),
            "files": [path.name for path in needed],
        }
        (folder / "data.json").write_text(json.dumps(shown, ensure_ascii=False), encoding="utf-8")
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
        made = typst.Compiler(root=str(folder), font_paths=loaded).compile(
            str(folder / "main.typ"),
            format="pdf",
            pdf_standards=[standard],
            timestamp=at.replace(microsecond=0),
        )
    except (OSError, typst.TypstError) as error:
        raise EngineError(
            f"{template} cannot be typeset: {getattr(error, 'diagnostic', error)}",
            hint="this is a defect of the template or of the data given to it",
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not isinstance(made, bytes):
        raise EngineError(f"{template} was typeset into nothing")
    return made
