"""
Who may speak: the RADIUS clients and Diameter peers of the configuration and of the store, put together.
"""

from __future__ import annotations

from typing import Any

from aaa.config import Config
from aaa.diameter.peers import Peers, peer_from
from aaa.errors import ConfigError
from aaa.radius.clients import Clients, nas_from


def client_defaults(config: Config) -> dict[str, Any]:
    """What every client entry inherits: [charging], and the Message-Authenticator default of [radius]."""
    return {
        **config.charging.model_dump(),
        "require_message_authenticator": config.radius.require_message_authenticator,
    }


def configured_clients(config: Config, stored: tuple[dict[str, Any], ...] = ()) -> Clients:
    """
    The RADIUS clients of the configuration and of the store.

    Raises:
        ConfigError: With every problem of every entry; a name in both places is one.
    """
    problems: list[str] = []
    names = [entry["name"] for entry in (*config.nas, *stored)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"[[nas]] {name}: name: is in the configuration and in the store")
    entries = []
    for document in (*config.nas, *stored):
        try:
            entries.append(nas_from(document, client_defaults(config)))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return Clients(entries)


def configured_peers(config: Config, stored: tuple[dict[str, Any], ...] = ()) -> Peers:
    """
    The Diameter peers of the configuration and of the store.

    Raises:
        ConfigError: With every problem of every entry; a peer in both places is one.
    """
    problems: list[str] = []
    names = [(entry["origin_host"], entry["realm"]) for entry in (*config.peer, *stored)]
    for host, realm in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"[[peer]] {host} of {realm}: origin_host: is in the configuration and in the store")
    if config.diameter.listen and not (config.diameter.origin_host and config.diameter.origin_realm):
        problems.append("[diameter] listen: origin_host and origin_realm are needed to speak Diameter")
    entries = []
    for document in (*config.peer, *stored):
        try:
            entries.append(peer_from(document, config.charging.model_dump()))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return Peers(entries)
