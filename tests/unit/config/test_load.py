"""The configuration is read whole from its four sources, or refused with every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from aaa.config import load_config
from aaa.config.show import settings
from aaa.errors import ConfigError
from aaa.keys import Keys


@pytest.fixture
def write(tmp_path: Path):
    """Write aaa.toml (with a key file that exists) and return its path."""
    Keys.create(tmp_path / "server.key")

    def write(text: str, name: str = "aaa.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("KEY", str(tmp_path / "server.key")))
        return path

    return write


BASE = '[server]\nnode = "n1"\nkey_file = "KEY"\n'


def problems(path: Path, environ: dict[str, str] | None = None, overrides: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {}, overrides or {})
    return [line.replace(str(path.parent) + "/", "") for line in caught.value.problems]


def test_reads_the_example_of_the_operations_page(write, tmp_path):
    """All keys of the documented example are known, durations come out as seconds."""
    (tmp_path / "db").write_text("p@ss/word\n")
    (tmp_path / "fs-edge").write_text("hush\n")
    config = load_config(
        write(
            f"""
[server]
node = "aaa-1"
key_file = "KEY"
drain_timeout = "90s"
[store]
url = "postgresql+psycopg://aaa@db/aaa"
url_password_file = "{tmp_path}/db"
[radius]
auth = ["0.0.0.0:1812"]
acct = ["0.0.0.0:1813"]
require_message_authenticator = "yes"
[api]
socket = "/run/aaa/control.sock"
[[nas]]
name = "fs-edge"
address = "10.0.0.0/28"
secret_file = "{tmp_path}/fs-edge"
profile = "freeswitch"
[diameter]
origin_host = "ocs1.example.net"
origin_realm = "example.net"
listen = ["tcp:3868:interface=0.0.0.0"]
[charging]
quantum = "adaptive"
quantum_fixed = "60s"
quantum_min = "30s"
quantum_max = "300s"
validity = "600s"
hold = "180s"
setup = "180s"
grace = "20s"
session_cap = "4h"
assume = "reported"
emergency = ["112", "911"]
on_store_down = "silence"
[redis]
url = "redis://127.0.0.1:6379/0"
[metrics]
listen = "127.0.0.1:9850"
[log]
level = "info"
format = "auto"
mask_numbers = false
[retention]
session_closed = "24h"
cdr = "400d"
outbox = "7d"
"""
        )
    )

    assert "postgresql+psycopg://aaa:p%40ss%2Fword@db/aaa" == config.store.url
    assert {
        "name": "fs-edge",
        "address": "10.0.0.0/28",
        "secret": ["hush"],
        "profile": "freeswitch",
    } == config.nas[0]
    assert (14_400, 300) == (config.charging.policy().session_cap_s, config.charging.policy().quantum_max)
    assert 400 * 86_400 == config.retention.cdr
    assert ["112", "911"] == config.charging.emergency


def test_later_sources_win_and_origin_tells_who(write):
    """File, conf.d, environment, command line: each overrides the one before."""
    path = write(BASE + '[log]\nlevel = "error"\nformat = "json"\n[charging]\ngrace = "1s"\nhold = "1s"\n')
    write('[charging]\ngrace = "2s"\n', "conf.d/10-site.toml")
    config = load_config(path, {"AAA__LOG__LEVEL": "debug", "HOME": "/"}, {"log.format": "console"})

    assert ("debug", "console", 2, 1) == (
        config.log.level,
        config.log.format,
        config.charging.grace,
        config.charging.hold,
    )
    assert "environment AAA__LOG__LEVEL" == config.origin["log.level"]
    assert "command line" == config.origin["log.format"]
    assert config.origin["charging.grace"].endswith("conf.d/10-site.toml:2")
    assert config.origin["charging.hold"].endswith("aaa.toml:9")
    assert "default" == config.origin["charging.setup"]


def test_arrays_of_tables_append(write):
    """A NAS in conf.d joins those of the main file, and its problems name its own file and line."""
    path = write(BASE + '[[nas]]\nname = "a"\naddress = "10.0.0.1"\nsecret = "x"\n')
    write('[[nas]]\nname = "b"\naddress = "10.0.0.2"\nsecret = "y"\n', "conf.d/b.toml")

    assert ["a", "b"] == [nas["name"] for nas in load_config(path).nas]

    write('[[nas]]\nname = "b"\naddress = "10.0.0.2"\nsecret = "y"\nprofil = "generic"\n', "conf.d/b.toml")
    assert ['conf.d/b.toml:5: [[nas]] profil: unknown key; did you mean "profile"?'] == problems(path)


def test_every_problem_is_reported_with_file_line_table_and_key(write):
    """One run shows all that is wrong."""
    path = write(
        BASE
        + '[log]\nlevle = "info"\n[charging]\nquantum = "big"\nhold = "3 minutes"\nvalidity = 600\n'
        + '[api]\nlisten = "localhost"\n[whatever]\nx = 1\n'
    )

    found = problems(path)

    assert any(line.startswith("aaa.toml:8: [charging] hold: '3 minutes' is no duration: a string") for line in found)
    assert any(line.startswith("aaa.toml:9: [charging] validity: 600 is no duration: a string with") for line in found)
    assert {
        'aaa.toml:5: [log] levle: unknown key; did you mean "level"?',
        "aaa.toml:7: [charging] quantum: should be 'whole', 'fixed' or 'adaptive'",
        'aaa.toml:11: [api] listen: \'localhost\' is no address: expected "host:port", IPv6 as "[::1]:1812"',
    } <= set(found)
    assert any(line.startswith("aaa.toml:12: whatever: unknown key; known here:") for line in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[charging]\nquantum_min = "400s"\n', "aaa.toml:5: [charging] quantum_min: 400s is above quantum_max (300s)"),
        ('[radius]\nauth = ["a:1"]\nacct = ["a:1"]\n', "aaa.toml:6: [radius] acct: a:1 is listened on twice"),
        ('[diameter]\nlisten = ["tcp:3868"]\norigin_host = "h"\n', "[diameter] origin_realm: is required when"),
        (
            '[diameter]\nlisten = ["3868"]\norigin_host="h"\norigin_realm="r"\n',
            "[diameter] listen: '3868' is no Twisted",
        ),
        ('[store]\nurl = "x://y"\nurl_password_env = "NOPE"\n', "[store] url_password_env: environment variable NOPE"),
        (
            '[[nas]]\nname="a"\naddress="10.0.0.1"\nsecret="x"\n[[nas]]\nname="a"\naddress="10.0.0.1"\nsecret="x"\n',
            "aaa.toml:9: [[nas]] name: a is there twice",
        ),
        (
            '[[nas]]\nname="a"\naddress="10.0.0.1"\nsecret="x"\n[[nas]]\nname="b"\naddress="10.0.0.1"\nsecret="x"\n',
            "aaa.toml:10: [[nas]] address: 10.0.0.1 is already the network of a",
        ),
        (
            '[[nas]]\nname="a"\naddress="10.0.0.1"\n',
            "exactly one of secret, secret_file, secret_env is expected, found none",
        ),
        ('[[nas]]\nname="a"\naddress="10.0.0.1"\nsecret=""\n', "an empty secret protects nothing"),
        ('[[nas]]\nname="a"\naddress="10.0.0.1/8"\nsecret="x"\n', "10.0.0.1/8 has host bits set"),
        ('[[nas]]\nname="a"\naddress="10.0.0.1"\nsecret_file="nope"\n', "[[nas]] secret_file: nope: No such file"),
        ('[[peer]]\norigin_host="*"\nrealm="r"\n', "address is required without tls = true"),
        ("[log\n", "not valid TOML: Expected ']'"),
        ("[server]\n", "not valid TOML: Cannot declare ('server',) twice"),
        ('[retention]\nsession_closed = "1m"\n', "[retention] session_closed: should be greater than or equal to 3600"),
    ],
)
def test_contradictions_are_refused(write, text, expected):
    """What no single key can tell is found by the semantic pass."""
    assert any(expected in line for line in problems(write(BASE + text)))


def test_the_demo_secret_is_refused_off_loopback(write):
    """`testing123` is known to everybody (OPERATIONS section 1); on loopback it may serve the demo."""
    table = '[[nas]]\nname = "a"\naddress = "{}"\nsecret = ["new", "testing123"]\n'

    assert ["new", "testing123"] == load_config(write(BASE + table.format("127.0.0.0/8"))).nas[0]["secret"]
    assert ["aaa.toml:4: [[nas]]: secret testing123 is accepted for loopback addresses only, not for 10.0.0.0/8"] == (
        problems(write(BASE + table.format("10.0.0.0/8")))
    )


def test_the_demo_secret_is_found_in_a_secret_file_too(write, tmp_path):
    """The way the secret comes in does not matter."""
    (tmp_path / "secret").write_text("testing123\n")
    path = write(BASE + f'[[nas]]\nname = "a"\naddress = "10.0.0.1"\nsecret_file = "{tmp_path}/secret"\n')

    assert "loopback addresses only" in problems(path)[0]


def test_secrets_from_the_environment(write):
    """`secret_env` names a variable; the resolved document carries the secret like any other."""
    path = write(BASE + '[[nas]]\nname = "a"\naddress = "::1"\nsecret_env = "FS1"\n')

    assert ["s3"] == load_config(path, {"FS1": "s3"}).nas[0]["secret"]


def test_environment_problems_name_the_variable(write):
    """Nobody greps a file for what the environment said."""
    found = problems(write(BASE), {"AAA__LOG__LEVEL": "loud", "AAA__LOGG__X": "1"})

    assert "environment AAA__LOG__LEVEL: [log] level: should be 'debug', 'info', 'warning' or 'error'" in found
    assert any(line.startswith('environment AAA__LOGG__X: logg: unknown key; did you mean "log"?') for line in found)


def test_lists_in_the_environment_are_written_as_toml(write):
    """A list cannot be told from text otherwise."""
    config = load_config(write(BASE), {"AAA__RADIUS__AUTH": '["127.0.0.1:1812"]'})

    assert ("127.0.0.1:1812",) == config.radius.auth


def test_a_missing_file_is_a_problem_not_a_traceback(tmp_path):
    """The operator mistyped the path."""
    assert "none.toml: No such file or directory" in problems(tmp_path / "none.toml")[0]


def test_the_digest_follows_the_values(write):
    """`server status` shows it, so that nodes can be compared."""
    one, two = load_config(write(BASE)), load_config(write(BASE + '[log]\nlevel = "debug"\n'))

    assert one.digest != two.digest
    assert one.digest == load_config(write(BASE + "# a comment\n")).digest


def test_passwords_in_urls_are_hidden(write):
    """Behind the user's name, and in what follows a question mark."""
    path = write(
        BASE + '[store]\nurl = "postgresql+psycopg://aaa:hunter2@db/aaa?sslpassword=hunter3"\n'
        '[redis]\nurl = "redis://:hunter4@cache/0"\n'
        '[[outbox]]\nname = "crm"\nwebhook = "https://me:hunter5@crm.example/x?key=hunter6"\n'
    )
    told = {setting.key: setting.value for setting in settings(load_config(path))}

    assert "hunter" not in str(told)
    assert "postgresql+psycopg://aaa:***@db/aaa?***" == told["store.url"]
    assert "https://me:***@crm.example/x?***" == told["outbox.0.webhook"]
