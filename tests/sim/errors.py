"""What a simulation reports when it finds something."""

from __future__ import annotations


class LawBroken(AssertionError):
    """A law did not hold; the text names it, the seed and the step."""
