"""
The SQLite library of this process, before anything uses it.
"""

from __future__ import annotations

import ctypes

_LIBRARY = "libsqlite3.so.0"  # the one Debian's Python is linked to
_OK = 0
_CONFIG_MEMSTATUS = 9  # sqlite3.h


def keep_no_statistics() -> bool:
    """
    Have SQLite not count the memory it uses: each allocation takes a lock for that, half a microsecond per request.

    Nothing is changed once the library was used; a Python with a library of its own keeps its statistics.

    Returns:
        Whether it came in time.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
        done: int = library.sqlite3_config(_CONFIG_MEMSTATUS, ctypes.c_int(0))
    except (OSError, AttributeError):
        return False
    return done == _OK
