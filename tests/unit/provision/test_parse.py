"""An apply file is sound as a whole, or refused as a whole with file, line, table and key."""

from __future__ import annotations

import pytest

from aaa.provision import ApplyFile, parse_apply

TARIFF = """
[[tariff]]
name = "retail"
currency = "EUR"
[[tariff.rate]]
prefix = "4420"
price = "0.0120"
pulse = "60/6"
"""
ALICE = """
[[account]]
id = "alice"
currency = "EUR"
tariff = "retail"
"""


def sound(text: str, files: dict[str, str] | None = None) -> ApplyFile:
    parsed = parse_apply(text, files or {}, "a.toml")
    assert isinstance(parsed, ApplyFile), [str(problem) for problem in parsed]
    return parsed


def problems(text: str, files: dict[str, str] | None = None) -> list[str]:
    parsed = parse_apply(text, files or {}, "a.toml")
    assert isinstance(parsed, list)
    return [str(problem) for problem in parsed]


def test_reads_every_table_of_the_operations_page():
    """The names of OPERATIONS section 15 are what operators rely on."""
    file = sound(
        TARIFF
        + ALICE
        + """
credit_limit = "0"
max_sessions = 4
opening_balance = "10.00"
[[account.subscription]]
type = "username"
value = "alice"
password = "secret"
[[account.bucket]]
unit = "seconds"
amount = 3600
scope = ["44"]
priority = 10
valid_until = "2027-01-01T00:00:00Z"
[[nas]]
name = "fs-edge"
address = "127.0.0.1/32"
secret = "testing123"
profile = "freeswitch"
require_message_authenticator = "no"
limit_proxy_state = "auto"
accept_foreign_nonce = true
realms = ["example.com"]
authorize_without_credentials = true
identity = ["Digest-Username", "User-Name"]
trust_calling_station_id = false
coa = "127.0.0.1:3799"
quantum = "adaptive"
on_store_down = "deny"
numbers = { country = "49", international = ["00", "+"], national = "0" }
[[peer]]
origin_host = "client.example.net"
realm = "example.net"
address = ["127.0.0.0/8"]
relay = false
allow = ["session", "event"]
final_margin_s = 0
"""
    )

    assert ("retail", "EUR") == (file.tariffs[0].name, file.tariffs[0].currency)
    assert 10_000_000 == file.accounts[0].opening_balance
    assert {"max_sessions": 4} == file.accounts[0].limits()
    assert 1_798_761_600_000_000 == file.accounts[0].bucket[0].valid_until
    assert (["testing123"], "freeswitch") == (file.nas[0].secret, file.nas[0].profile)
    assert "client.example.net" == file.peers[0].origin_host
    assert 6 == file.objects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[[account]]\nid = "a"\ncurency = "EUR"\n',
            'a.toml:3: [[account]] curency: unknown key; did you mean "currency"?',
        ),
        ('[[acount]]\nid = "a"\n', 'a.toml:1: acount: unknown key; did you mean "account"?'),
        ('[[account]]\ncurrency = "EUR"\n', "a.toml:1: [[account]] id: is required"),
        ('[[account]]\nid = "a"\ncurrency = "euro"\n', "a.toml:3: [[account]] currency: String should match pattern"),
        ('[[account]]\nid = "a"\ncredit_limit = -1\n', "[[account]] credit_limit: -1: money is written as a string"),
        ('[[account]]\nid = "a"\ncredit_limit = "-1"\n', "[[account]] credit_limit: '-1' is below 0"),
        (
            '[[account]]\nid = "a"\nopening_balance = "-1"\n',
            "[[account]] opening_balance: should be greater than or equal to 0",
        ),
        ('[[account]]\nid = "a"\nvalid_until = "tomorrow"\n', "[[account]] valid_until: 'tomorrow' is no time"),
        ('[[account]]\nid = "a"\nvalid_until = 2027-01-01T00:00:00\n', "has no time zone"),
        ('[[account]]\nid = "a"\n[[account]]\nid = "a"\n', "a.toml:4: [[account]] id: a stands in the file twice"),
        (
            '[[account]]\nid="a"\n[[account.subscription]]\ntype="e164"\nvalue="+49"\n',
            "a.toml:3: [[account.subscription]]: '+49' is no e164: expected digits",
        ),
        (
            '[[account]]\nid="a"\n[[account.subscription]]\ntype="username"\nvalue="a"\npassword_hash="plain"\n',
            "password_hash is none of argon2, bcrypt",
        ),
        (
            '[[account]]\nid="a"\n[[account.subscription]]\ntype="username"\nvalue="a"\nha1="x"\n',
            "ha1 and realm are only of use together",
        ),
        (
            '[[account]]\nid="a"\n[[account.subscription]]\ntype="username"\nvalue="x"\n'
            '[[account]]\nid="b"\n[[account.subscription]]\ntype="username"\nvalue="x"\n',
            "a.toml:10: [[account.subscription]] value: username x stands in the file twice",
        ),
        (
            '[[account]]\nid="a"\n[[account.bucket]]\nunit="seconds"\namount=-1\n',
            "a.toml:5: [[account.bucket]] amount: should be greater than or equal to 0",
        ),
        (
            '[[account]]\nid="a"\n[[account.bucket]]\nname="x"\nunit="seconds"\namount=1\n'
            '[[account.bucket]]\nname="x"\nunit="events"\namount=1\n',
            "a.toml:8: [[account.bucket]] name: x stands in the account twice",
        ),
        ('[[nas]]\nname="n"\naddress="10.0.0.1"\nsecret="testing123"\n', "loopback addresses only"),
        (
            '[[nas]]\nname="n"\naddress="10.0.0.1"\nsecret_file="gone"\n',
            "[[nas]] secret_file: gone: not handed in, or empty",
        ),
        (
            '[[nas]]\nname="n"\naddress="10.0.0.1"\nsecret_env="X"\n',
            "cannot take a secret from the server's environment",
        ),
        ('[[peer]]\norigin_host="h"\nrealm="r"\n', "[[peer]]: address is required"),
        (
            '[[tariff]]\nname="t"\ncurrency="EUR"\nrates_file="r.csv"\n',
            "a.toml:4: [[tariff]] rates_file: r.csv: not handed in",
        ),
        ('tariff = "x"\n', "a.toml:1: tariff: should be [[tariff]] tables"),
        ('[[account]\nid = "a"\n', "a.toml:1: not valid TOML"),
    ],
)
def test_mistakes_name_line_table_and_key(text, expected):
    """An operator finds the place at once."""
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_mistakes_in_tariffs_are_found_in_the_same_run():
    """A bad price and a bad account are both reported, each with its own line."""
    found = problems(TARIFF.replace('"0.0120"', "0.0120") + '[[account]]\nid = ""\n')

    assert any(problem.startswith("a.toml:7: [[tariff.rate]] price: ") for problem in found), found
    assert any(problem.startswith("a.toml:10: [[account]] id: ") for problem in found), found


def test_mistakes_in_a_rates_file_name_its_lines():
    """CSV problems carry the CSV's own name and line."""
    text = '[[tariff]]\nname = "t"\ncurrency = "EUR"\nrates_file = "r.csv"\n'

    found = problems(text, {"r.csv": "prefix,price\n49,0.01\nxx,0.01\n"})

    assert any(problem.startswith("r.csv:3: prefix: ") for problem in found), found


def test_a_secret_file_is_handed_in_by_name():
    """The client reads it, so that the server needs no access to the operator's files."""
    file = sound('[[nas]]\nname="n"\naddress="10.0.0.1"\nsecret_file="s/n"\n', {"s/n": "hush\n"})

    assert (["hush"], None) == (file.nas[0].secret, file.nas[0].secret_file)


def test_the_demo_secret_is_refused_through_a_file_too():
    """The way in does not matter."""
    found = problems('[[nas]]\nname="n"\naddress="10.0.0.1"\nsecret_file="s"\n', {"s": "testing123\n"})

    assert any("loopback addresses only" in problem for problem in found)


@pytest.mark.parametrize(("accounts", "sizes"), [(9_999, [10_000]), (10_500, [1, *[1_000] * 10, 500])])
def test_files_are_written_in_transactions_of_bounded_size(accounts, sizes):
    """Up to 10,000 objects are one transaction; larger files come in parts, in order, tariffs first."""
    text = TARIFF + "".join(f'[[account]]\nid = "a{n}"\ncurrency = "EUR"\ntariff = "retail"\n' for n in range(accounts))
    batches = list(sound(text).batches())

    assert sizes == [batch.objects for batch in batches]
    assert f"a{accounts - 1}" == batches[-1].accounts[-1].id


def test_pins_never_show_in_messages():
    """A PIN is a secret even when it is wrong."""
    found = problems('[[account]]\nid="a"\n[[account.subscription]]\ntype="pin"\nvalue="12x45"\n')

    assert found
    assert not any("12x45" in problem for problem in found)
