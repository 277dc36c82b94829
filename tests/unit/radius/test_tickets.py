"""Class and State: ours are opened, all else is nothing (S24)."""

from __future__ import annotations

import pytest

from aaa.keys import Keys
from aaa.radius.tickets import Ticket, Tickets

OLD, NEW = bytes(32), bytes([1]) * 32
TICKETS = Tickets(Keys([OLD]))


def test_what_was_handed_out_is_opened():
    assert TICKETS.open_class("n", [b"noise", TICKETS.class_for("n", 2**63)]) == Ticket(2**63)
    assert TICKETS.open_state("n", TICKETS.state_for("n", 12, 3)) == Ticket(12, 3)


def test_it_is_printable_and_fits_an_attribute():
    """Some clients keep text alone."""
    state = TICKETS.state_for("n", 2**63, 2**31)

    assert state.isascii() and state.decode().isprintable() and len(state) < 100


@pytest.mark.parametrize("value", [b"", b"c", b"c-", b"-" + b"0" * 24, b"c-" + b"0" * 24, b"\xff" * 30])
def test_what_is_not_ours_is_nothing(value):
    assert TICKETS.open_class("n", [value]) is None
    assert TICKETS.open_state("n", value) is None


def test_one_client_cannot_use_what_another_was_handed():
    assert TICKETS.open_class("m", [TICKETS.class_for("n", 12)]) is None


def test_a_class_is_no_state():
    assert TICKETS.open_state("n", TICKETS.class_for("n", 12)) is None


def test_any_changed_octet_is_seen():
    state = TICKETS.state_for("n", 12, 3)
    for at in range(len(state)):
        changed = state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :]
        assert TICKETS.open_state("n", changed) is None


def test_what_the_older_key_signed_is_believed_during_a_rotation():
    both = Tickets(Keys([NEW, OLD]))

    assert both.open_class("n", [TICKETS.class_for("n", 12)]) == Ticket(12)
    assert TICKETS.open_class("n", [both.class_for("n", 12)]) is None
