"""
Which part of the service a process is.
"""

from __future__ import annotations

from dataclasses import dataclass

from aaa.workers.inherit import Inherited


@dataclass(frozen=True)
class Part:
    """
    One process among those of an installation.

    Args:
        role: What is served: `all`, `radius`, `diameter` or `api`.
        workers: How many processes serve it under this one, which then serves no protocol; 0: this one alone.
        inherited: What a worker was handed by its parent.
        arguments: The command line of this process, for its workers.
    """

    role: str = "all"
    workers: int = 0
    inherited: Inherited | None = None
    arguments: tuple[str, ...] = ()

    @property
    def is_worker(self) -> bool:
        """Whether a parent started this process."""
        return self.inherited is not None

    @property
    def has_api(self) -> bool:
        """Whether this process is the one that operators talk to."""
        return not self.is_worker and self.role in ("all", "api")
