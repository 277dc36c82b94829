"""
The JSON shapes of the control API, which are those that `aaactl -o json` prints.

Money is a decimal string with its currency, never a float; instants are RFC 3339 in UTC; ids of sessions
are strings, because 64 bits do not fit into the numbers of many JSON readers.
"""

from aaa.api.shapes.accounts import (
    Account,
    Balance,
    Bucket,
    Entry,
    Limits,
    MadeVoucher,
    Mismatch,
    Moved,
    Subscription,
    Verified,
    VerifiedCurrency,
    Voucher,
    Window,
)
from aaa.api.shapes.calls import (
    Cdr,
    Line,
    Session,
)
from aaa.api.shapes.operations import (
    Applied,
    Audit,
    Check,
    Identity,
    MadeToken,
    Nas,
    Peer,
    PeerConnection,
    Readiness,
    Setting,
    Token,
)
from aaa.api.shapes.tariffs import (
    Activation,
    Change,
    Tariff,
    TariffVersion,
)
from aaa.api.shapes.values import (
    Money,
    Page,
    Problem,
    instant,
    money,
)

__all__ = [
    "Account",
    "Activation",
    "Applied",
    "Audit",
    "Balance",
    "Bucket",
    "Cdr",
    "Change",
    "Check",
    "Entry",
    "Identity",
    "Limits",
    "Line",
    "MadeToken",
    "MadeVoucher",
    "Mismatch",
    "Money",
    "Moved",
    "Nas",
    "Page",
    "Peer",
    "PeerConnection",
    "Problem",
    "Readiness",
    "Session",
    "Setting",
    "Subscription",
    "Tariff",
    "TariffVersion",
    "Token",
    "Verified",
    "VerifiedCurrency",
    "Voucher",
    "Window",
    "instant",
    "money",
]
