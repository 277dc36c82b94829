"""
The Prometheus listener: `GET /metrics` on its own address, and the measurement of reactor lag.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from aaa.config.values import split_host_port
from aaa.errors import ConfigError
from aaa.ops.histogram import Histogram
from aaa.ops.metrics import Collector, Sources

LAG_INTERVAL_S = 0.25
SCRAPES_AT_ONCE = 2


# Twisted's web classes are not annotated.
_site: Any = Site
_resource: Any = Resource


class MetricsListener:
    """
    Serves the metrics; scrapes run on a thread, so that reading the store does not hold up a call.

    Raises:
        ConfigError: The address cannot be bound.
    """

    def __init__(self, reactor: Any, address: str, sources: Sources) -> None:
        host, port = split_host_port(address)
        self._pool = ThreadPool(0, SCRAPES_AT_ONCE, name="metrics")
        self._pool.start()
        root = _resource()
        root.putChild(b"metrics", _Metrics(reactor, self._pool, sources))
        try:
            self._port = reactor.listenTCP(port, _site(root), interface=host)
        except CannotListenError as error:
            self._pool.stop()
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise ConfigError([f"[metrics] listen {address}: {reason}"]) from error

    @property
    def port(self) -> int:
        """The port that was bound."""
        number: int = self._port.getHost().port
        return number

    def stop(self) -> None:
        """Close the socket and end the threads."""
        self._port.stopListening()
        self._pool.stop()


class _Metrics(Resource):
    isLeaf = True

    def __init__(self, reactor: Any, pool: ThreadPool, sources: Sources) -> None:
        Resource.__init__(self)  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._pool = pool
        self._registry = CollectorRegistry()
        self._registry.register(Collector(sources))

    def render_GET(self, request: Any) -> int:
        """Collect on a thread, answer on the reactor."""
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)

        def answer(body: bytes) -> None:
            if not gone:
                request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
                request.write(body)
                request.finish()

        def failed(_failure: Failure) -> None:
            if not gone:
                request.setResponseCode(500)
                request.finish()

        deferToThreadPool(self._reactor, self._pool, generate_latest, self._registry).addCallbacks(answer, failed)
        return NOT_DONE_YET


class LagProbe:
    """Measures how late the reactor comes to work that is due: the one number that explains its trouble."""

    def __init__(self, reactor: Any) -> None:
        self.histogram = Histogram()
        self._reactor = reactor
        self._due = 0.0

    def start(self) -> None:
        """Begin to measure, four times a second."""
        self._due = self._reactor.seconds() + LAG_INTERVAL_S
        self._reactor.callLater(LAG_INTERVAL_S, self._measure)

    def _measure(self) -> None:
        self.histogram.observe(max(0.0, self._reactor.seconds() - self._due))
        self.start()
