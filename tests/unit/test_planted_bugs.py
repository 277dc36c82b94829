"""The bugs that the simulator must find can still be planted."""

from __future__ import annotations

import pytest

from tests.mutation.engine_mutations import BUGS
from tests.mutation.runner import ROOT


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_a_planted_bug_changes_one_passage(bug):
    source = (ROOT / bug.module).read_text(encoding="utf-8")
    assert source.count(bug.old) == 1
    assert bug.new != bug.old
