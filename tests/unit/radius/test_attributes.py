"""Values inside attributes: text that any store takes, numbers and addresses only of the right size."""

from __future__ import annotations

import pytest

from aaa.radius import attributes as a


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"alice", "alice"),
        ("жук".encode(), "жук"),
        (b"al\0ice", "al\\x00ice"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"", ""),
    ],
)
def test_text_is_utf8_with_escapes_for_the_rest(value, shown):
    assert shown == a.text({1: value}, 1)


def test_first_of_repeated_values_is_read():
    attributes: a.Attributes = {1: [b"alice", b"bob"], 46: [b"\0\0\0\1", b"\0\0\0\2"]}

    assert a.text(attributes, 1) == "alice"
    assert a.number(attributes, 46) == 1
    assert a.every(attributes, 1) == [b"alice", b"bob"]


@pytest.mark.parametrize("value", [b"", b"\1", b"\0\0\1", b"\0\0\0\0\1"])
def test_integer_of_another_size_is_absent(value):
    assert a.number({46: value}, 46) is None


def test_absent_attributes_are_none_or_empty():
    assert a.number({}, 46) is None
    assert a.text({}, 1) == "" and a.first({}, 1) == b"" and a.every({}, 1) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("c0000201", "192.0.2.1"),
        ("20010db8000000000000000000000001", "2001:db8::1"),
        ("fe800000000000000000000000000001", ""),
        ("c00002", ""),
        ("", ""),
    ],
)
def test_addresses_of_four_and_sixteen_octets(value, shown):
    assert shown == a.address(bytes.fromhex(value))
