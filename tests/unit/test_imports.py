"""Modules never import each other in a circle, so any of them may be the first.

Tests run most commands in a process that has imported everything (see `warm`); a module that
could be imported only after another would work there and fail as the installed script.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def imported(module: str, nodes: list[ast.stmt], known: set[str]) -> Iterator[str]:
    """Yield what is imported while a module itself is being imported."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute here"
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                yield from {inner if inner in known else str(node.module)} & known
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported(module, node.orelse, known)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt)]
            yield from imported(module, inside, known)


def test_modules_never_import_each_other_in_a_circle() -> None:
    names = {}
    for path in sorted((ROOT / "orchestrator").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        names[name] = ast.parse(path.read_bytes()).body
    found = {name: set(imported(name, body, set(names))) for name, body in names.items()}
    assert sum(map(len, found.values())) > 2 * len(names)
    order = list(graphlib.TopologicalSorter(found).static_order())
    assert set(order) == set(names)
