"""
Diameter peers: who may connect, who is connected, and ending their connections.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from aaa.api import present, shapes
from aaa.api.context import Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import OPERATE, READ, Who
from aaa.api.shapes import Page
from aaa.store import read

router = APIRouter(tags=["system"])


@router.get("/v1/peers", dependencies=[READ])
def list_peers(context: Context) -> Page[shapes.Peer]:
    """Diameter peers of the configuration and of the store, with their open connections."""
    connected = context.wait(context.control.status()).get("peers", ())
    with context.read() as connection:
        stored = [present.peer(json.loads(row.document), "store", connected) for row in read.peers(connection)]
    configured = [present.peer(document, "config", connected) for document in context.config.peer]
    return Page(items=sorted(configured + stored, key=lambda peer: (peer.origin_host, peer.realm)))


@router.get("/v1/peers/{origin_host}", dependencies=[READ])
def show_peer(context: Context, origin_host: str) -> shapes.Peer:
    """One Diameter peer; `*` is an entry for all hosts of a realm."""
    for peer in list_peers(context).items:
        if peer.origin_host == origin_host:
            return peer
    raise not_found("peer", origin_host)


@router.post("/v1/peers/{origin_host}/disconnect", dependencies=[OPERATE])
def disconnect_peer(context: Context, who: Who, origin_host: str) -> dict[str, Any]:
    """Take leave of a connected host (DPR); it may connect again, and its sessions go on."""
    if context.disconnect_peer is None:
        raise Refusal(503, "this process serves no Diameter")
    connected = context.wait(context.control.status()).get("peers", ())
    count = sum(one["connections"] for one in connected if one["origin_host"] == origin_host)
    if not count:
        raise not_found("connection of peer", origin_host)
    context.audit(who, "peer.disconnect", origin_host)
    context.disconnect_peer(origin_host)
    return {"origin_host": origin_host, "connections": count}
