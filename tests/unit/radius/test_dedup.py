"""The duplicate cache: four outcomes, bounded, two generations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aaa.radius.dedup import PERIOD_US, Dedup, Seen

HOST, A, B = ("127.0.0.1", 1000), b"a" * 16, b"b" * 16


def seen(dedup, source, number, authenticator, data, now_us):
    """The state of a request, and the answer a repeat of it gets."""
    state, entry = dedup.see(source, number, authenticator, data, now_us)
    return state, entry.answer if state is Seen.ANSWERED else None


def test_a_request_is_new_then_in_progress_then_answered():
    dedup = Dedup()

    state, entry = dedup.see(HOST, 7, A, b"data", 0)
    assert state is Seen.NEW
    assert seen(dedup, HOST, 7, A, b"data", 1) == (Seen.IN_PROGRESS, None)
    entry.answer = b"answer"
    assert seen(dedup, HOST, 7, A, b"data", 2) == (Seen.ANSWERED, b"answer")


def test_other_bytes_under_the_same_authenticator_are_a_conflict():
    dedup = Dedup()
    dedup.see(HOST, 7, A, b"data", 0)

    assert seen(dedup, HOST, 7, A, b"other", 1) == (Seen.CONFLICT, None)


def test_another_authenticator_takes_the_place_of_the_old_request():
    """RFC 5080 2.2.2: a client reuses its Identifier when it is done with it."""
    dedup = Dedup()
    _, first = dedup.see(HOST, 7, A, b"data", 0)

    assert seen(dedup, HOST, 7, B, b"other", 1) == (Seen.NEW, None)
    first.answer = b"late"
    assert seen(dedup, HOST, 7, B, b"other", 2) == (Seen.IN_PROGRESS, None)


def test_a_forgotten_request_is_new_again():
    dedup = Dedup()
    _, first = dedup.see(HOST, 7, B, b"data", 0)
    _, entry = dedup.see(HOST, 7, A, b"data", 0)
    first.forget()
    assert dedup.see(HOST, 7, A, b"data", 1)[0] is Seen.IN_PROGRESS
    entry.forget()

    assert dedup.see(HOST, 7, A, b"data", 2)[0] is Seen.NEW


def test_an_answer_is_kept_for_one_period_and_gone_after_three():
    dedup = Dedup()
    dedup.see("first", 7, A, b"", 0)
    _, entry = dedup.see(HOST, 7, A, b"data", PERIOD_US - 1)
    entry.answer = b"answer"

    assert dedup.see(HOST, 7, A, b"data", 2 * PERIOD_US - 2)[0] is Seen.ANSWERED
    dedup.see("second", 7, A, b"", 3 * PERIOD_US)
    assert dedup.see(HOST, 7, A, b"data", 3 * PERIOD_US + 1)[0] is Seen.NEW


def test_an_answer_that_comes_after_a_rotation_is_kept():
    dedup = Dedup()
    _, entry = dedup.see(HOST, 7, A, b"data", 0)
    dedup.see("other", 7, A, b"", PERIOD_US)
    entry.answer = b"answer"

    assert seen(dedup, HOST, 7, A, b"data", PERIOD_US + 1) == (Seen.ANSWERED, b"answer")


def test_sources_and_sockets_are_told_apart():
    dedup = Dedup()
    dedup.see(HOST, 7, A, b"data", 0)

    assert dedup.see(("127.0.0.1", 1001), 7, A, b"data", 0)[0] is Seen.NEW
    assert dedup.see(HOST, 1 << 8 | 7, A, b"data", 0)[0] is Seen.NEW


def test_a_long_silence_leaves_nothing():
    dedup = Dedup()
    dedup.see(HOST, 7, A, b"data", 0)
    dedup.see("other", 7, A, b"", 10 * PERIOD_US)

    assert len(dedup) == 1


@given(st.lists(st.integers(0, 1000), max_size=200))
def test_it_never_holds_more_than_two_generations(keys):
    dedup = Dedup(entries_max=10)
    for at, key in enumerate(keys):
        dedup.see(key % 7, key, A, b"", at)

        assert len(dedup) <= 20


def test_entries_given_up_early_are_counted():
    dedup = Dedup(entries_max=1)
    for key in range(3):
        dedup.see(key % 7, key, A, b"", key)

    assert dedup.evictions == 1
