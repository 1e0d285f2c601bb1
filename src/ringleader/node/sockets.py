"""Listening sockets: bound before anything else is done, so that a taken port is known before the log is opened."""

from __future__ import annotations

import errno
import socket
import sys

from ringleader.errors import Reason, UsageError
from ringleader.node.config import format_address, parse_address

__all__ = ["CLIENT_BUFFER", "address_of", "bind"]


CLIENT_BUFFER = 256 * 1024
"""Bytes (the kernel doubles it) that may wait unread from one client: more would only be time that a request spends unseen."""


def bind(field: str, address: str, *, receive_buffer: int = 0) -> socket.socket:
    """A socket bound to "host:port", listening. Raises `UsageError` naming the configuration field.

    `receive_buffer`: bytes, for each connection that it will accept; 0: as the system likes.
    """
    host, port = parse_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(
            f"{field}: {host!r} cannot be looked up: {error.strerror}", reason=Reason.INVALID_ARGUMENT
        ) from None
    family, kind, protocol, _, target = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind(target)
        # Two sockets may bind one address as long as none listens: only this shows that it is free.
        sock.listen(0 if sys.platform == "win32" else 1024)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"{field}: {address} is in use by another program",
                reason=Reason.ADDRESS_IN_USE,
                hint="Stop that program, or choose another port",
            ) from None
        hint = ""
        if error.errno == errno.EADDRNOTAVAIL:
            hint = f"It is no address of this machine: say in {field} where to listen here, as 0.0.0.0:{port}"
        text = f"{field}: cannot listen on {address}: {error.strerror}"
        raise UsageError(text, reason=Reason.INVALID_ARGUMENT, hint=hint) from None
    sock.setblocking(False)
    return sock


def address_of(sock: socket.socket) -> str:
    """Where a socket is bound, "host:port"."""
    host, port = sock.getsockname()[:2]
    return format_address(host, port)
