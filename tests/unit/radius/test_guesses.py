"""Guess limiting: five wrong, then a pause; one right clears it (S24)."""

from __future__ import annotations

from aaa.radius.guesses import COOL_DOWN_US, ENTRIES_MAX, FAILURES_MAX, WINDOW_US, Guesses

WHO = ("n|u|bob", "n|c|1001")


def wrong(guesses: Guesses, times: int, now_us: int = 0, who=WHO) -> None:
    for _ in range(times):
        guesses.failed(who, now_us)


def test_the_fifth_failure_begins_a_pause():
    guesses = Guesses()
    wrong(guesses, FAILURES_MAX - 1)
    assert not guesses.are_cooling(WHO, 0)
    wrong(guesses, 1)

    assert guesses.are_cooling(WHO, COOL_DOWN_US - 1)
    assert not guesses.are_cooling(WHO, COOL_DOWN_US)


def test_a_caller_who_tries_many_names_waits_as_well():
    guesses = Guesses()
    for number in range(FAILURES_MAX):
        guesses.failed((f"n|u|{number}", "n|c|1001"), 0)

    assert guesses.are_cooling(("n|u|next", "n|c|1001"), 1)
    assert not guesses.are_cooling(("n|u|next", "n|c|1002"), 1)


def test_success_forgets_failures():
    guesses = Guesses()
    wrong(guesses, FAILURES_MAX - 1)
    guesses.succeeded(WHO)
    wrong(guesses, FAILURES_MAX - 1)

    assert not guesses.are_cooling(WHO, 1)


def test_old_failures_do_not_count():
    guesses = Guesses()
    wrong(guesses, FAILURES_MAX - 1)
    wrong(guesses, 1, WINDOW_US + 1)

    assert not guesses.are_cooling(WHO, WINDOW_US + 1)


def test_after_the_pause_five_more_are_allowed():
    guesses = Guesses()
    wrong(guesses, FAILURES_MAX)
    wrong(guesses, 1, COOL_DOWN_US)

    assert not guesses.are_cooling(WHO, COOL_DOWN_US)


def test_it_is_bounded():
    guesses = Guesses()
    for number in range(ENTRIES_MAX + 5):
        guesses.failed((str(number),), 0)

    assert len(guesses._failures) == ENTRIES_MAX
