"""Error messages name the line where a key stands."""

from __future__ import annotations

from aaa.config.locate import line_of, locate, table_name

TEXT = '''# comment
top = 1
[server]
node = "a=b"
[[account]]
id = "alice"
[[account.subscription]]
value = "x"
[[account.subscription]]
value = """
id = "not a key"
"""
list = [
  "a",
  "key = 1",
]
[[account]]
"id" = "bob"
rounding = { mode = "up" }
a.b = 3
'''


def test_finds_keys_of_nested_arrays_of_tables():
    """Each element of an array of tables has its own index."""
    lines = locate(TEXT)

    assert (2, 4, 6, 8, 10, 13, 18, 20) == (
        lines[("top",)],
        lines[("server", "node")],
        lines[("account", 0, "id")],
        lines[("account", 0, "subscription", 0, "value")],
        lines[("account", 0, "subscription", 1, "value")],
        lines[("account", 0, "subscription", 1, "list")],
        lines[("account", 1, "id")],
        lines[("account", 1, "a", "b")],
    )


def test_text_inside_strings_and_arrays_is_no_key():
    """Only statements are keys."""
    lines = locate(TEXT)

    assert ("account", 0, "subscription", 1, "id") not in lines
    assert ("account", 0, "subscription", 1, "key") not in lines


def test_an_unknown_path_has_the_line_of_the_table_around_it():
    """A missing key is reported where its table begins."""
    assert 17 == line_of(locate(TEXT), ("account", 1, "currency"))
    assert 19 == line_of(locate(TEXT), ("account", 1, "rounding", "mode"))
    assert line_of({}, ("x",)) is None


def test_tables_are_named_as_they_are_written():
    """Brackets tell arrays of tables from tables."""
    assert ("[log]", "[[nas]]", "[[account.bucket]]") == (
        table_name(("log",)),
        table_name(("nas", 3)),
        table_name(("account", 0, "bucket", 1)),
    )
