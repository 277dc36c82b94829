"""
The consumers of the configuration: as the store writes rows for them, and with where their events go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aaa.config import Config
from aaa.config.sections import OutboxTable
from aaa.engine.ports import Control
from aaa.keys import Keys
from aaa.outbox.courier import Courier
from aaa.outbox.sinks import sink_of
from aaa.store.outbox import Consumer
from aaa.store.read import open_reader


def consumers_of(outbox: Sequence[OutboxTable]) -> tuple[Consumer, ...]:
    """Who wants which events."""
    return tuple(
        Consumer(table.name, frozenset(table.events), table.balance_low, table.balance_exhausted) for table in outbox
    )


def courier_of(
    config: Config,
    keys: Keys,
    control: Control,
    owner: str,
    clock: Callable[[], int],
    on_problem: Callable[[str], None],
) -> Courier | None:
    """
    Who delivers for the consumers of a configuration; None when there are none.

    Raises:
        ConfigError: A sink that cannot be used.
    """
    if not config.outbox:
        return None

    def now_s() -> int:
        return clock() // 1_000_000

    return Courier(
        control,
        open_reader(config.store.url),
        {table.name: sink_of(table, config.redis.url, keys, now_s) for table in config.outbox},
        owner=owner,
        clock=clock,
        retention_us=config.retention.outbox * 1_000_000,
        on_problem=on_problem,
    )
