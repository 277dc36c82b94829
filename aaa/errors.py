"""
The product's exceptions: broken input, broken store, broken invariant.

A refusal that a peer or an operator is to be told (no credit, unknown destination) is a value, never
one of these (DESIGN: denials are values).
"""


class AaaError(Exception):
    """Base of everything this product raises on purpose."""


class ConfigError(AaaError):
    """
    Configuration that cannot be used; carries every problem found, not only the first.

    Args:
        problems: One line each: file, table and key, reason.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreUnavailable(AaaError):
    """The database did not take the work; nothing of it may be answered."""


class RowUnreadable(StoreUnavailable):
    """A row holds what this release cannot read; only who asks for it is refused.  The text names the row."""


class SchemaMismatch(AaaError):
    """The database has another schema than this release; the text names the command to run."""


class InvariantBroken(AaaError):
    """A law of the ledger would have been broken; a bug, and never to be caught and ignored."""
