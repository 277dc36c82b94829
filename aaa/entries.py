"""
Who may speak: the RADIUS clients and Diameter peers of the configuration and of the store, put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aaa.config import Config
from aaa.diameter.peers import Peers, peer_from
from aaa.errors import ConfigError
from aaa.radius.clients import Clients, Nas, nas_from
from aaa.radius.identity import source_of
from aaa.radius.names import code_of
from aaa.radius.profiles.profile import Profile
from aaa.radius.profiles.shipped import SHIPPED, own


def client_defaults(config: Config) -> dict[str, Any]:
    """What every client entry inherits: [charging], and from [radius] what is about packets."""
    return {
        **config.charging.model_dump(),
        "require_message_authenticator": config.radius.require_message_authenticator,
        "status_server": config.radius.status_server,
        "status_per_second": config.radius.status_per_second,
    }


def configured_profiles(config: Config) -> dict[str, Profile]:
    """
    The NAS profiles that are shipped and those of the configuration.

    Raises:
        ConfigError: With every problem of every `[[profile]]`.
    """
    profiles = dict(SHIPPED)
    problems: list[str] = []
    for document in config.profile:
        name = document["name"]
        settings = {key: value for key, value in document.items() if key != "name"}
        where = f"[[profile]] {name}"
        if name in profiles:
            problems.append(f"{where}: name: {'is a shipped profile' if name in SHIPPED else 'is there twice'}")
            continue
        for key in ("called", "calling", "takes"):
            if key in settings:
                codes = {attribute: code_of(attribute) for attribute in settings[key]}
                unknown = [attribute for attribute, code in codes.items() if code is None]
                problems += [f"{where}: {key}: no dictionary has {attribute}" for attribute in unknown]
                settings[key] = [code for code in codes.values() if code is not None]
        for source in settings.get("identity", ()):
            try:
                source_of(source)
            except ValueError as error:
                problems.append(f"{where}: identity: {error}")
        try:
            profiles[name] = own(name, settings)
        except ValueError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise ConfigError(problems)
    return profiles


def configured_clients(config: Config, stored: tuple[dict[str, Any], ...] = ()) -> Clients:
    """
    The RADIUS clients of the configuration and of the store.

    Raises:
        ConfigError: With every problem of every entry; a name in both places is one.
    """
    profiles = configured_profiles(config)
    problems: list[str] = []
    names = [entry["name"] for entry in (*config.nas, *stored)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"[[nas]] {name}: name: is in the configuration and in the store")
    entries = []
    for document in (*config.nas, *stored):
        try:
            entries.append(nas_from(document, client_defaults(config), profiles))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return Clients(entries)


def advice(config: Config, clients: Iterable[Nas]) -> list[str]:
    """What RADIUS clients are promised for an outage and can never get; a line for each of them."""
    is_embedded = config.store.url.startswith("sqlite")
    if not is_embedded and config.charging.outage_exposure:
        return []
    why = "the store is SQLite" if is_embedded else "[charging] outage_exposure is 0"
    told = f'on_store_down: "allow_capped" never grants anything, because {why}'
    return [f"[[nas]] {nas.name}: {told}" for nas in clients if nas.on_store_down == "allow_capped"]


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
