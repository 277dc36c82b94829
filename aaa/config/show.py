"""
A configuration for people to look at: every key with its value and who decided it, without secrets.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from aaa.config.load import Config

HIDDEN = "(secret)"
_PASSWORD_IN_URL = re.compile(r"(://[^:/@]*:)[^@]*@")
_QUERY_OF_URL = re.compile(r"(://[^?]*\?).+")  # passwords and keys stand there, too


class Setting(NamedTuple):
    """One key: dotted name, value, origin (`default`, `file:line`, `environment NAME`, `command line`)."""

    key: str
    value: Any
    origin: str


def settings(config: Config) -> list[Setting]:
    """All keys in order."""
    return [Setting(key, shown(config, key), origin) for key, origin in sorted(config.origin.items())]


def shown(config: Config, key: str) -> Any:
    """The value of a dotted key, a secret hidden."""
    table, *path = key.split(".")
    if table in ("nas", "peer", "profile") and path:
        value = getattr(config, table)[int(path[0])].get(path[1])
        return HIDDEN if path[-1] in ("secret", "event_socket_password") and value else value
    if table == "outbox":
        value = getattr(config.outbox[int(path[0])], path[1]) if path else None
    else:
        value = getattr(getattr(config, table), path[0]) if path else None
    if isinstance(value, str):
        return _QUERY_OF_URL.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1***@", value))
    return list(value) if isinstance(value, tuple) else value
