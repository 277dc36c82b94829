"""SQLite counts none of the memory a server uses, which costs each allocation a lock."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

USED = """
import ctypes, sys
{first}
import sqlite3
sqlite3.connect(":memory:").execute("CREATE TABLE t (a)")
now, most = ctypes.c_int(), ctypes.c_int()
ctypes.CDLL("libsqlite3.so.0").sqlite3_status(0, ctypes.byref(now), ctypes.byref(most), 0)
print(most.value > 0)
"""
"""Tells whether the library counted the memory in use (SQLITE_STATUS_MEMORY_USED)."""


def run(first: str) -> str:
    """What a new process prints."""
    result = subprocess.run(
        [sys.executable, "-c", USED.format(first=first)], capture_output=True, text=True, check=True
    )
    return result.stdout


@pytest.fixture(autouse=True)
def _needs_the_librarys_own_python() -> None:
    """A Python that brings its own copy of SQLite has nothing to be told."""
    try:
        ctypes.CDLL("libsqlite3.so.0")
    except OSError:
        pytest.skip("no libsqlite3.so.0")
    if run("") != "True\n":
        pytest.skip("this Python has a SQLite of its own")


def test_it_is_told_before_the_daemon_uses_it() -> None:
    """Importing the daemon does not use it yet."""
    told = "from aaa import app\nprint(app.library.keep_no_statistics())"

    assert "True\nFalse\n" == run(told)


def test_it_is_too_late_when_it_was_used() -> None:
    told = "import sqlite3\nfrom aaa.store.library import keep_no_statistics\nprint(keep_no_statistics())"

    assert "False\nTrue\n" == run(told)
