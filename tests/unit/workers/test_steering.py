"""One client, one worker: by its address alone, whoever came and went."""

from __future__ import annotations

import socket

import pytest

from aaa.workers import steering


def received(group: list[socket.socket]) -> list[int]:
    """How many datagrams wait in each socket."""
    counts = []
    for each in group:
        count = 0
        while True:
            try:
                each.recv(100)
            except BlockingIOError:
                break
            count += 1
        counts.append(count)
    return counts


def send(source: str, target: tuple[str, int], times: int = 8) -> None:
    """Datagrams of one address, each from a port of its own."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    for _ in range(times):
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.bind((source, 0))
            client.sendto(b"x", target)


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_all_ports_of_an_address_lead_to_the_worker_that_is_foretold(workers: int):
    group = steering.shared("127.0.0.1:0", workers)
    target = group[0].getsockname()
    try:
        for number in range(1, 25):
            send(f"127.0.0.{number}", target)
            expected = steering.index_of(f"127.0.0.{number}", workers)
            assert [8 if index == expected else 0 for index in range(workers)] == received(group)
    finally:
        for each in group:
            each.close()


def test_an_ipv6_client_has_one_worker_too():
    try:
        group = steering.shared("[::1]:0", 3)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    try:
        send("::1", group[0].getsockname()[:2])
        assert [0, 0, 8] == sorted(received(group))
    finally:
        for each in group:
            each.close()


@pytest.mark.parametrize("stride", [1, 2, 16, 256])
@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_addresses_at_any_distance_spread_evenly(workers: int, stride: int):
    first = int.from_bytes(socket.inet_aton("10.0.0.1"), "big")
    counts = [0] * workers
    for number in range(64 * workers):
        address = socket.inet_ntoa((first + number * stride).to_bytes(4, "big"))
        counts[steering.index_of(address, workers)] += 1

    assert max(counts) - min(counts) <= 16


def test_a_worker_that_comes_back_finds_what_waited_and_moves_nobody():
    """The parent keeps every socket, so a duplicate that is closed, as a dead worker's is, changes nothing."""
    group = steering.shared("127.0.0.1:0", 2)
    target = group[0].getsockname()
    addresses = {
        index: next(f"127.0.0.{n}" for n in range(1, 99) if steering.index_of(f"127.0.0.{n}", 2) == index)
        for index in (0, 1)
    }
    try:
        group[0].dup().close()
        for address in addresses.values():
            send(address, target)
        with group[0].dup() as successor:
            assert [8, 8] == received([successor, group[1]])
    finally:
        for each in group:
            each.close()


def test_an_address_that_is_served_already_is_refused_not_shared():
    group = steering.shared("127.0.0.1:0", 2)
    try:
        with pytest.raises(OSError, match="in use"):
            steering.shared(f"127.0.0.1:{group[0].getsockname()[1]}", 2)
    finally:
        for each in group:
            each.close()
