"""
What a session keeps of its answers: a repeat gets the very answer that was given.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aaa.engine.answers import Ack, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.commands import Identity
from aaa.engine.memory import again, kept, kept_row
from aaa.engine.model import Line, LineHead
from aaa.engine.terms import ChargeKey, Reason
from aaa.store.codec import dumps, loads

amounts = st.integers(-(2**62), 2**62)
counts = st.integers(0, 2**40)
keys = st.builds(
    ChargeKey,
    st.sampled_from(["voice", "data"]),
    st.none() | st.integers(0, 3),
    st.lists(st.integers(0, 2), max_size=2).map(tuple),
    st.sampled_from(["seconds", "octets"]),
    st.sampled_from(["", "in"]),
)
grants = st.builds(LineGrant, keys, counts, counts, counts, st.booleans(), st.booleans(), amounts, counts)
denials = st.builds(LineDenial, keys, st.sampled_from(Reason), amounts)
told = st.lists(grants | denials, max_size=3).map(tuple)
answers = st.builds(Grant, st.just(7), told, amounts, st.sampled_from(["EUR", "X"]), counts) | st.builds(
    Ack, st.sampled_from(Outcome), st.just(7), amounts, amounts, st.text(max_size=3), told
)
lines = st.lists(
    st.builds(Line, st.builds(LineHead, keys, st.just(""), st.just(""), counts, st.just(""), counts, st.none())),
    max_size=2,
).map(tuple)
identities = st.builds(Identity, st.text(max_size=8), st.text(max_size=8))


@given(identities, answers, lines)
def test_a_repeat_gets_the_answer_that_was_given(
    identity: Identity, answer: Grant | Ack, lines: tuple[Line, ...]
) -> None:
    assert again(kept(identity, answer, lines), 7, lines) == answer


@given(identities, answers, lines)
def test_what_was_kept_is_the_same_after_it_was_stored(
    identity: Identity, answer: Grant | Ack, lines: tuple[Line, ...]
) -> None:
    before = kept(identity, answer, lines)

    assert kept_row(loads(dumps(loads(before.text)))) == before


def test_the_key_of_the_first_line_is_not_repeated() -> None:
    key = ChargeKey("data", 100, (1, 2), "octets")
    head = LineHead(key, "", "", 1, "", 0, None)
    answer = Grant(7, (LineGrant(key, 10, 10),), 0, "EUR", 1)

    assert b"octets" not in kept(Identity("1", "d"), answer, (Line(head),)).text
