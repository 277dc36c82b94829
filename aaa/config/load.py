"""
Load the configuration: everything is checked before anything is used, and every problem is reported.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from aaa.config import sections
from aaa.config.clients import as_document
from aaa.config.locate import Path
from aaa.config.problems import PROBLEMS_MAX, problem_at, reasons
from aaa.config.semantic import findings, read_secret
from aaa.config.sources import Sources, gather
from aaa.errors import ConfigError


@dataclass(frozen=True)
class Config:
    """
    A configuration that is sound and complete: passwords and secrets resolved, clients as plain dictionaries.

    `nas` and `peer` carry the keys of OPERATIONS section 15 that were written (a profile supplies what is
    not), durations as whole seconds; `secret` is always a list.  `origin` tells for every key, dotted,
    who decided it; `digest` changes whenever a value does.
    """

    server: sections.Server
    store: sections.Store
    radius: sections.Radius
    diameter: sections.Diameter
    api: sections.Api
    charging: sections.Charging
    redis: sections.Redis
    metrics: sections.Metrics
    log: sections.Log
    export: sections.Export
    retention: sections.Retention
    outbox: tuple[sections.OutboxTable, ...]
    nas: tuple[dict[str, Any], ...]
    peer: tuple[dict[str, Any], ...]
    profile: tuple[dict[str, Any], ...]
    origin: Mapping[str, str]
    files: tuple[FilePath, ...]
    digest: str


def load_config(
    path: str | FilePath, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """
    Read file, conf.d beside it, `AAA__TABLE__KEY` of the environment and command-line overrides; later wins.

    Args:
        overrides: Dotted key to value, as the command line gave them: `{"log.level": "debug"}`.

    Raises:
        ConfigError: With one line for every problem: file and line, table, key, reason.
    """
    environ = {} if environ is None else environ
    sources = gather(FilePath(path), environ, overrides or {})
    problems = list(sources.problems)
    root: sections.Root | None = None
    try:
        root = sections.Root.model_validate(sources.tables)
    except ValidationError as error:
        problems += [problem_at(at, why, *sources.place(at)) for at, why in reasons(error, sections.Root)]
    if root is not None and not sources.problems:
        problems += [problem_at(at, why, *sources.place(at)) for at, why in findings(root, environ)]
    if problems or root is None:
        raise ConfigError([str(problem) for problem in problems[:PROBLEMS_MAX]])
    return _resolved(root, sources, environ)


def _resolved(root: sections.Root, sources: Sources, environ: Mapping[str, str]) -> Config:
    named = {name: getattr(root, name) for name in sections.Root.model_fields if name not in ("nas", "peer", "profile")}
    named["store"] = _with_password(root.store, environ)
    named["redis"] = _with_password(root.redis, environ)
    nas = tuple(_nas_document(table, environ) for table in root.nas)
    peer = tuple(as_document(table) for table in root.peer)
    values: dict[str, Any] = {
        name: [each.model_dump() for each in section] if isinstance(section, tuple) else section.model_dump()
        for name, section in named.items()
    }
    profile = tuple(as_document(table) for table in root.profile)
    values |= {"nas": nas, "peer": peer, "profile": profile}
    return Config(
        **named,
        nas=nas,
        peer=peer,
        profile=profile,
        origin={".".join(map(str, at)): sources.origin(at) for at in _leaves(root, ())},
        files=tuple(sources.files),
        digest=hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16],
    )


def _with_password(section: Any, environ: Mapping[str, str]) -> Any:
    """The section with the password of its file or variable inside the URL."""
    if section.url is None or (section.url_password_file is None and section.url_password_env is None):
        return section
    password = read_secret(section.url_password_file, section.url_password_env, environ)
    parts = urllib.parse.urlsplit(section.url)
    address = f"{parts.hostname or ''}:{parts.port}" if parts.port else parts.hostname or ""
    credentials = f"{parts.username or ''}:{urllib.parse.quote(password, safe='')}"
    return section.model_copy(update={"url": parts._replace(netloc=f"{credentials}@{address}").geturl()})


def _nas_document(table: Any, environ: Mapping[str, str]) -> dict[str, Any]:
    document = as_document(table)
    if table.secret is None:
        document["secret"] = [read_secret(table.secret_file, table.secret_env, environ)]
    if table.event_socket_password_file is not None:
        document["event_socket_password"] = read_secret(table.event_socket_password_file, None, environ)
    document.pop("event_socket_password_file", None)
    document.pop("secret_file", None)
    document.pop("secret_env", None)
    return document


def _leaves(value: Any, path: Path) -> list[Path]:
    """Paths of all keys of a table, those inside arrays of tables with their index."""
    if isinstance(value, BaseModel):
        return [leaf for name in type(value).model_fields for leaf in _leaves(getattr(value, name), (*path, name))]
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return [leaf for index, element in enumerate(value) for leaf in _leaves(element, (*path, index))]
    return [path]
