"""A large file is checked whole and written in parts, with the same messages as a small one."""

from __future__ import annotations

import pytest

from aaa.provision import large, parse_apply
from aaa.provision.large import LargeFile, is_large, parse_large

HEAD = '[[tariff]]\nname = "retail"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = ""\nprice = "1"\n'
NAS = '[[nas]]\nname = "n"\naddress = "127.0.0.1"\nsecret = "testing123"\n'


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(large, "LARGE_CHARACTERS", 100)
    monkeypatch.setattr(large, "ACCOUNTS_PER_PART", 3)


def account(number: int, more: str = "") -> str:
    identity = f'[[account.subscription]]\ntype = "username"\nvalue = "u{number}"\n'
    return f'[[account]]\nid = "a{number}"\ncurrency = "EUR"\ntariff = "retail"\n{more}{identity}'


def parsed(text: str):
    assert is_large(text)
    return parse_large(text, lambda part: parse_apply(part, {}, "f"), "f")


def test_all_accounts_come_in_order_with_their_numbers():
    """Tariffs and clients first, wherever they stand."""
    file = parsed(HEAD + "".join(map(account, range(8))) + NAS)
    assert isinstance(file, LargeFile), file
    first, *batches = file.batches()

    assert (["retail"], ["n"]) == ([t.name for t in first.tariffs], [n.name for n in first.nas])
    assert [f"a{n}" for n in range(8)] == [account.id for batch in batches for account in batch.accounts]
    assert [0, 3, 6] == [batch.offset for batch in batches]
    assert 1 + 1 + 16 == file.objects


def test_problems_name_the_line_of_the_whole_file():
    """A mistake in the last part, found before anything is written."""
    text = HEAD + "".join(map(account, range(7))) + account(7, "limit = 3\n")
    (problem,) = parsed(text)

    assert "limit = 3" == text.splitlines()[problem.line - 1]
    assert "[[account]] limit: unknown key" in str(problem)


@pytest.mark.parametrize("again", [account(0), account(0).replace('id = "a0"', 'id = "other"')])
def test_what_stands_twice_is_found_across_parts(again):
    """An id or an identity, however far apart."""
    text = HEAD + "".join(map(account, range(7))) + again
    (problem,) = parsed(text)

    assert "[[account]]" == text.splitlines()[problem.line - 1]
    assert "stands in the file twice" in problem.reason


def test_a_header_inside_a_string_cannot_cut_the_file():
    """Such a file is read as one."""
    assert not is_large(HEAD + account(1, 'note = """\n[[account]]\n"""\n') * 10)
