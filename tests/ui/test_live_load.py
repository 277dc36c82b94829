"""The live page of a real server while calls come and go, and a call that is ended from it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, Browser
from tests.support.calls import USERS, Load, check
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import STOP, access_request, accounting_request

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PICTURES = Path(os.environ.get("AAA_TEST_ARTEFACTS", "var/test-artefacts"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Aaad, str]]:
    """A server that serves its page over TCP, and the page's address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = Aaad(tmp_path / "aaad", NAS + 'quantum = "fixed"\nquantum_fixed = "30s"\n')
    text = server.config.read_text().replace("[api]\n", f'[api]\nlisten = "{address}"\n')
    server.config.write_text(text)
    server.start()
    server.apply(provisioned({f"u{n}": "100000.00" for n in range(USERS)} | {"caller": "10.00"}))
    yield server, f"http://{address}/"
    server.stop()


def test_the_page_follows_a_loaded_server_and_ends_a_call(server: tuple[Aaad, str], tmp_path: Path):
    """Real sessions on the screen, no error in the console; the kill ends the session and the CDR tells why."""
    aaad, address = server
    token = aaad.api("POST", "/v1/tokens", {"name": "ui", "roles": ["operate"]})["token"]
    aaad.ask(access_request("caller", "caller", "to-be-killed"))
    load = Load(aaad, 16)
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(address)
        browser.wait("!document.getElementById('login').hidden")
        browser.evaluate(f"document.getElementById('token').value = {token!r}")
        browser.evaluate("document.getElementById('login').requestSubmit()")
        load.run(2.5)
        for each in load.sockets[:8]:  # these calls stand still, so that they are on the picture
            load.active.pop(each, None)
        browser.wait("document.querySelectorAll('#rows tr').length > 1")
        load.run(1.0)
        browser.screenshot(PICTURES / "under-load.png")
        browser.evaluate(
            "[...document.querySelectorAll('#rows tr')].find(row => row.innerText.includes('caller'))"
            ".querySelector('button').click()"
        )
        browser.wait("document.getElementById('confirm').open")
        browser.evaluate("document.getElementById('confirm-yes').click()")
        browser.wait("document.querySelector('#rows tr.killing')")
        aaad.ask(accounting_request(STOP, "to-be-killed", 12), "acct")
        browser.wait("![...document.querySelectorAll('#rows tr')].some(row => row.innerText.includes('caller'))")
    finally:
        problems = browser.problems
        browser.close()
        load.close()
    (cdr,) = aaad.api("GET", "/v1/cdrs?account=caller")["items"]
    (audit,) = [line for line in aaad.api("GET", "/v1/audit")["items"] if line["action"] == "session.kill"]

    assert [] == problems
    assert ("killed", 12, "0.120000") == (cdr["cause"], cdr["used"], cdr["amount"]["amount"])
    assert ("token:ui", cdr["id"]) == (audit["actor"], audit["target"])
    assert 0 == aaad.mismatches()
    check(aaad, load.over)
