"""
Tariffs for tests, written as an operator writes them.
"""

from __future__ import annotations

import tomllib
from typing import Any

from rating import Tariff, TariffDocument, load, parse_toml_tariff


def document(text: str, rates_csv: str | None = None) -> TariffDocument:
    """The document of the one [[tariff]] table in a TOML text."""
    parsed = parse_toml_tariff(tomllib.loads(text)["tariff"][0], rates_csv, "test")
    assert isinstance(parsed, TariffDocument), parsed
    return parsed


def tariff(text: str, version: int = 1) -> Tariff:
    """A loaded tariff from TOML."""
    return load(document(text).to_json(), version)


def flat(price: str, pulse: str = "1/1", unit: str = "60s", decimals: int = 4, **rate: Any) -> str:
    """A tariff with one catch-all voice rate."""
    extra = "".join(f'{key} = "{value}"\n' for key, value in rate.items())
    return (
        f'[[tariff]]\nname = "t"\ncurrency = "EUR"\ntimezone = "UTC"\n'
        f'rounding = {{ mode = "up", decimals = {decimals} }}\n'
        f'[[tariff.rate]]\nprefix = ""\ndestination = "World"\n'
        f'price = "{price}"\nprice_unit = "{unit}"\npulse = "{pulse}"\n'
        f"{extra}"
    )


class Book:
    """Tariff versions by name and number, with the instants from which they are in force."""

    def __init__(self) -> None:
        self._versions: dict[int, Tariff] = {}
        self._activations: list[tuple[str, int, int]] = []

    def activate(self, name: str, text: str, at_us: int = 0) -> Tariff:
        """Put a tariff in force from an instant on."""
        number = len(self._versions) + 1
        self._versions[number] = tariff(text, number)
        self._activations.append((name, at_us, number))
        return self._versions[number]

    def in_force(self, name: str, at_us: int) -> Tariff | None:
        found = None
        for known, active_from, number in self._activations:
            if known == name and active_from <= at_us:
                found = self._versions[number]
        return found

    def version(self, number: int) -> Tariff | None:
        return self._versions.get(number)
