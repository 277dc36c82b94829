"""
The rating core: the only code that knows prices, with no I/O, no clock and no framework.
"""

from rating.buckets import MONEY, Bucket, Part, Parts
from rating.diff import Change, diff
from rating.document import TariffDocument
from rating.explain import explain, explain_text
from rating.export import export_csv, export_toml
from rating.findings import Finding
from rating.funding import Funding, Settlement, fund, settle, truncate
from rating.grant import align, grant
from rating.loader import load, parse_toml_tariff
from rating.money import format_money, parse_money
from rating.plan import RatePlan
from rating.price import Charge, ChargeLine, charge, held_price, price
from rating.tariff import Tariff

__all__ = [
    "MONEY",
    "Bucket",
    "Change",
    "Charge",
    "ChargeLine",
    "Finding",
    "Funding",
    "Part",
    "Parts",
    "RatePlan",
    "Settlement",
    "Tariff",
    "TariffDocument",
    "align",
    "charge",
    "diff",
    "explain",
    "explain_text",
    "export_csv",
    "export_toml",
    "format_money",
    "fund",
    "grant",
    "held_price",
    "load",
    "parse_money",
    "parse_toml_tariff",
    "price",
    "settle",
    "truncate",
]
