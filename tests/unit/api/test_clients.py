"""A RADIUS client is added while the server runs, and its secret changes without a lost packet."""

from __future__ import annotations

import json

import pytest

from aaa.provision.credentials import unsealed_nas
from tests.support.control import World

FIRST, SECOND = "first-secret-1", "second-secret-2"


def add(world: World, name: str = "edge-2", **more: object) -> object:
    return world.api.post("/v1/nas", json={"name": name, "address": "10.7.0.0/24", "secret": FIRST, **more})


def stored(world: World, name: str = "edge-2") -> list[str]:
    documents = [json.loads(text) for text in world.store.nas_documents()]
    (document,) = [document for document in documents if document["name"] == name]
    return unsealed_nas(document, world.context.keys)["secret"]


def test_a_client_is_added_once(world: World):
    """It is listed, its secret is stored sealed, and adding it again is a conflict."""
    added, again = add(world), add(world)
    dump = "\n".join(world.store._db.iterdump())

    assert (201, 409) == (added.status_code, again.status_code)
    assert 1 == world.get("nas/edge-2")["secrets"]
    assert [FIRST] == stored(world)
    assert FIRST not in dump


def test_a_new_secret_signs_while_the_old_one_verifies(world: World):
    """First in the list is what signs; finishing forgets the rest."""
    add(world)
    rotated = world.api.post("/v1/nas/edge-2/secrets", json={"secret": SECOND})
    overlap = stored(world)
    world.api.delete("/v1/nas/edge-2/secrets")

    assert 2 == rotated.json()["secrets"]
    assert [SECOND, FIRST] == overlap
    assert [SECOND] == stored(world)
    assert ["nas.secret_forget", "nas.secret_rotate", "nas.add"] == [
        line["action"] for line in world.get("audit")["items"][:3]
    ]
    assert SECOND not in json.dumps(world.get("audit"))


@pytest.mark.parametrize(
    ("name", "secret", "status"),
    [("edge", SECOND, 409), ("nobody", SECOND, 404), ("edge-2", FIRST, 409), ("edge-2", "short", 422)],
)
def test_a_rotation_that_makes_no_sense_is_refused(world: World, name: str, secret: str, status: int):
    """A client of the configuration file, an unknown one, the same secret, a weak one."""
    add(world)

    assert status == world.api.post(f"/v1/nas/{name}/secrets", json={"secret": secret}).status_code
    assert [FIRST] == stored(world)


def test_a_client_that_the_radius_face_cannot_use_is_refused(world: World):
    """The reason names the key."""
    refused = add(world, profile="cisco")

    assert 422 == refused.status_code
    assert "profile" in refused.json()["detail"]
