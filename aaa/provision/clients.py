"""
RADIUS clients and Diameter peers of an `apply` file on their way into the store.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from sqlalchemy import select, update

from aaa.config.clients import NasTable, PeerTable, as_document
from aaa.config.locate import Path
from aaa.provision.credentials import sealed_nas, unsealed_nas
from aaa.provision.writer import Writer, refuse
from aaa.store import tables as db


def nas_problems(
    wanted: Sequence[NasTable], stored: dict[str, dict[str, str]], configured: Collection[str]
) -> list[tuple[Path, str]]:
    """Names that the configuration owns, and networks that another client has."""
    problems: list[tuple[Path, str]] = []
    replaced = {nas.name for nas in wanted}
    networks = {document["address"]: name for name, document in stored.items() if name not in replaced}
    for index, nas in enumerate(wanted):
        if nas.name in configured:
            problems.append((("nas", index, "name"), f"{nas.name} is in the configuration file too"))
        if nas.address in networks:
            problems.append(
                (("nas", index, "address"), f"{nas.address} is already the network of {networks[nas.address]}")
            )
    return problems


def write_nas(writer: Writer, wanted: Sequence[NasTable], configured: Collection[str]) -> None:
    """
    Upsert RADIUS clients, their secrets sealed.

    Raises:
        ApplyRefused: A name or network is taken.
    """
    if not wanted:
        return
    stored = {row.name: json.loads(row.document) for row in writer.connection.execute(select(db.nas))}
    refuse(nas_problems(wanted, stored, configured))
    for nas in wanted:
        document = as_document(nas) | {"secret": list(nas.secret or [])}
        document = {key: value for key, value in document.items() if value is not None}
        if nas.name in stored and unsealed_nas(stored[nas.name], writer.keys) == document:
            writer.result.note("unchanged", f"nas {nas.name}")
            continue
        text = json.dumps(sealed_nas(nas, writer.keys))
        if nas.name in stored:
            writer.execute(update(db.nas).where(db.nas.c.name == nas.name).values(document=text))
        else:
            writer.insert(db.nas, [{"name": nas.name, "document": text, "created_at": writer.now_us}])
        writer.result.note("changed" if nas.name in stored else "created", f"nas {nas.name}")


def write_peers(writer: Writer, wanted: Sequence[PeerTable]) -> None:
    """Upsert Diameter peers."""
    if not wanted:
        return
    found = writer.connection.execute(select(db.peer))
    stored = {(row.origin_host, row.realm): json.loads(row.document) for row in found}
    for peer in wanted:
        identity, document = (peer.origin_host, peer.realm), as_document(peer)
        shown = f"peer {peer.origin_host} of {peer.realm}"
        if stored.get(identity) == document:
            writer.result.note("unchanged", shown)
            continue
        text = json.dumps(document)
        if identity in stored:
            same = (db.peer.c.origin_host == peer.origin_host) & (db.peer.c.realm == peer.realm)
            writer.execute(update(db.peer).where(same).values(document=text))
        else:
            row = {"origin_host": peer.origin_host, "realm": peer.realm, "document": text}
            writer.insert(db.peer, [row | {"created_at": writer.now_us}])
        writer.result.note("changed" if identity in stored else "created", shown)
