"""
Reloading, draining and dying in the middle of it, under load: no answer is lost and nothing is half done.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.calls import USERS, Load, check
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import access_request, session_timeout

CONFIG = NAS + 'quantum = "fixed"\nquantum_fixed = "30s"\n'


@pytest.fixture
def loaded(aaad: Callable[..., Aaad]) -> Iterator[tuple[Aaad, Load]]:
    """A server with calls in flight."""
    server = aaad(CONFIG)
    server.apply(provisioned({f"u{n}": "100000.00" for n in range(USERS)}))
    load = Load(server, 16)
    load.run(0.5)
    yield server, load
    load.close()


def digest(server: Aaad) -> str:
    return str(server.api("GET", "/v1/status")["config"]["digest"])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("[nas\n", "aaa.toml:"),
        ('[[nas]]\nname = "test"\naddress = "10.0.0.1"\nsecret = "hush"\n', "test is there twice"),
        ('[charging]\nquantum_min = "10m"\n', "quantum_min"),
        ('[[nas]]\nname = "b"\naddress = "10.0.0.1"\nsecret = "hush"\nprofile = "cisco"\n', "no profile 'cisco'"),
    ],
)
def test_a_broken_file_changes_nothing_under_load(loaded: tuple[Aaad, Load], broken: str, reason: str):
    """Syntax, a name twice, keys that contradict each other, an unknown profile: refused whole, with the reason."""
    server, load = loaded
    before, answered, sound = digest(server), len(load.over), server.config.read_text()
    server.config.write_text(sound + broken)
    os.kill(server.pid, signal.SIGHUP)
    load.run(0.5)
    told = server.log("config.rejected")

    assert reason in told
    assert before == digest(server)
    assert len(load.over) > answered

    server.config.write_text(sound.replace('quantum_fixed = "30s"', 'quantum_fixed = "40s"'))
    assert [] == server.api("POST", "/v1/reload")["needs_restart"]
    assert before != digest(server)
    grant = server.ask(access_request("u1", "u1", "after-reload"))
    assert grant is not None
    assert 40 == session_timeout(grant)
    check(server, [*load.over, *load.active.values()])


def test_draining_loses_no_answered_request(loaded: tuple[Aaad, Load]):
    """New calls meet silence, running ones are served to their end, then the process leaves with 0."""
    server, load = loaded
    os.kill(server.pid, signal.SIGTERM)
    time.sleep(0.05)
    refused = server.ask(access_request("u1", "u1", "too-late"), timeout_s=0.2)
    load.run(5.0, begins=False)
    code = server.wait()

    assert refused is None
    assert 0 == code
    assert load.unfinished() == []
    check(server, load.over)
    server.start()
    assert 0 == server.mismatches()


def test_dying_in_the_middle_of_draining_loses_nothing(loaded: tuple[Aaad, Load]):
    """SIGTERM, then kill -9 while calls still run; after the restart they go on to their end."""
    server, load = loaded
    os.kill(server.pid, signal.SIGTERM)
    load.run(0.02, begins=False)
    server.kill()
    check(server, [*load.over, *load.active.values()])
    server.start()
    load.run(5.0, begins=False)

    assert load.unfinished() == []
    check(server, load.over)
    assert 0 == server.mismatches()


def test_a_second_sigterm_ends_at_once(aaad: Callable[..., Aaad]):
    """A call that would keep the drain waiting does not keep an operator waiting."""
    server = aaad(CONFIG)
    server.config.write_text(server.config.read_text().replace('drain_timeout = "1s"', 'drain_timeout = "60s"'))
    server.stop()
    server.start()
    server.apply(provisioned({"u0": "10.00"}))
    server.ask(access_request("u0", "u0", "running"))
    os.kill(server.pid, signal.SIGTERM)
    time.sleep(0.3)
    assert server.is_running()
    os.kill(server.pid, signal.SIGTERM)

    assert 0 == server.wait(5.0)


def test_what_needs_a_restart_is_said_until_it_is_taken_back(aaad: Callable[..., Aaad]):
    """Compared is with what the process was started with, not with what was read last."""
    server = aaad()
    text = server.config.read_text()
    answers = []
    for written in (
        text.replace('acct = ["', 'acct = ["127.0.0.1:1", "'),
        text + "[charging]\noutage_exposure = '5'\n",
        text,
    ):
        server.config.write_text(written)
        answers.append(server.api("POST", "/v1/reload")["needs_restart"])

    assert [["radius"], ["charging.outage_exposure"], []] == answers
