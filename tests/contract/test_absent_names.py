"""A Begin whose names were never stored is decided without a read; what comes behind it keeps its place."""

from pathlib import Path

from aaa.engine.answers import Ack, Grant, Outcome
from aaa.engine.commands import Begin, End, Identity, LineRequest, Total
from aaa.engine.terms import ChargeKey, Policy
from tests.support.stores import Clock, Server, prepared

POLICY = Policy("fixed", quantum_fixed=60)
LINE = LineRequest(ChargeKey(), None, True, None, "4420", "4420")


def _begin(key: str) -> Begin:
    return Begin(key, Identity("b", "d"), POLICY, (LINE,), "nas")


def _end(key: str, used: int) -> End:
    return End(key, Identity(f"e{used}"), (LineRequest(ChargeKey(), Total(used), False),), "nas")


def test_a_begin_of_a_cached_account_reads_nothing(tmp_path: Path) -> None:
    server = Server(prepared(tmp_path, {"alice": "10.00"}), Clock())
    assert isinstance(server.run(_begin("nas|h|0|s:1"), 1), Grant)
    loads = []
    load = server.store.load
    server.store.load = lambda wanted, *rest: (loads.append(wanted), load(wanted, *rest))  # type: ignore[method-assign]
    assert isinstance(server.run(_begin("nas|h|0|s:2"), 1), Grant)
    assert loads == []
    server.stop()


def test_an_end_right_behind_a_begin_that_has_to_wait_settles_it(tmp_path: Path) -> None:
    server = Server(prepared(tmp_path, {"alice": "10.00"}), Clock())
    answers: list[object] = []
    server.node.submit(_begin("nas|h|0|s:1"), 1, answers.append)  # the account is not cached yet
    server.node.submit(_end("nas|h|0|s:1", 30), None, answers.append)
    server.node.flush()
    grant, ended = answers
    assert isinstance(grant, Grant)
    assert isinstance(ended, Ack) and ended.outcome is Outcome.DONE and ended.cost_micro == 300_000
    server.stop()


def test_a_session_of_an_earlier_start_is_found_again(tmp_path: Path) -> None:
    url = prepared(tmp_path, {"alice": "10.00"})
    first = Server(url, Clock())
    grant = first.run(_begin("nas|h|0|s:1"), 1)
    first.stop()
    second = Server(url, Clock())
    assert second.run(_begin("nas|h|0|s:1"), 1) == grant  # the same request again, not another session
    assert len(second.node.cache.sessions) == 1
    second.stop()


def test_a_restart_that_gathers_while_caches_are_dropped_is_still_written(tmp_path: Path) -> None:
    server = Server(prepared(tmp_path, {"alice": "10.00"}), Clock())
    told: list[bool] = []
    server.node.restart_nas("nas|h", server.clock(), told.append)
    server.node.forget()
    server.node.flush()
    assert told == [True]
    assert "nas|h" in server.store.epochs()
    server.stop()
