"""How many files and connections the system lets this process have open, and what of that strangers may take.

Who runs out of descriptors cannot open the next segment of its log: so clients get what is left when the disk, the peers,
HTTP and handshakes have theirs, and where it runs short all the same, an open is tried again until strangers have gone.
"""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable
from typing import TypeVar

if sys.platform != "win32":
    import resource

__all__ = ["patiently", "raise_limit", "shares"]

T = TypeVar("T")

logger = logging.getLogger("ringleader.node")

MAX_HANDSHAKES = 1000
"""Most TLS handshakes under way at once on one port."""
KEPT = 256
"""Descriptors for the disk, the peers, HTTP, and those who are accepted only to be told that the node is full."""
PATIENCE = 30.0
"""Seconds that an open is tried again for."""
PAUSE = 0.02
OPEN_MAX = 10_240
"""What macOS grants at most without being configured."""


def raise_limit() -> None:
    """Let this process open as many files as the system allows it; many systems start one with 1024."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = 1 << 20 if hard == resource.RLIM_INFINITY else hard
        for wanted in (most, OPEN_MAX):  # macOS tells of a higher limit than it grants
            if soft == resource.RLIM_INFINITY or not soft < wanted <= most:
                continue
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return
            except (OSError, ValueError) as error:
                logger.debug("the limit of open files cannot become %d: %s", wanted, error)


def shares(max_connections: int) -> tuple[int, int]:
    """How many clients may be connected, at most `max_connections`, and how many TLS handshakes be under way on a port."""
    limit = -1
    if sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        limit = -1 if limit == resource.RLIM_INFINITY else limit
    if limit < 0:
        return max_connections, MAX_HANDSHAKES
    handshakes = max(min(MAX_HANDSHAKES, limit // 16), 4)
    clients = max(limit - KEPT - 2 * handshakes, limit // 4, 1)
    if clients < max_connections:
        logger.warning(
            "at most %d clients can be connected, not max_connections (%d): the system lets this process open %d files "
            "(ulimit -n, LimitNOFILE)",
            clients, max_connections, limit,
        )  # fmt: skip
    return min(clients, max_connections), handshakes


def patiently(action: Callable[[], T]) -> T:
    """Do what opens a file; where there is no descriptor left, again a little later. Not on an event loop."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or time.monotonic() > end:
                raise
        time.sleep(PAUSE)
