"""
A charge as a person can check it on paper: the same lines as data and as text.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from rating.buckets import Parts
from rating.money import MICRO_DECIMALS, TEN, format_money, format_nano
from rating.plan import RatePlan
from rating.price import ChargeLine, charge
from rating.timetable import EPOCH
from rating.units import MILLI, format_milli, format_price_unit

_TITLES = {
    "grace": "within grace, nothing is charged",
    "minimum": "up to the minimum charge",
    "fee": "connect fee",
    "maximum": "down to the maximum charge",
}


def explain(plan: RatePlan, anchor_us: int, used: int, parts: Parts = ()) -> dict[str, Any]:
    """
    Price usage and explain it as JSON-ready data.

    Exact amounts are decimal text, or a fraction such as `1/3000` where decimals would not end; the
    amounts of the lines sum to `amount`.
    """
    priced = charge(plan, anchor_us, used, parts)
    return {
        "tariff": plan.tariff,
        "tariff_version": plan.tariff_version,
        "prefix": plan.prefix,
        "destination": plan.destination,
        "destination_class": plan.destination_class,
        "service": plan.service,
        "unit": plan.unit,
        "used": used,
        "anchor": _local(plan, anchor_us).isoformat(),
        "rounding": {"mode": plan.pricing.mode, "decimals": plan.pricing.decimals},
        "lines": [_line_data(plan, anchor_us, line) for line in priced.lines],
        "amount": format_money(priced.amount_micro, plan.pricing.decimals),
        "amount_micro": priced.amount_micro,
        "currency": plan.currency,
    }


def explain_text(plan: RatePlan, anchor_us: int, used: int, parts: Parts = ()) -> str:
    """Price usage and explain it as text, one line per charge line."""
    priced = charge(plan, anchor_us, used, parts)
    name = f" {plan.destination}" if plan.destination else ""
    head = (
        f"tariff {plan.tariff} version {plan.tariff_version}, prefix {plan.prefix or '(catch-all)'}{name}\n"
        f"{used} {plan.unit} from {_local(plan, anchor_us).isoformat(sep=' ')}"
    )
    rows = [(_line_text(plan, anchor_us, line), exact_text(line.amount_micro)) for line in priced.lines]
    rows.append(("charge", f"{format_money(priced.amount_micro, plan.pricing.decimals)} {plan.currency}"))
    width = max(len(text) for text, _ in rows)
    return "\n".join((head, *(f"  {text:<{width}}  {amount}" for text, amount in rows)))


def exact_text(amount_micro: Fraction) -> str:
    """
    Write an exact amount: decimals where they end, else a fraction.

    >>> exact_text(Fraction(12_000)), exact_text(Fraction(10_000, 3))
    ('0.012', '1/300')
    """
    amount = amount_micro / TEN[MICRO_DECIMALS]
    scale = 0
    while amount.denominator > 1 and (amount * TEN[scale]).denominator > 1 and scale < len(TEN) - 1:
        scale += 1
    scaled = amount * TEN[scale]
    if scaled.denominator > 1:
        return str(amount)
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled.numerator)).rjust(scale + 1, "0")
    return sign + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)


def _line_data(plan: RatePlan, anchor_us: int, line: ChargeLine) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": line.kind, "amount": exact_text(line.amount_micro)}
    if line.kind == "bucket":
        data |= {"bucket": int(line.source), "from": line.from_m // MILLI, "units": line.units}
    elif line.kind == "pulses":
        data |= {
            "from": format_milli(line.from_m),
            "at": _pulse_at(plan, anchor_us, line).isoformat(),
            "pulses": line.pulses,
            "pulse": format_milli(line.pulse_m),
            "price": format_nano(line.price_nano),
            "price_unit": format_price_unit(plan.unit, line.unit_m),
            "step_from": format_milli(line.step_from_m),
        }
    if line.calendar:
        data["calendar"] = line.calendar
    return data


def _line_text(plan: RatePlan, anchor_us: int, line: ChargeLine) -> str:
    if line.kind == "bucket":
        return f"from {line.from_m // MILLI}: {line.units} {plan.unit} from bucket {line.source}"
    if line.kind == "rounding":
        return f"rounding {plan.pricing.mode} to {plan.pricing.decimals} decimals"
    if line.kind != "pulses":
        return _TITLES[line.kind]
    price = f"{format_nano(line.price_nano)} per {format_price_unit(plan.unit, line.unit_m)}"
    when = f" at {_pulse_at(plan, anchor_us, line):%H:%M:%S}" if plan.unit == "seconds" else ""
    calendar = f", {line.calendar}" if line.calendar else ""
    step = f", step from {format_milli(line.step_from_m)}" if line.step_from_m else ""
    pulses = f"{line.pulses} x {format_milli(line.pulse_m)}"
    return f"from {format_milli(line.from_m)}{when}: {pulses} at {price}{calendar}{step}"


def _pulse_at(plan: RatePlan, anchor_us: int, line: ChargeLine) -> datetime:
    offset_us = line.from_m * 1_000 if plan.unit == "seconds" else 0
    return _local(plan, anchor_us + offset_us)


def _local(plan: RatePlan, at_us: int) -> datetime:
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(plan.timezone))
