"""Where each recipe keeps its keys: a prefix for each kind, then the name, quoted.

A name is quoted so that no name is the beginning of another's keys.
"""

from __future__ import annotations

from urllib.parse import quote_from_bytes

from ringleader.client.types import to_bytes
from ringleader.errors import Reason, UsageError

__all__ = [
    "BARRIERS",
    "COUNTERS",
    "DOUBLE_BARRIERS",
    "ELECTIONS",
    "LOCKS",
    "QUEUES",
    "RW_LOCKS",
    "SEMAPHORES",
    "quoted",
]

LOCKS = b"ringleader/locks/"
ELECTIONS = b"ringleader/elections/"
RW_LOCKS = b"ringleader/rwlocks/"
SEMAPHORES = b"ringleader/semaphores/"
BARRIERS = b"ringleader/barriers/"
DOUBLE_BARRIERS = b"ringleader/doublebarriers/"
QUEUES = b"ringleader/queues/"
COUNTERS = b"ringleader/counters/"


def quoted(name: str, what: str) -> bytes:
    """The name of a recipe as part of a key. Raises `UsageError` for an empty one; `what` it names."""
    if not name:
        article = "an" if what[0] in "aeiou" else "a"
        raise UsageError(f"{article} {what} needs a name", reason=Reason.INVALID_ARGUMENT)
    return quote_from_bytes(to_bytes(name, "name"), safe="").encode()
