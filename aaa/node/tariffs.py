"""
The tariff versions this node prices with (S17): which one is in force when, and each by its number.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol

from rating.loader import load
from rating.tariff import Tariff

Found = tuple[dict[int, Tariff], list[tuple[str, int, int]]]
"""Versions that are new, and all activations: tariff, from when, which version."""


class TariffSource(Protocol):
    """Where tariff versions come from: a store, or its reporting connection."""

    def tariff_documents(self) -> list[tuple[int, str]]:
        """Versions: number and document."""

    def activations(self) -> list[tuple[str, int, int]]:
        """Activations: tariff, from when, which version; by tariff and instant."""


class TariffBook:
    """Every activated version, loaded from the store; versions never change once loaded."""

    def __init__(self, store: TariffSource) -> None:
        self._store = store
        self._versions: dict[int, Tariff] = {}
        self._from: dict[str, list[int]] = {}
        self._in_force: dict[str, list[int]] = {}
        self._resolved: dict[int, Tariff] = {}
        self.reload()

    def reload(self) -> None:
        """Take up versions and activations that were added since."""
        self.take(self.read())

    def read(self) -> Found:
        """Read what was added since, in any thread; `take` puts it in force."""
        added = [(number, text) for number, text in self._store.tariff_documents() if number not in self._versions]
        return {number: load(text, number) for number, text in added}, self._store.activations()

    def take(self, found: Found) -> None:
        """Put into force what was read."""
        versions, activations = found
        self._versions.update(versions)
        self._from, self._in_force = {}, {}
        for name, active_from, number in activations:
            self._from.setdefault(name, []).append(active_from)
            self._in_force.setdefault(name, []).append(number)
        self._resolved = {number: self._with_fallbacks(tariff) for number, tariff in self._versions.items()}

    def _with_fallbacks(self, tariff: Tariff) -> Tariff:
        """The tariff with its chain; one whose chain is broken prices what it can itself (provisioning refuses it)."""
        try:
            return tariff.with_fallbacks(self._newest)
        except ValueError:
            return tariff

    def _newest(self, name: str) -> Tariff | None:
        numbers = self._in_force.get(name)
        return self._versions[numbers[-1]] if numbers else None

    def in_force(self, name: str, at_us: int) -> Tariff | None:
        """The version of a tariff in force at an instant, or None."""
        starts = self._from.get(name)
        if starts is None:
            return None
        position = bisect_right(starts, at_us)
        return self._resolved[self._in_force[name][position - 1]] if position else None

    def version(self, number: int) -> Tariff | None:
        """
        One version by its number, or None.

        A session of another node may name a version this one has not heard of: it is in the store then.
        """
        if number not in self._versions:
            self.reload()
        return self._versions.get(number)

    def names(self) -> dict[str, int]:
        """The newest activated version of every tariff."""
        return {name: numbers[-1] for name, numbers in self._in_force.items()}
