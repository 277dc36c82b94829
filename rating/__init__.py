"""
The rating core: the only code that knows prices, with no I/O, no clock and no framework.
"""

from rating.buckets import MONEY, Bucket, Part, Parts
from rating.document import TariffDocument
from rating.findings import Finding
from rating.funding import Funding, Settlement, fund, settle, truncate
from rating.grant import align, grant
from rating.loader import load, parse_toml_tariff
from rating.money import format_money, parse_money
from rating.plan import RatePlan
from rating.price import held_price, price
from rating.tariff import Tariff

__all__ = [
    "MONEY",
    "Bucket",
    "Finding",
    "Funding",
    "Part",
    "Parts",
    "RatePlan",
    "Settlement",
    "Tariff",
    "TariffDocument",
    "align",
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
