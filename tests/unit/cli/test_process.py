"""The command line as a process: quick to start, quiet to fail."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys

import pytest

from aaa.keys import Keys

from .conftest import separately

FORBIDDEN = (
    "twisted",
    "sqlalchemy",
    "structlog",
    "pydantic",
    "rich",
    "fastapi",
    "aaa.engine",
    "aaa.node",
    "aaa.radius",
)


def test_imports_no_server_code_and_nothing_slow():
    """What is not imported costs no start-up time (OPERATIONS section 12)."""
    program = (
        "import sys; from aaa.cli.main import run; import aaa.cli.commands.session;"
        "print([name for name in sys.modules if name in sys.argv[1:]])"
    )
    done = subprocess.run([sys.executable, "-c", program, *FORBIDDEN], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


def test_starts_within_its_budget():
    """At most 0.15 s of a processor, the best of five: what a start takes where nothing else wants the processor."""
    command = separately("--help")
    starts = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        separately("session", "list", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        starts.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert 0 == command.code
    assert min(starts) <= 0.15


def test_an_unreachable_server_is_exit_code_6(tmp_path):
    """A hint says where it looked."""
    ran = separately("--socket", str(tmp_path / "none"), "-o", "json", "account", "list")

    assert (6, "unreachable") == (ran.code, json.loads(ran.err)["error"]["code"])


def test_the_socket_comes_from_the_environment(tmp_path):
    """AAACTL_SOCKET serves scripts."""
    ran = separately("account", "list", AAACTL_SOCKET=str(tmp_path / "elsewhere"))

    assert 6 == ran.code
    assert str(tmp_path / "elsewhere") in ran.err


def test_the_shell_completes_nouns_verbs_and_options():
    """What the sourced script asks, as bash does at a press of Tab."""
    script = separately(_AAACTL_COMPLETE="bash_source")
    asked = {
        words: separately(_AAACTL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
        for words in ("aaactl ses", "aaactl session ki", "aaactl session list --st")
    }

    assert (0, True) == (script.code, "_AAACTL_COMPLETE=bash_complete" in script.out)
    assert ["plain,session\n", "plain,kill\n", "plain,--state\n"] == [each.out for each in asked.values()]


@pytest.fixture
def config(tmp_path):
    Keys.create(tmp_path / "key")
    path = tmp_path / "aaa.toml"
    path.write_text(f'[server]\nkey_file = "{tmp_path}/key"\n[store]\nurl = "sqlite:///{tmp_path}/a.db"\n')
    return path


def test_config_check_and_show_work_offline(config):
    """Exit code 3 and every problem when it is wrong; origins when asked."""
    sound = separately("--config", str(config), "config", "check")
    shown = separately("--config", str(config), "config", "show", "--origin", "-o", "json", AAA__LOG__LEVEL="debug")
    config.write_text(config.read_text() + '[log]\nlevel = "loud"\nformat = "x"\n')
    wrong = separately("--config", str(config), "config", "check")
    origins = {row["key"]: (row["value"], row["origin"]) for row in json.loads(shown.out)}

    assert (0, f"{config}: sound\n") == (sound.code, sound.out)
    assert ("debug", "environment AAA__LOG__LEVEL") == origins["log.level"]
    assert (3, 2) == (wrong.code, len(wrong.err.splitlines()))
    assert wrong.err.startswith(f"{config}:6: [log] level: should be")


def test_a_database_is_prepared_and_checked(config):
    """`db upgrade` before the first start, exit code 8 from `db check` until then."""
    before = separately("--config", str(config), "db", "check")
    upgraded = separately("--config", str(config), "db", "upgrade", "-o", "json")
    after = separately("--config", str(config), "db", "check", "-o", "json")
    current = separately("--config", str(config), "db", "current", "-o", "json")

    assert (8, 0, 0) == (before.code, upgraded.code, after.code)
    assert json.loads(current.out)["schema"] == json.loads(current.out)["needed"]


def test_upgrade_prints_sql_for_a_dba(config):
    """Nothing is touched."""
    printed = separately("--config", str(config), "db", "upgrade", "--sql")

    assert "CREATE TABLE account" in printed.out
    assert not (config.parent / "a.db").exists()


def test_a_backup_is_a_database_of_its_own(config):
    """Taken while others write; never over another file."""
    separately("--config", str(config), "db", "upgrade")
    target = config.parent / "backup.db"
    made = separately("--config", str(config), "db", "backup", str(target))
    again = separately("--config", str(config), "db", "backup", str(target))
    with sqlite3.connect(target) as copy:
        (count,) = copy.execute("SELECT count(*) FROM account").fetchone()

    assert (0, 5) == (made.code, again.code)
    assert 0 <= count <= 1
