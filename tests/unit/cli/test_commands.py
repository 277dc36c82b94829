"""Every command does what its noun and verb say, in the format and with the exit code promised."""

from __future__ import annotations

import csv
import io
import json

import pytest

from aaa.cli.main import NOUNS
from tests.support.control import FILE

from .conftest import Shop


def test_apply_says_what_it_did(shop: Shop):
    """Created, changed, unchanged; the dry run names the objects."""
    text = '[[account]]\nid = "carol"\ncurrency = "EUR"\ntariff = "retail"\n'
    preview = shop.aaactl("apply", shop.file("c.toml", text), "--dry-run")
    done = shop.aaactl("apply", shop.file("c.toml", text))
    again = shop.aaactl("apply", shop.file("c.toml", text))

    assert (0, "would have created account carol\ncreated 1, changed 0, unchanged 0\n") == (preview.code, preview.out)
    assert "created 1, changed 0, unchanged 0\n" == done.out
    assert "created 0, changed 0, unchanged 1\n" == again.out


def test_apply_reads_the_files_it_names(shop: Shop):
    """Rates and secrets lie beside the file, not on the server."""
    shop.file("r.csv", "prefix,price\n49,0.01\n")
    shop.file("s.txt", "hush\n")
    text = '[[tariff]]\nname = "t"\ncurrency = "EUR"\nrates_file = "r.csv"\n'
    text += '[[nas]]\nname = "n"\naddress = "10.9.0.1"\nsecret_file = "s.txt"\n'

    assert "created 2, changed 0, unchanged 0\n" == shop.aaactl("apply", shop.file("t.toml", text)).out


def test_a_refused_file_is_exit_code_1_with_every_line(shop: Shop):
    """Refused whole; file, line, table and key on stderr."""
    path = shop.file("bad.toml", '[[account]]\nid = "x"\ncurency = "EUR"\n')
    refused = shop.aaactl("apply", path)
    machine = shop.aaactl("-o", "json", "apply", path)

    assert 1 == refused.code == machine.code
    assert refused.err.startswith(f'{path}:3: [[account]] curency: unknown key; did you mean "currency"?')
    assert [f'{path}:3: [[account]] curency: unknown key; did you mean "currency"?'] == json.loads(machine.err)[
        "error"
    ]["errors"]


def test_balance_show_prints_money_objects(shop: Shop):
    """Names that machines read: balance, reserved, available, buckets."""
    shop.world.begin(seconds=60)
    told = json.loads(shop.aaactl("balance", "show", "alice", "-o", "json").out)

    assert {"amount": "9.400000", "currency": "EUR"} == told["available"]
    assert ("10.000000", "0.600000", []) == (told["balance"]["amount"], told["reserved"]["amount"], told["buckets"])


def test_a_top_up_is_idempotent_and_a_conflict_is_exit_code_5(shop: Shop):
    """The same key twice moves once; another amount under it is refused."""
    first = shop.aaactl("balance", "topup", "alice", "5.00", "--idempotency-key", "k", "-o", "json")
    again = shop.aaactl("balance", "topup", "alice", "5.00", "--idempotency-key", "k", "-o", "json")
    other = shop.aaactl("balance", "topup", "alice", "6.00", "--idempotency-key", "k", "-o", "json")

    assert "15.000000" == json.loads(first.out)["balance"]["amount"] == json.loads(again.out)["balance"]["amount"]
    assert (5, "conflict") == (other.code, json.loads(other.err)["error"]["code"])


def test_an_adjustment_takes_negative_amounts_and_demands_a_reason(shop: Shop):
    """No silent balance edit."""
    without = shop.aaactl("balance", "adjust", "alice", "-1.50")
    done = shop.aaactl("balance", "adjust", "alice", "-1.50", "--reason", "billed twice", "-o", "json")
    history = json.loads(shop.aaactl("balance", "history", "alice", "-o", "json").out)

    assert (2, 0) == (without.code, done.code)
    assert ("-1.500000", "adjust", 2) == (history[0]["amount"]["amount"], history[0]["cause"], len(history))


def test_sessions_are_listed_killed_and_settled(shop: Shop):
    """A kill that no Stop confirms says so; settling ends it."""
    number = shop.world.begin()
    (listed,) = json.loads(shop.aaactl("session", "list", "-o", "json").out)
    killed = shop.aaactl("session", "kill", number, "--yes", "--wait", "0.1")
    settled = shop.aaactl("session", "settle", number, "--yes", "-o", "json")
    again = shop.aaactl("session", "settle", number, "--yes")

    assert (number, "alice") == (listed["id"], listed["account"])
    assert 1 == killed.code
    assert "no Stop of session" in killed.err
    assert (0, "expired", 5) == (settled.code, json.loads(settled.out)["state"], again.code)


def test_destructive_commands_ask(shop: Shop, monkeypatch):
    """Without --yes and without an answer nothing is done."""
    number = shop.world.begin()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    assert 130 == shop.aaactl("session", "kill", number).code
    assert "held" == json.loads(shop.aaactl("session", "show", number, "-o", "json").out)["state"]


def test_verify_is_exit_code_8_on_a_mismatch(shop: Shop):
    """A script needs nothing but the code."""
    sound = shop.aaactl("ledger", "verify", "-o", "json")
    shop.world.store.provision(
        lambda connection: connection.exec_driver_sql("UPDATE account SET reserved = 7 WHERE name = 'bob'")
    )
    broken = shop.aaactl("ledger", "verify", "-o", "json")

    assert (0, 0) == (sound.code, json.loads(sound.out)["mismatches"])
    assert {"accounts": 2, "entries": "10.000000", "balances": "10.000000", "reservations": "0.000000"} == {
        key: value
        for key, value in json.loads(sound.out)["currencies"]["EUR"].items()
        if key not in ("reserved", "mismatches")
    }
    assert (8, 1) == (broken.code, json.loads(broken.out)["mismatches"])


def test_health_is_0_ready_8_not_ready(shop: Shop):
    """The container's health check."""
    ready = shop.aaactl("server", "health")
    shop.aaactl("server", "drain")
    drained = shop.aaactl("server", "health", "-o", "json")
    shop.aaactl("server", "undrain")

    assert (0, 8, 0) == (ready.code, drained.code, shop.aaactl("server", "health").code)
    assert {"name": "drained", "ok": False, "detail": "draining"} in json.loads(drained.out)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["account", "show", "nobody"], 4),
        (["session", "show", "12"], 4),
        (["tariff", "show", "gold"], 4),
        (["account", "create", "alice", "--currency", "EUR", "--tariff", "retail"], 5),
        (["account", "create", "x", "--currency", "EUR", "--tariff", "gold"], 1),
        (["account", "show"], 2),
        (["acount"], 2),
        (["apply", "no-such-file.toml"], 4),
        (["server", "reload"], 6),
    ],
)
def test_exit_codes(shop: Shop, arguments, code):
    """Each way to fail has its own (OPERATIONS section 2)."""
    assert code == shop.aaactl(*arguments).code


def test_errors_are_json_when_asked(shop: Shop):
    """Before the noun and after the verb alike."""
    before = shop.aaactl("-o", "json", "account", "show", "nobody")
    after = shop.aaactl("account", "show", "nobody", "-o", "json")

    assert {"error": {"code": "not_found", "message": "no account nobody"}} == json.loads(before.err)
    assert before == after


def test_a_command_that_is_not_understood_is_json_too(shop: Shop):
    """A program reads why, whatever went wrong; people get click's own words."""
    asked = [("-o", "json", "account", "shw"), ("account", "create", "x", "-o", "json"), ("-o", "json", "nope")]
    told = [shop.aaactl(*arguments) for arguments in asked]

    assert [2, 2, 2] == [each.code for each in told]
    assert ["usage"] * 3 == [json.loads(each.err)["error"]["code"] for each in told]
    assert shop.aaactl("account", "shw").err.startswith("Usage: aaactl account")


def test_limits_are_set_and_taken_away(shop: Shop):
    """What is given is sent, also when it is nothing: no call at all is refused, not left out."""
    given = ("--max-sessions", "2", "--spend-per-day", "5", "--denied-class", "premium")
    told = json.loads(shop.aaactl("account", "update", "alice", *given, "-o", "json").out)["limits"]
    zero = shop.aaactl("account", "update", "alice", "--max-sessions", "0")
    gone = ("--without", "max-sessions", "--without", "denied-classes")
    left = json.loads(shop.aaactl("account", "update", "alice", *gone, "-o", "json").out)["limits"]

    assert (2, "5.000000", ["premium"]) == (
        told["max_sessions"],
        told["spend_per_day"]["amount"],
        told["denied_classes"],
    )
    assert (1, True) == (zero.code, "max_sessions" in zero.err)
    assert (None, "5.000000", None) == (left["max_sessions"], left["spend_per_day"]["amount"], left["denied_classes"])


def test_a_pin_is_never_in_the_command(shop: Shop, monkeypatch):
    """Everybody can read the arguments of a process; the answer shows the keyed hash."""
    refused = shop.aaactl("subscription", "add", "alice", "pin", "48151623")
    monkeypatch.setattr("sys.stdin", io.StringIO("48151623\n"))
    added = json.loads(shop.aaactl("subscription", "add", "alice", "pin", "-o", "json").out)

    assert 2 == refused.code
    assert "pin" == added["type"]
    assert "48151623" not in added["value"]


def test_every_format_has_the_same_rows(shop: Shop):
    """Table, JSON, JSON lines, CSV."""
    names = ["alice", "bob"]
    table = shop.aaactl("account", "list").out.splitlines()
    lines = [json.loads(line)["id"] for line in shop.aaactl("account", "list", "-o", "jsonl").out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(shop.aaactl("account", "list", "-o", "csv").out)))

    assert names == [account["id"] for account in json.loads(shop.aaactl("account", "list", "-o", "json").out)]
    assert names == lines == [row["id"] for row in rows] == [line.split("\t")[0] for line in table[1:]]
    assert "10.000000" == rows[0]["balance"]
    assert "[]\n" == shop.aaactl("session", "list", "-o", "json").out


def test_lists_follow_all_pages(shop: Shop, monkeypatch):
    """Nothing is cut off at a page."""
    monkeypatch.setattr("aaa.cli.client.PAGE", 3)
    more = "".join(f'[[account]]\nid = "p{n:02}"\ncurrency = "EUR"\ntariff = "retail"\n' for n in range(10))
    shop.aaactl("apply", shop.file("p.toml", more))

    assert 12 == len(json.loads(shop.aaactl("account", "list", "-o", "json").out))
    assert 5 == len(json.loads(shop.aaactl("account", "list", "-o", "json", "--limit", "5").out))


def test_explanations_can_be_read(shop: Shop):
    """Prefix, pulses, price; and how long the account could call."""
    told = shop.aaactl("rate", "explain", "alice", "020", "--duration", "90", "--nas", "sbc")
    quoted = shop.aaactl("rate", "quote", "retail", "4420", "-o", "json")

    assert 0 == told.code
    assert {"020 is 4420", "price  0.9000 EUR", "affordable now  1000 seconds"} <= set(told.out.splitlines())
    assert "0.600000" == json.loads(quoted.out)["price"]["amount"]


def test_a_cdr_is_listed_and_explained(shop: Shop):
    """What a customer asks about."""
    number = shop.world.begin()
    shop.world.end(seconds=30)
    (cdr,) = json.loads(shop.aaactl("cdr", "list", "--account", "alice", "-o", "json").out)

    assert ("0.300000", 30) == (cdr["amount"]["amount"], cdr["used"])
    assert "30 x 1 at 0.6 per 60s" in shop.aaactl("cdr", "explain", number).out
    assert 1 == len(json.loads(shop.aaactl("ledger", "explain", "alice", number, "-o", "json").out))
    assert "[]\n" == shop.aaactl("cdr", "unrated", "-o", "json").out


def test_subscriptions_are_managed(shop: Shop, monkeypatch):
    """Passwords come from standard input, never from the arguments."""
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    added = shop.aaactl("subscription", "add", "bob", "username", "bob", "--password-stdin", "-o", "json")
    removed = shop.aaactl("subscription", "remove", "bob", "username", "bob", "--yes")

    assert (["clear"], 0) == (json.loads(added.out)["proves_by"], removed.code)
    assert "[]\n" == shop.aaactl("subscription", "list", "bob", "-o", "json").out


def test_a_tariff_is_activated_and_rolled_back(shop: Shop):
    """Versions stay; an activation says which is in force."""
    newer = '[[tariff]]\nname = "retail"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = "44"\nprice = "0.90"\n'
    shop.world.now_us += 1_000_000
    shop.aaactl("apply", shop.file("n.toml", newer))
    shop.world.now_us += 1_000_000
    before = json.loads(shop.aaactl("tariff", "show", "retail", "-o", "json").out)
    back = json.loads(shop.aaactl("tariff", "rollback", "retail", "--yes", "-o", "json").out)
    exported = json.loads(shop.aaactl("tariff", "export", "retail").out)

    assert (2, 1) == (before["in_force"], back["in_force"])
    assert "retail" == exported["name"]


def test_the_audit_reason_travels(shop: Shop):
    """`--reason` before the noun goes into the audit log."""
    shop.aaactl("--reason", "fraud", "account", "suspend", "alice")

    assert "fraud" == shop.world.get("audit")["items"][0]["reason"]


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun != "apply"])
def test_every_verb_has_help(noun):
    """Nobody must read the source to use it."""
    import importlib

    group = importlib.import_module(f"aaa.cli.commands.{noun}").command

    assert group.commands
    assert all(verb.help for verb in group.commands.values())


def test_versions_are_compared_and_exported(shop: Shop):
    """A jump of the price is marked; the rates come out as the file they could come from."""
    newer = '[[tariff]]\nname = "retail"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = "44"\nprice = "1.20"\n'
    shop.world.now_us += 1_000_000
    shop.aaactl("apply", shop.file("n.toml", newer))
    changes = json.loads(shop.aaactl("tariff", "diff", "retail", "1", "2", "-o", "json").out)
    exported = shop.aaactl("tariff", "export", "retail", "--version", "1", "--csv")

    assert ("44", 100, True) == tuple(
        next((c["prefix"], c["change_percent"], c["is_jump"]) for c in changes if c["change_percent"])
    )
    assert "prefix" in exported.out.splitlines()[0]
    assert 4 == shop.aaactl("tariff", "diff", "retail", "1", "9").code


def test_a_support_bundle_holds_no_secret(shop: Shop):
    """It is sent to others."""
    import tarfile

    path = str(shop.directory / "bundle.tar.gz")
    packed = shop.aaactl("server", "support-bundle", path)
    with tarfile.open(path) as bundle:
        content = b"".join(bundle.extractfile(member).read() for member in bundle.getmembers())

    assert 0 == packed.code
    assert b'"config"' in content or b"server.node" in content
    assert not any(secret in content for secret in (b"hush", b"testing123", b'"secret"'))


def test_the_file_is_compared_with_what_runs(shop: Shop, monkeypatch):
    """What a reload would change."""
    path = shop.directory / "aaa.toml"
    path.write_text(path.read_text() + '[log]\nlevel = "debug"\n')
    rows = json.loads(shop.aaactl("--config", str(path), "config", "diff", "-o", "json").out)

    assert [{"key": "log.level", "file": "debug", "running": "info"}] == rows


def test_a_live_screen_needs_a_terminal(shop: Shop):
    """Scripts are told what to use instead."""
    refused = shop.aaactl("session", "top")

    assert 2 == refused.code
    assert "session list --watch" in refused.err


def test_a_refusal_can_be_asked_for_by_number(shop: Shop):
    """However the number is written; nobody else's refusals."""
    shop.world.begin(account="bob")
    told = json.loads(shop.aaactl("session", "why", "+44 20", "-o", "json").out)

    assert [("no_credit", "bob")] == [(refusal["reason"], refusal["subscriber"]) for refusal in told]
    assert "[]\n" == shop.aaactl("session", "why", "alice", "-o", "json").out


def test_money_is_transferred(shop: Shop):
    """Once per key; more than there is, is refused with exit code 1."""
    again = ("balance", "transfer", "alice", "bob", "4", "--idempotency-key", "k", "-o", "json")
    moved, repeated = json.loads(shop.aaactl(*again).out), json.loads(shop.aaactl(*again).out)

    assert (False, True) == (moved["repeated"], repeated["repeated"])
    assert "4.000000" == repeated["receiver"]["balance"]["amount"]
    assert 1 == shop.aaactl("balance", "transfer", "alice", "bob", "100").code


def test_a_reservation_is_listed_and_released(shop: Shop):
    """What a call holds goes back to the account."""
    number = shop.world.begin(seconds=60)
    (held,) = json.loads(shop.aaactl("reservation", "list", "-o", "json").out)
    released = shop.aaactl("reservation", "release", number, "--yes")

    assert (number, "0.600000", 0) == (held["id"], held["reserved"]["amount"], released.code)
    assert "[]\n" == shop.aaactl("reservation", "list", "-o", "json").out


def test_a_client_is_added_and_its_secret_rotated(shop: Shop):
    """A secret that is made is printed once; one from a file is not."""
    made = json.loads(shop.aaactl("nas", "add", "edge-2", "--address", "10.9.9.0/24", "-o", "json").out)
    file = shop.file("secret", "from-a-file-1\n")
    rotated = json.loads(shop.aaactl("nas", "secret-rotate", "edge-2", "--secret-file", file, "-o", "json").out)
    finished = json.loads(shop.aaactl("nas", "secret-rotate", "edge-2", "--finish", "-o", "json").out)

    assert 32 == len(made["secret"])
    assert (2, 1) == (rotated["secrets"], finished["secrets"])
    assert "secret" not in rotated
    assert 5 == shop.aaactl("nas", "secret-rotate", "edge", "--secret-file", file).code


def test_a_trace_is_started_and_stopped(shop: Shop):
    """It is listed with its end."""
    started = json.loads(shop.aaactl("trace", "start", "--subscriber", "alice", "--for", "5m", "-o", "json").out)
    stopped = shop.aaactl("trace", "stop", "--subscriber", "alice", "-o", "json").out

    assert ["alice"] == [trace["subscriber"] for trace in started]
    assert "[]\n" == stopped == shop.aaactl("trace", "list", "-o", "json").out


def test_cdrs_are_rated_again(shop: Shop):
    """The differences, then the correction with its reason."""
    shop.world.begin()
    shop.world.end(seconds=30)
    shop.world.now_us += 10_000_000
    shop.aaactl("apply", shop.file("d.toml", FILE.replace('price = "0.60"', 'price = "1.20"')))
    shown = shop.aaactl("cdr", "rerate", "--version", "2", "-o", "json")
    posted = shop.aaactl("cdr", "rerate", "--version", "2", "--post", "--yes", "--reason", "typo", "-o", "json")

    assert "0.300000" == json.loads(shown.out)[0]["difference"]["amount"]
    assert "1 rated, 1 differ, 0 of other tariffs\n" == shown.err
    assert json.loads(posted.out)[0]["posted"]
    assert 2 == shop.aaactl("cdr", "rerate", "--version", "2", "--post", "--yes").code
    assert "[]\n" == shop.aaactl("cdr", "rerate", "--version", "2", "-o", "json").out


def test_exporting_without_a_directory_is_refused(shop: Shop):
    """With what to configure."""
    refused = shop.aaactl("cdr", "export")

    assert (1, True) == (refused.code, "[export] directory" in refused.err)


def test_an_imported_tariff_is_compared_before_it_is_activated(shop: Shop):
    """Nothing is in force by the import; the same file again adds nothing; accounts belong into `apply`."""
    newer = '[[tariff]]\nname = "retail"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = "44"\nprice = "1.20"\n'
    path = shop.file("n.toml", newer)
    preview = json.loads(shop.aaactl("tariff", "import", path, "--dry-run", "-o", "json").out)
    (imported,) = json.loads(shop.aaactl("tariff", "import", path, "-o", "json").out)
    (again,) = json.loads(shop.aaactl("tariff", "import", path, "-o", "json").out)
    before = json.loads(shop.aaactl("tariff", "show", "retail", "-o", "json").out)
    more = shop.aaactl("tariff", "import", shop.file("all.toml", FILE))
    shop.world.now_us += 1_000_000
    activated = shop.aaactl("tariff", "activate", "retail", "2")
    quoted = shop.aaactl("rate", "quote", "retail", "4420", "--duration", "60", "-o", "json")

    assert [(None, 1, True, 1)] == [
        (each["version"], each["in_force"], each["is_new"], each["jumps"]) for each in preview
    ]
    assert (2, True, 2, False) == (imported["version"], imported["is_new"], again["version"], again["is_new"])
    assert (1, [2, 1]) == (before["in_force"], [each["version"] for each in before["versions"]])
    assert (1, 0) == (more.code, activated.code)
    assert "1.200000" in quoted.out


def test_a_tariff_that_is_wrong_is_not_imported(shop: Shop):
    path = shop.file("bad.toml", '[[tariff]]\nname = "retail"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = "4x"\n')

    assert 1 == shop.aaactl("tariff", "import", path).code
    assert 1 == len(json.loads(shop.aaactl("tariff", "show", "retail", "-o", "json").out)["versions"])
