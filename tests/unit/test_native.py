"""
What the compiled build makes of a source does what the source did; run here as plain Python.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from native import rewrite, rewritten

SOURCE = '''"""A module."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from aaa.value import Value

LIMIT = 3
SIZES: tuple[int, ...] = tuple(range(LIMIT))
PAIR = (1, 2)
T = TypeVar("T")
CHANGING = 1
CHANGING = 2


class Key(Value, frozen=True):
    """What is charged for."""

    name: str = "käse"
    parts: tuple[int, ...] = ()


class Line(Value, frozen=True):
    """A stretch."""

    key: Key
    used: int = 0  # so far
    cause: str | None = None

    @property
    def twice(self) -> int:
        return 2 * self.used


def next_line(line: Line) -> Line:
    return replace(replace(line, used=line.used + 1), cause=None if line.cause else "ä", key=Key("x"))
'''


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The rewritten module."""
    module = types.ModuleType("rewritten_sample")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = rewritten(SOURCE).replace("@_mypyc_attr(acyclic=True)\n", "")  # mypyc takes it away as well
    exec(compile(source, "sample", "exec"), module.__dict__)
    yield module


def test_a_value_is_no_struct_any_more_and_has_its_defaults(made: Any) -> None:
    line = made.Line(made.Key())

    assert not hasattr(line, "__struct_config__")
    assert ("käse", (), 0, None, 0) == (line.key.name, line.key.parts, line.used, line.cause, line.twice)


def test_values_are_equal_by_content(made: Any) -> None:
    one, other = made.Line(made.Key("a", (1,)), 5), made.Line(made.Key("a", (1,)), used=5)

    assert one == other and hash(one) == hash(other)
    assert one != made.Line(made.Key("a", (1,)), 6)
    assert one != made.Key("a", (1,))


def test_replacing_leaves_the_other_fields(made: Any) -> None:
    line = made.Line(made.Key("a"), 5)
    after = made.next_line(line)

    assert made.Line(made.Key("x"), 6, "ä") == after
    assert made.next_line(after).cause is None
    assert made.Line(made.Key("a"), 5) == line


def test_fields_come_in_their_order(made: Any) -> None:
    line = made.Line(made.Key("a"), 5, "c")

    assert (made.Key("a"), 5, "c") == line.__fields__()
    assert ("key", "used", "cause") == made.Line.__struct_fields__


def test_values_travel(made: Any) -> None:
    line = made.Line(made.Key("a"), 5)

    assert line == pickle.loads(pickle.dumps(line))


def test_constants_are_final_unless_they_change_or_are_no_constants() -> None:
    lines = rewritten(SOURCE).splitlines()

    assert "LIMIT: _Final = 3" in lines
    assert "SIZES: _Final[tuple[int, ...]] = tuple(range(LIMIT))" in lines
    assert "PAIR = (1, 2)" in lines  # compiled code would make it anew at every use
    assert 'T = TypeVar("T")' in lines
    assert "CHANGING = 1" in lines and "CHANGING = 2" in lines


def test_a_source_with_nothing_to_change_stays_as_it_is() -> None:
    source = "def f() -> int:\n    return 1\n"

    assert source == rewritten(source)


def test_what_cannot_be_rewritten_is_said() -> None:
    with pytest.raises(SystemExit, match="annotations"):
        rewritten("LIMIT = 3\n")
    with pytest.raises(SystemExit, match=r"line 3: replace with \*\*"):
        rewritten("from __future__ import annotations\nfrom msgspec.structs import replace\nx = replace(y, **z)\n")


def test_only_compiled_modules_of_the_copy_change(tmp_path: Path) -> None:
    package = tmp_path / "from" / "aaa"
    package.mkdir(parents=True)
    for name in ("hot", "cold"):
        (package / f"{name}.py").write_text(SOURCE)
    rewrite(tmp_path / "from", ["aaa"], ["aaa/hot.py"], tmp_path / "to")

    assert SOURCE == (tmp_path / "to/aaa/cold.py").read_text() == (package / "hot.py").read_text()
    assert rewritten(SOURCE) == (tmp_path / "to/aaa/hot.py").read_text()
