"""Applying creates what is missing, changes what differs, and never moves money or deletes."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Connection, func, insert, select, update

from aaa.config.clients import NasTable
from aaa.engine.commands import Adjust
from aaa.keys import Keys
from aaa.provision import ApplyFile, ApplyRefused, Result, parse_apply, write
from aaa.provision.credentials import sealed_nas, unsealed_nas
from aaa.store import tables as db

NOW_US = 1_790_000_000_000_000
FILE = """
[[tariff]]
name = "retail"
currency = "EUR"
[[tariff.rate]]
prefix = ""
price = "0.01"

[[account]]
id = "alice"
currency = "EUR"
tariff = "retail"
max_sessions = 4
opening_balance = "10.00"
[[account.subscription]]
type = "username"
value = "alice"
password = "secret"
[[account.subscription]]
type = "pin"
value = "123456"
[[account.bucket]]
unit = "seconds"
amount = 3600
scope = ["44"]

[[account]]
id = "bob"
currency = "EUR"
tariff = "retail"

[[nas]]
name = "n"
address = "127.0.0.1"
secret = "testing123"

[[peer]]
origin_host = "*"
realm = "r"
address = ["127.0.0.1"]
"""


def apply(connection: Connection, keys: Keys, text: str = FILE, **options) -> Result:
    file = parse_apply(text, {})
    assert isinstance(file, ApplyFile), file
    return write(connection, file, keys, NOW_US, **options)


def counts(result: Result) -> tuple[int, int, int]:
    return result.created, result.changed, result.unchanged


def test_creates_everything_and_hands_back_the_money(connection, keys):
    """Opening balances are commands for the node, with the key that makes them happen once."""
    result = apply(connection, keys)
    alice = connection.execute(select(db.account).where(db.account.c.name == "alice")).one()

    assert (8, 0, 0) == counts(result)
    assert [(alice.id, Adjust(10_000_000, "opening", "opening:alice", reason="opening balance"))] == result.openings
    assert (0, 0) == (alice.balance, alice.entry_no)
    assert {"max_sessions": 4} == json.loads(alice.limits)


def test_applying_twice_changes_nothing(connection, keys):
    """The second run finds everything as the file says, sealed secrets included."""
    apply(connection, keys)
    before = connection.execute(select(db.account.c.version)).scalars().all()
    again = apply(connection, keys)

    assert (0, 0, 8) == counts(again)
    assert before == connection.execute(select(db.account.c.version)).scalars().all()


def test_a_posted_opening_is_not_handed_back_again(connection, keys):
    """A million accounts are not asked for their opening balance a second time."""
    (account_id, command), *_ = apply(connection, keys).openings
    _post(connection, account_id, command.idempotency_key, command.amount_micro)

    assert [] == apply(connection, keys).openings


def test_an_opening_with_another_amount_is_refused(connection, keys):
    """The file would silently not do what it says."""
    (account_id, command), *_ = apply(connection, keys).openings
    _post(connection, account_id, command.idempotency_key, 9_000_000)

    with pytest.raises(ApplyRefused, match="account alice was opened with another amount"):
        apply(connection, keys)


def _post(connection: Connection, account_id: int, ref: str, amount: int) -> None:
    entry = {"account_id": account_id, "entry_no": 1, "amount": amount, "balance_after": amount, "at": NOW_US}
    connection.execute(insert(db.ledger_entry), [entry | {"cause": "opening", "ref": ref}])
    connection.execute(update(db.account).where(db.account.c.id == account_id).values(entry_no=1, balance=amount))


def test_a_dry_run_tells_and_writes_nothing(connection, keys):
    """The preview counts what would happen."""
    result = apply(connection, keys, dry_run=True)

    assert (8, 0, 0) == counts(result)
    assert "created account alice" in result.actions
    assert 0 == connection.execute(select(func.count()).select_from(db.account)).scalar_one()
    assert 0 == connection.execute(select(func.count()).select_from(db.tariff_version)).scalar_one()


def test_a_changed_account_gets_a_new_version(connection, keys):
    """Every node that decided on the old row must lose its version check (S10)."""
    apply(connection, keys)
    changed = apply(connection, keys, FILE.replace("max_sessions = 4", 'max_sessions = 2\ncredit_limit = "unlimited"'))
    alice = connection.execute(select(db.account).where(db.account.c.name == "alice")).one()

    assert (0, 1, 7) == counts(changed)
    assert (None, {"max_sessions": 2}) == (alice.credit_limit, json.loads(alice.limits))
    assert (
        alice.version > connection.execute(select(db.account.c.version).where(db.account.c.name == "bob")).scalar_one()
    )


def test_keys_that_are_not_written_stay_as_they_are(connection, keys):
    """What an operator suspended does not come back to life by applying a file that never spoke of it."""
    apply(connection, keys)
    connection.execute(update(db.account).where(db.account.c.name == "alice").values(status="suspended"))
    again = apply(connection, keys)

    assert (0, 0, 8) == counts(again)
    assert (
        "suspended" == connection.execute(select(db.account.c.status).where(db.account.c.name == "alice")).scalar_one()
    )


def test_bucket_units_are_not_refilled(connection, keys):
    """`amount` is what a new bucket starts with; used units do not come back by applying again."""
    apply(connection, keys)
    connection.execute(update(db.bucket).values(amount=100))
    changed = apply(connection, keys, FILE.replace('scope = ["44"]', 'scope = ["44"]\npriority = 5'))

    assert (0, 1, 7) == counts(changed)
    assert (100, 5) == tuple(connection.execute(select(db.bucket.c.amount, db.bucket.c.priority)).one())


def test_secrets_are_sealed_and_pins_hashed(connection, keys):
    """Nothing readable is stored (S24)."""
    apply(connection, keys)
    rows = connection.execute(select(db.subscription)).all()
    stored = {row.type: row for row in rows}
    nas = connection.execute(select(db.nas.c.document)).scalar_one()

    assert b"secret" == keys.unseal(json.loads(stored["username"].credential)["clear"])
    assert keys.fingerprints("pin", "123456")[0] == stored["pin"].value
    assert "testing123" not in nas
    assert ["testing123"] == unsealed_nas(json.loads(nas), keys)["secret"]


def test_a_new_password_replaces_the_hash(connection, keys):
    """Two valid passwords for one identity would surprise everybody."""
    apply(connection, keys)
    digest = "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
    changed = apply(connection, keys, FILE.replace('password = "secret"', f'password_hash = "{digest}"'))
    row = connection.execute(
        select(db.subscription.c.credential).where(db.subscription.c.type == "username")
    ).scalar_one()

    assert (0, 1, 7) == counts(changed)
    assert {"hash": digest} == json.loads(row)


def test_a_changed_tariff_is_a_new_version_activated_now(connection, keys):
    """Versions are immutable; the newest activation is in force (S17)."""
    apply(connection, keys)
    changed = apply(connection, keys, FILE.replace('"0.01"', '"0.02"'))
    versions = connection.execute(select(db.tariff_version.c.id).order_by(db.tariff_version.c.id)).scalars().all()
    activations = connection.execute(select(db.tariff_activation).order_by(db.tariff_activation.c.active_from)).all()

    assert (0, 1, 7) == counts(changed)
    assert versions == [row.version_id for row in activations]
    assert activations[1].active_from > activations[0].active_from


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('tariff = "retail"\nmax', 'tariff = "wholesale"\nmax', "unknown tariff wholesale"),
        (
            'currency = "EUR"\ntariff = "retail"\nmax',
            'currency = "USD"\ntariff = "retail"\nmax',
            "in USD, tariff retail in EUR",
        ),
        ('tariff = "retail"\nmax', "max", "is required for the new account alice"),
    ],
)
def test_what_does_not_fit_is_refused(connection, keys, before, after, reason):
    """Refused whole, with the reason."""
    text = FILE.replace(before, after, 1)
    with pytest.raises(ApplyRefused, match=reason):
        apply(connection, keys, text)


def test_an_identity_of_another_account_is_refused(connection, keys):
    """Taking over a user name would move calls to another purse."""
    apply(connection, keys)
    text = FILE.replace('id = "alice"', 'id = "mallory"').replace('opening_balance = "10.00"\n', "")

    with pytest.raises(ApplyRefused, match="username alice belongs to another account"):
        apply(connection, keys, text)


def test_the_currency_of_an_account_with_money_cannot_change(connection, keys):
    """Its entries are in the old one."""
    (account_id, command), *_ = apply(connection, keys).openings
    _post(connection, account_id, command.idempotency_key, command.amount_micro)

    with pytest.raises(ApplyRefused, match="account alice holds EUR, its currency cannot change"):
        apply(connection, keys, FILE.replace('"EUR"', '"USD"'))


def test_a_nas_of_the_configuration_is_refused(connection, keys):
    """A name in both places is an error (OPERATIONS section 3)."""
    with pytest.raises(ApplyRefused, match="n is in the configuration file too"):
        apply(connection, keys, configured_nas={"n"})


def test_a_network_of_another_nas_is_refused(connection, keys):
    """Two clients cannot be told apart by one network."""
    apply(connection, keys)

    with pytest.raises(ApplyRefused, match=r"127\.0\.0\.1 is already the network of n"):
        apply(connection, keys, '[[nas]]\nname = "m"\naddress = "127.0.0.1"\nsecret = "x"\n')


def test_a_sealed_nas_comes_back_as_it_was(keys):
    """The protocol face reads the same document from the store as from the configuration."""
    nas = NasTable(name="n", address="10.0.0.0/8", secret=["one", "two"], quantum_max="60s")

    assert {
        "name": "n",
        "address": "10.0.0.0/8",
        "secret": ["one", "two"],
        "quantum_max": 60,
        "profile": "generic",
    } == unsealed_nas(sealed_nas(nas, keys), keys)
