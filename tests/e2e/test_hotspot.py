"""A hotspot whose tariff has prices for time and for volume: both are limited, and both are charged."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.support.process import Aaad
from tests.support.wire import STOP, access_request, accounting_request, attribute, resigned, session_timeout

NAS = """
[[nas]]
name = "ap"
address = "127.0.0.0/8"
secret = "testing123"
profile = "hotspot"
quantum = "{quantum}"

require_message_authenticator = "no"
limit_proxy_state = "no"
"""
TARIFF = """
[[tariff]]
name = "wifi"
currency = "EUR"
[[tariff.rate]]
prefix = ""
destination = "Time"
service = "data"
price = "0.06"
price_unit = "60s"
pulse = "1/1"
{volume}
[[account]]
id = "guest"
currency = "EUR"
tariff = "wifi"
opening_balance = "1.00"
[[account.subscription]]
type = "username"
value = "guest"
password = "guest"
"""
VOLUME = """
[[tariff.rate]]
prefix = ""
destination = "Volume"
service = "data"
price = "0.10"
price_unit = "1MB"
pulse = "1000/1000"
"""


def octets(reply: bytes) -> int:
    """The limit a ChilliSpot gateway reads, 0 when there is none."""
    for value in attribute(reply, 26):
        if struct.unpack("!IB", value[:5]) == (14559, 3):
            return int(struct.unpack("!I", value[6:10])[0])
    return 0


def stop(seconds: int, into: int) -> bytes:
    data = accounting_request(STOP, "s1", seconds, User_Name="guest")
    extended = data + struct.pack("!BBI", 42, 6, into)
    return resigned(extended[:2] + struct.pack("!H", len(extended)) + extended[4:])


@pytest.mark.parametrize(
    ("quantum", "volume", "limits"),
    [("whole", VOLUME, (500, 5_000_000)), ("whole", "", (1000, 0))],
)
def test_what_is_priced_is_limited(aaad: Callable[..., Aaad], quantum: str, volume: str, limits: tuple[int, int]):
    """All at once: half of the money for time, half for volume; what has no price has no limit."""
    server = aaad(NAS.format(quantum=quantum))
    server.apply(TARIFF.format(volume=volume))
    accept = server.ask(access_request("guest", "guest", "s1"))

    assert accept is not None
    assert limits == (session_timeout(accept), octets(accept))


def test_time_and_volume_are_charged(aaad: Callable[..., Aaad]):
    """100 s at 0.001 and 1 MB at 0.10 of a balance of 1.00; what was held beyond that is free again."""
    server = aaad(NAS.format(quantum="whole"))
    server.apply(TARIFF.format(volume=VOLUME))
    server.ask(access_request("guest", "guest", "s1"))
    held = server.balance("guest")
    server.ask(stop(100, 1_000_000), "acct")

    assert ("1.000000", "1.000000", "0.000000") == held
    assert ("0.800000", "0.000000", "0.800000") == server.balance("guest")
    assert 0 == server.mismatches()
