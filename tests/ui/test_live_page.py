"""The live page in a real browser: shows what runs, ends what it is told to, and breaks no rule of its policy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aaa.api.server import ApiServer, tcp_socket, unix_socket
from tests.support.browser import CHROMIUM, Browser
from tests.support.control import World, make_config

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PICTURES = Path(os.environ.get("AAA_TEST_ARTEFACTS", "var/test-artefacts"))


@pytest.fixture
def world(tmp_path, keys):
    world = World(make_config(tmp_path), keys)
    world.apply()
    yield world
    world.close()


@pytest.fixture
def address(world):
    remote = tcp_socket("127.0.0.1:0")
    server = ApiServer(world.context, unix_socket(world.context.config.api.socket, None), remote)
    server.start()
    yield f"http://127.0.0.1:{remote.getsockname()[1]}/"
    server.stop()


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def log_in(browser: Browser, world: World, address: str, *roles: str) -> None:
    token = world.api.post("/v1/tokens", json={"name": "ui", "roles": list(roles)}).json()["token"]
    browser.open(address)
    browser.wait("!document.getElementById('login').hidden")
    browser.evaluate(f"document.getElementById('token').value = {token!r}")
    browser.evaluate("document.getElementById('login').requestSubmit()")


def test_shows_running_sessions_and_follows_them(world, address, browser):
    """Rows come and go without a reload; a phone gets the same page."""
    log_in(browser, world, address, "read")
    browser.wait("!document.getElementById('empty').hidden")
    world.begin(seconds=60)
    browser.wait("document.querySelectorAll('#rows tr').length === 1")
    row = browser.evaluate("document.querySelector('#rows tr').innerText")
    tiles = browser.evaluate("document.getElementById('tiles').innerText")
    browser.screenshot(PICTURES / "sessions.png")
    browser.resize(390, 800)
    browser.screenshot(PICTURES / "sessions-phone.png")
    width = browser.evaluate("document.documentElement.scrollWidth")
    world.now_us += 10_000_000
    world.end(seconds=20)
    browser.wait("document.querySelectorAll('#rows tr').length === 0")

    assert "alice" in row
    assert "4420 (UK)" in row
    assert "0.60 EUR" in tiles
    assert width <= 390
    assert [] == browser.problems


def test_the_account_page_shows_ledger_chart_and_explanation(world, address, browser):
    """What a customer's question needs is on one page."""
    for n in range(3):
        world.begin(f"call-{n}")
        world.end(f"call-{n}", seconds=30)
    world.begin("running")
    log_in(browser, world, address, "read")
    browser.wait("document.querySelector('#rows a')")
    browser.evaluate("document.querySelector('#rows a').click()")
    browser.wait("document.querySelectorAll('#account-entries tr').length === 4")
    browser.evaluate("document.querySelector('#account-entries button').click()")
    browser.wait("!document.getElementById('explanation').hidden")
    told = browser.evaluate("document.getElementById('explanation').textContent")
    points = browser.evaluate("document.querySelector('#chart polyline').getAttribute('points').split(' ').length")
    browser.screenshot(PICTURES / "account.png")

    assert "30 x 1 at 0.6 per 60s" in told
    assert 4 == points
    assert "9.10 EUR" in browser.evaluate("document.getElementById('account-tiles').innerText")
    assert [] == browser.problems


def test_ends_a_session_only_with_the_role_and_after_asking(world, address, browser):
    """The ledger's audit names the token that did it."""
    number = world.begin()
    log_in(browser, world, address, "operate")
    browser.wait("document.querySelector('#rows button')")
    browser.evaluate("document.querySelector('#rows button').click()")
    browser.wait("document.getElementById('confirm').open")
    browser.screenshot(PICTURES / "confirm.png")
    browser.evaluate("document.getElementById('confirm-yes').click()")
    browser.wait("document.querySelector('#rows tr.killing')")
    world.end(seconds=10)
    audit = world.get("audit")["items"][0]

    assert ("session.kill", number, "token:ui") == (audit["action"], audit["target"], audit["actor"])
    assert "killed" == world.get("cdrs")["items"][0]["cause"]
    assert [] == browser.problems


def test_a_reader_changes_nothing_and_a_wrong_token_no_data(world, address, browser):
    """The page offers what the role allows."""
    world.begin()
    log_in(browser, world, address, "read")
    browser.wait("document.querySelectorAll('#rows tr').length === 1")
    buttons = browser.evaluate("[...document.querySelectorAll('#rows button')].map(each => each.textContent)")
    browser.evaluate("sessionStorage.setItem('token', 'aaa_wrong')")
    browser.open(address + "ui/?again")
    browser.wait("document.getElementById('login-problem').textContent.includes('not valid')")

    assert ["Explain"] == buttons
    assert 0 == browser.evaluate("document.querySelectorAll('#rows tr').length")


def test_nothing_from_elsewhere_can_run(world):
    """The policy allows our own script and style, and no markup is ever made of data."""
    page = world.api.get("/ui/")
    policy = page.headers["content-security-policy"]
    script = world.api.get("/ui/app.js").text

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert not any(word in script for word in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("))
    assert 404 == world.api.get("/ui/../server.py").status_code
