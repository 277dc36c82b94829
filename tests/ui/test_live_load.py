"""The live page of a real server while calls come and go, and a call that is ended from it."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import radload
from tests.support.browser import CHROMIUM, Browser
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import STOP, access_request, accounting_request

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

USERS = 20
# Sixteen calls at a time, each of five stages half a second apart, for a few seconds.
LOAD = ("--users", str(USERS), "--think-ms", "500", "--call-seconds", "20", "--duration", "6", "--warmup", "0")
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
    server.apply(provisioned({f"u{n}": "100000.00" for n in range(1, USERS + 1)} | {"caller": "10.00"}))
    yield server, f"http://{address}/"
    server.stop()


def test_the_page_follows_a_loaded_server_and_ends_a_call(server: tuple[Aaad, str], tmp_path: Path):
    """Real sessions on the screen, no error in the console; the kill ends the session and the CDR tells why."""
    aaad, address = server
    token = aaad.api("POST", "/v1/tokens", {"name": "ui", "roles": ["operate"]})["token"]
    aaad.ask(access_request("caller", "caller", "to-be-killed"))
    load = radload.start(radload.build(tmp_path), aaad.ports, "127.0.0.1", "-c", "16", *LOAD)
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(address)
        browser.wait("!document.getElementById('login').hidden")
        browser.evaluate(f"document.getElementById('token').value = {token!r}")
        browser.evaluate("document.getElementById('login').requestSubmit()")
        browser.wait("document.querySelectorAll('#rows tr').length > 8")
        seen = {number for number in (running(browser), running(browser, after_s=1.5)) if number}
        browser.screenshot(PICTURES / "under-load.png")
        press(browser, "caller", "Explain")
        browser.wait("document.getElementById('told-text').textContent.includes('World')")
        browser.evaluate("document.getElementById('told-close').click()")
        press(browser, "caller", "End")
        browser.wait("document.getElementById('confirm').open")
        browser.evaluate("document.getElementById('confirm-yes').click()")
        browser.wait("document.querySelector('#rows tr.killing')")
        aaad.ask(accounting_request(STOP, "to-be-killed", 12), "acct")
        browser.wait("![...document.querySelectorAll('#rows tr')].some(row => row.innerText.includes('caller'))")
        browser.evaluate("location.hash = '#account/caller'")
        browser.wait("document.getElementById('account-entries').innerText.includes('charge killed')")
        browser.screenshot(PICTURES / "killed.png")
    finally:
        problems = browser.problems
        browser.close()
        found = radload.finish(load)
    (cdr,) = aaad.api("GET", "/v1/cdrs?account=caller")["items"]
    (entry,) = aaad.api("GET", f"/v1/accounts/caller/entries/{cdr['id']}")
    (audit,) = [line for line in aaad.api("GET", "/v1/audit")["items"] if line["action"] == "session.kill"]

    assert [] == problems
    assert 2 == len(seen)
    assert ("killed", 12, "0.120000") == (cdr["cause"], cdr["used"], cdr["amount"]["amount"])
    assert ("charge", "killed", "-0.120000") == (entry["cause"], entry["ended"], entry["amount"]["amount"])
    assert ("token:ui", "live page", cdr["id"]) == (audit["actor"], audit["reason"], audit["target"])
    assert found["calls"]["completed"] > 16
    assert 0 == aaad.mismatches()


def running(browser: Browser, after_s: float = 0.0) -> str:
    """The sessions that are on the page, which the load changes all the time."""
    time.sleep(after_s)
    return str(browser.evaluate("[...document.querySelectorAll('#rows tr')].map(row => row.dataset.session).join(' ')"))


def press(browser: Browser, account: str, label: str) -> None:
    """A button in the row of an account."""
    browser.evaluate(
        f"[...[...document.querySelectorAll('#rows tr')].find(row => row.innerText.includes({account!r}))"
        f".querySelectorAll('button')].find(button => button.textContent === {label!r}).click()"
    )
