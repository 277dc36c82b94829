"""An operator's own profile is a shipped one with differences, checked before anything uses it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from aaa.config import Config, load_config
from aaa.config.clients import ProfileTable
from aaa.config.show import settings
from aaa.entries import configured_clients, configured_profiles
from aaa.errors import ConfigError
from aaa.keys import Keys
from aaa.radius import attributes as a
from aaa.radius.profiles.profile import Profile

NAS = '[[nas]]\nname = "ap"\naddress = "10.0.0.1"\nsecret = "hush-hush"\n'
OWN = """
[[profile]]
name = "our-ap"
base = "hotspot"
identity = ["Calling-Station-Id"]
called = ["Called-Station-Id", "h323-conf-id"]
takes = ["Session-Timeout", "Class"]
refill = "interim"
final_margin_s = 3
"""


def loaded(directory: Path, text: str) -> Config:
    if not (directory / "key").exists():
        Keys.create(directory / "key")
    (directory / "aaa.toml").write_text(f'[server]\nkey_file = "{directory}/key"\n{text}')
    return load_config(directory / "aaa.toml")


def test_a_client_uses_a_profile_of_the_configuration(tmp_path: Path):
    """What is written differs from the base, everything else is the base's."""
    config = loaded(tmp_path, OWN + NAS + 'profile = "our-ap"\n')
    profile = configured_clients(config).by_name["ap"].profile
    base = configured_profiles(config)["hotspot"]

    assert ("our-ap", ("Calling-Station-Id",), "interim", 3) == (
        profile.name, profile.identity, profile.refill, profile.final_margin_s,
    )  # fmt: skip
    assert ((a.CALLED_STATION_ID, a.H323_CONF_ID), frozenset((a.SESSION_TIMEOUT, a.CLASS))) == (
        profile.called, profile.takes,
    )  # fmt: skip
    assert base.charge_keys == profile.charge_keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[profile]]\nname = "x"\nbase = "cisco"\n', "base"),
        ('[[profile]]\nname = "x"\nrefil = "whole"\n', 'did you mean "refill"'),
        ('[[profile]]\nname = "x"\nfinal_margin_s = "3s"\n', "final_margin_s"),
        ('[[profile]]\nname = "x"\ntakes = ["Sesion-Timeout"]\n', "takes: no dictionary has Sesion-Timeout"),
        ('[[profile]]\nname = "x"\nidentity = ["Usr-Name"]\n', "identity"),
        ('[[profile]]\nname = "hotspot"\n', "is a shipped profile"),
        ('[[profile]]\nname = "x"\n[[profile]]\nname = "x"\n', "is there twice"),
        (NAS + 'profile = "nobody"\n', "no profile 'nobody'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str):
    """Table, key and reason, before the server starts."""
    with pytest.raises(ConfigError, match=message):
        configured_clients(loaded(tmp_path, text))


def test_the_table_has_every_field_of_a_profile():
    """A field that is added to profiles can be configured, or is left out on purpose."""
    assert {field.name for field in fields(Profile)} - {"charge_keys"} | {"base"} == set(ProfileTable.model_fields)


def test_passwords_of_event_sockets_are_hidden(tmp_path: Path):
    """From a file or written out, `config show` does not tell."""
    (tmp_path / "esl").write_text("ClueCon\n")
    text = NAS + f'event_socket = "127.0.0.1:8021"\nevent_socket_password_file = "{tmp_path}/esl"\n'
    config = loaded(tmp_path, text)

    assert ("127.0.0.1", 8021) == configured_clients(config).by_name["ap"].event_socket
    assert "ClueCon" == configured_clients(config).by_name["ap"].event_socket_password
    assert "ClueCon" not in str(settings(config))


def test_an_event_socket_needs_its_password(tmp_path: Path):
    """FreeSWITCH never goes without."""
    with pytest.raises(ConfigError, match="event_socket_password: missing"):
        configured_clients(loaded(tmp_path, NAS + 'event_socket = "127.0.0.1:8021"\n'))
