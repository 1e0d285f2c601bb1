"""Health and metrics over HTTP, in a few threads beside the loop, so that they answer even when the loop does not.

* `/healthz`: 200 while the node works; 503 once it has failed or its loop has stood still for `STALLED` seconds.
* `/readyz`: 200 when it also knows a leader, so that it can serve; else 503 with the reason.
* `/metrics`: for Prometheus. `/status`: the node's own view, as JSON.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ringleader.client.steady import steady
from ringleader.client.tls import explain
from ringleader.node.stats import NodeCollector, Stats
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.tls import TlsFiles

__all__ = ["HttpServer", "health", "readiness"]

logger = logging.getLogger("ringleader.http")

STALLED = 10.0
"""Seconds without a turn after which the loop counts as dead."""
SLOW = 1.0
"""Seconds after which a request gives way to another one when all slots are taken."""
LATE = 2.0
"""Seconds without a turn after which the node is not ready."""


def health(stats: Stats, now: float) -> str:
    """ "" when the node works, else what is wrong. `now`: seconds of the steady clock."""
    if stats.failure:
        return stats.failure
    if now - stats.last_turn > STALLED:
        return f"the event loop has stood still for {now - stats.last_turn:.1f} s"
    return ""


def readiness(stats: Stats, now: float) -> str:
    """ "" when the node can serve, else why not."""
    problem = health(stats, now)
    if problem:
        return problem
    if stats.stopping:
        return "the node is stopping"
    if now - stats.last_turn > LATE:
        return f"the event loop is {now - stats.last_turn:.1f} s late"
    if stats.catching_up:
        return "the state is being replaced by a snapshot: the node was away for long"
    if stats.status is None or not stats.status.leader:
        return "no leader is known"
    return ""


class HttpServer:
    """Serves on a bound socket from `start` to `close`. `threads`: most requests at once; more are told to come again."""

    def __init__(
        self, sock: socket.socket, stats: Stats, *, threads: int = 16, timeout: float = 5.0, tls: TlsFiles | None = None,
    ) -> None:  # fmt: skip
        registry = CollectorRegistry()
        registry.register(NodeCollector(stats))
        self._server = _Server(sock, stats, registry, threads, timeout, tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="ringleader-http", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop and free the address."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, sock: socket.socket, stats: Stats, registry: CollectorRegistry, threads: int, timeout: float,
        tls: TlsFiles | None,
    ) -> None:  # fmt: skip
        super().__init__(sock.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.socket.listen(64)
        self.stats = stats
        self.tls = tls
        self.complaints = Complaints(logger, time.monotonic)
        self.registry = registry
        self.request_timeout = timeout
        self.slots = threading.BoundedSemaphore(threads)
        self.begun: dict[Any, float] = {}  # requests under way, oldest first

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.slots.acquire(blocking=False) and not self._make_room():
            request.settimeout(1.0)
            try:
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                pass
            self.shutdown_request(request)
            return
        self.begun[request] = time.monotonic()
        super().process_request(request, client_address)

    def _make_room(self) -> bool:
        """Hang up on the oldest request if it takes long: health is asked for exactly when something is wrong."""
        for request, begun in list(self.begun.items()):
            if time.monotonic() - begun < SLOW:
                return False
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
                return self.slots.acquire(timeout=0.2)
        return False

    def service_actions(self) -> None:
        """Called several times a second: hangs up on those who send or read one byte at a time, for ever."""
        for request, begun in list(self.begun.items()):
            if time.monotonic() - begun < 2 * self.request_timeout:
                break
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            if self.tls is not None:
                begun = self.begun.pop(request)
                request.settimeout(self.request_timeout)
                request = self.tls.accept.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                self.begun[request] = begun
                request.do_handshake()
            super().process_request_thread(request, client_address)
        except OSError as error:
            why = explain(error) or str(error)
            self.complaints.say(f"{client_address[0]}:{client_address[1]}", why, f"refused: {why}")
            self.shutdown_request(request)
        finally:
            self.begun.pop(request, None)
            self.slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a request from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "ringleader"
    sys_version = ""

    def setup(self) -> None:
        self.request.settimeout(self.server.request_timeout)
        super().setup()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        now = steady()
        stats = self.server.stats
        if path == "/healthz":
            self._verdict(health(stats, now))
        elif path == "/readyz":
            self._verdict(readiness(stats, now))
        elif path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif path == "/status" and stats.status is not None:
            status = {**msgspec.structs.asdict(stats.status), "ready": not readiness(stats, now)}
            self._answer(200, "application/json", msgspec.json.encode(status) + b"\n")
        else:
            self._answer(404, "text/plain; charset=utf-8", b"try /healthz, /readyz, /metrics or /status\n")

    do_HEAD = do_GET

    def _verdict(self, problem: str) -> None:
        text = f"{problem}\n" if problem else "ok\n"
        self._answer(503 if problem else 200, "text/plain; charset=utf-8", text.encode())

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s %s", self.address_string(), format % args)
