"""
A store operation whose outcome is taken exactly once, whatever raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aaa.store.port import Failed


def once(
    operation: Callable[[Callable[[Any], None]], None],
    taken: Callable[[Any], None],
    on_error: Callable[[Exception], None],
) -> None:
    """
    Start an operation and take its outcome; an operation that raises has failed, and what it says later is void.

    Args:
        operation: Gets the callback that it has to call with what came of it.
        taken: Gets the outcome or a `Failed`.
        on_error: Told about what either of them raises.
    """
    is_open = True

    def done(outcome: Any) -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            try:
                taken(outcome)
            except Exception as error:
                on_error(error)

    try:
        operation(done)
    except Exception as error:
        on_error(error)
        done(Failed(f"the store raised {type(error).__name__}"))
