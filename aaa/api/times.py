"""
Instants in questions: RFC 3339 with a zone, or a date alone, which is its midnight in UTC.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from aaa.api.problems import Refusal
from aaa.provision.tables import parse_instant

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_time(value: Any) -> int:
    """
    Microseconds since the epoch.

    >>> parse_time("2027-01-01"), parse_time("2027-01-01T01:00:00+01:00")
    (1798761600000000, 1798761600000000)
    """
    is_date = isinstance(value, str) and _DATE.fullmatch(value)
    return parse_instant(f"{value}T00:00:00Z" if is_date else value)


Time = Annotated[int, BeforeValidator(parse_time)]


def asked_time(text: str, key: str) -> int | None:
    """
    The instant a query names, None for an empty one.

    Raises:
        Refusal: It is no instant; names the key.
    """
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise Refusal(422, f"{key}: {error}", code="malformed") from None
