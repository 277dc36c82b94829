"""
What the compiled build makes of a source before mypyc sees it: native values and fixed constants.

A struct is the fastest value plain Python has, but compiled code reads its fields no faster than plain Python
does.  So `class X(Value, frozen=True)` becomes a class with an `__init__`, whose fields compiled code reads like
those of a struct in C.  Equality, hash, `replace` and the row of fields it is stored as stay what they are.  And
a module's constants, which are those in capitals that are assigned once, are declared `Final`: they are then
fields of C or literals, not names to look up.  Everything else of a source remains as it was written.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HEADER = """
from typing import TYPE_CHECKING as _TYPE_CHECKING, ClassVar as _ClassVar, Final as _Final, cast as _cast
if _TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as _mypyc_attr
"""


def rewritten(source: str) -> str:
    """A module's source with its values as native classes."""
    tree = ast.parse(source)
    changes = "from msgspec.structs import replace\n" in source
    edits = [edit for node in ast.walk(tree) for edit in _edits(node, source, changes)] + _of_constants(tree)
    if not edits:
        return source
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()
    places = sorted(((starts[a - 1] + b, starts[c - 1] + d, text) for a, b, c, d, text in edits), reverse=True)
    for begin, end, text in places:
        data = data[:begin] + text.encode() + data[end:]
    return _with_header(data.decode())


def _with_header(source: str) -> str:
    mark = "from __future__ import annotations\n"
    before, found, after = source.partition(mark)
    if not found:
        raise SystemExit("a module that is compiled needs: " + mark)
    return before + mark + HEADER + after


Edit = tuple[int, int, int, int, str]  # from line and column to line and column, and what comes there


def _edits(node: ast.AST, source: str, changes: bool) -> list[Edit]:
    if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == "Value" for base in node.bases):
        return _of_class(node, source)
    if changes and isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace":
        return _of_replace(node)
    return []


CONSTANT = re.compile("_?[A-Z][A-Z0-9_]*")


def _of_constants(tree: ast.Module) -> list[Edit]:
    """`NAME = 1` becomes `NAME: Final = 1`."""
    assigned = [part for part in tree.body if isinstance(part, ast.Assign | ast.AnnAssign)]
    names = [
        (target, part.annotation if isinstance(part, ast.AnnAssign) else None)
        for part in assigned
        for target in (part.targets if isinstance(part, ast.Assign) else [part.target])
        if isinstance(target, ast.Name) and CONSTANT.fullmatch(target.id) and _is_fixed(part.value)
    ]
    counted = Counter(target.id for target, _ in names)
    edits: list[Edit] = []
    for target, annotation in names:
        if counted[target.id] > 1:
            continue
        if annotation is None:
            at = (target.end_lineno or 0, target.end_col_offset or 0)
            edits.append((*at, *at, ": _Final"))
        else:
            place = (annotation.lineno, annotation.col_offset)
            end = (annotation.end_lineno or 0, annotation.end_col_offset or 0)
            edits.append((*place, *end, f"_Final[{ast.unparse(annotation)}]"))
    return edits


def _is_fixed(value: ast.expr | None) -> bool:
    """No type variable, and no tuple: compiled code would keep its items apart and make it anew at every use."""
    is_type = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"
    return not is_type and not isinstance(value, ast.Tuple)


def _of_replace(node: ast.Call) -> list[Edit]:
    """`replace(value, a=b)` becomes `(value).__replace__(a=b)`."""
    first, function = node.args[0], node.func
    ahead = (node.keywords[0].lineno, node.keywords[0].col_offset)
    if node.keywords[0].arg is None:
        raise SystemExit(f"line {node.lineno}: replace with ** cannot be compiled")
    return [
        (function.lineno, function.col_offset, function.end_lineno or 0, function.end_col_offset or 0, ""),
        (first.end_lineno or 0, first.end_col_offset or 0, *ahead, ").__replace__("),
    ]


def _of_class(node: ast.ClassDef, source: str) -> list[Edit]:
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    head = source.splitlines()[node.lineno - 1]
    edits: list[Edit] = [
        (node.lineno, 0, node.lineno, len(head.encode()), f"@_mypyc_attr(acyclic=True)\nclass {node.name}:")
    ]
    for field in fields:
        if field.value is not None:
            annotation = field.annotation
            end = (field.value.end_lineno or 0, field.value.end_col_offset or 0)
            edits.append((annotation.end_lineno or 0, annotation.end_col_offset or 0, *end, ""))
    last = fields[-1]
    at = (last.end_lineno or 0, len(source.splitlines()[(last.end_lineno or 0) - 1].encode()))
    edits.append((*at, *at, "\n\n" + _methods(node.name, fields)))
    return edits


def _methods(name: str, fields: list[ast.AnnAssign]) -> str:
    """What a struct brings along, written out."""
    named = [(ast.unparse(field.target), ast.unparse(field.annotation), field.value) for field in fields]
    taken = ", ".join(
        f"{field}: {kind}" + (f" = {ast.unparse(value)}" if value is not None else "") for field, kind, value in named
    )
    own = ", ".join(f"self.{field}" for field, _, _ in named)
    changes = ", ".join(f"{field}: object = ..." for field, _, _ in named)
    changed = ", ".join(f"self.{field} if {field} is ... else _cast({kind!r}, {field})" for field, kind, _ in named)
    same = " and ".join(f"self.{field} == other.{field}" for field, _, _ in named)
    shown = ", ".join(f"{field}={{self.{field}!r}}" for field, _, _ in named)
    body = [
        f"__struct_fields__: _ClassVar[tuple[str, ...]] = {tuple(field for field, _, _ in named)!r}",
        f"def __init__(self, {taken}) -> None:",
        *(f"    self.{field} = {field}" for field, _, _ in named),
        f"def __replace__(self, *, {changes}) -> {name}:",
        f"    return {name}({changed})",
        "def __fields__(self) -> tuple[object, ...]:",
        f"    return ({own},)",
        "def __eq__(self, other: object) -> bool:",
        f"    return isinstance(other, {name}) and {same}",
        "def __hash__(self) -> int:",
        f"    return hash(({own},))",
        "def __repr__(self) -> str:",
        f'    return f"{name}({shown})"',
        "def __reduce__(self) -> tuple[object, ...]:",
        f"    return {name}, ({own},)",
    ]
    return "".join(f"    {line}\n" for line in body)


def rewrite(folder: Path, packages: Sequence[str], compiled: Sequence[str], target: Path) -> None:
    """
    Copy packages to `target`, with those of their modules rewritten that are compiled.

    Args:
        compiled: Paths of modules below `folder`.
    """
    shutil.rmtree(target, ignore_errors=True)
    for package in packages:
        shutil.copytree(folder / package, target / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for path in compiled:
        module = target / path
        module.write_text(rewritten(module.read_text(encoding="utf-8")), encoding="utf-8")
