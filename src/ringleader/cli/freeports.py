"""Free ports for servers that start later, or start again: none that the system may give to somebody else meanwhile.

The usual way, to bind port 0 and let go of it, finds ports of the range from which the system takes those of outgoing
connections: while the server is down, any client may be given its port, even one that is just trying to reach it.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = ["free_ports"]

LOWEST = 10_000
"""Below are ports of well-known services."""
OUTGOING_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
OUTGOING_ELSEWHERE = 49_152
"""Where the range begins on other systems (RFC 6335)."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """`count` different TCP ports on which nobody listens at the moment. Raises `OSError` when so many cannot be found."""
    held: list[socket.socket] = []
    try:
        for port in _candidates(count):
            one = socket.socket()
            held.append(one)
            try:
                one.bind((host, port))
            except OSError:
                if port == 0:
                    raise
                held.pop().close()
            if len(held) == count:
                break
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def _candidates(count: int) -> list[int]:
    """Ports to try in this order; 0 stands for any at all, for when the range of outgoing connections leaves no others."""
    outside = range(LOWEST, max(_outgoing_begins(), LOWEST))
    some = random.sample(outside, min(len(outside), 20 * count + 1000))
    return [*some, *[0] * count]


def _outgoing_begins() -> int:
    try:
        return int(OUTGOING_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return OUTGOING_ELSEWHERE
