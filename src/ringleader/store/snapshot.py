"""The whole state as bytes: the same state gives the same bytes on every member, also while writes go on.

Layout: the magic and a format version (4 bytes, big-endian), then chunks. A chunk is its kind (1 byte), the length of its
body (4 bytes), the body (msgpack), and a checksum (8 bytes: xxh3_64 of kind and body, seeded with the checksum before),
so that a chunk lost, repeated or out of place is found. The order of kinds is fixed: head, leases, sessions, users,
members, the keys just before the kept history starts (in key order), the changes since (in order), end.

A `Pin` fixes what is written: it copies the small tables at once and holds the history back from being trimmed, for
the past itself does not change. So the pieces can be made one by one between writes, and where one ends depends on
nothing but what it holds. The way back is `store.restoring`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from operator import attrgetter

import msgspec
from xxhash import xxh3_64_intdigest

from ringleader.store.auth import Auth
from ringleader.store.commands import KeyValue, Result
from ringleader.store.lease import Leases
from ringleader.store.members import Members
from ringleader.store.mvcc import Mvcc, changes_of
from ringleader.store.session import Sessions
from ringleader.store.settings import Settings

__all__ = [
    "AUTH",
    "BASE",
    "CHANGES",
    "END",
    "FORMAT_VERSION",
    "HEAD",
    "KINDS",
    "LEASES",
    "MAGIC",
    "MEMBERS",
    "SESSIONS",
    "Head",
    "LeaseRow",
    "Pin",
    "SessionRow",
    "State",
    "checksum",
    "cut",
    "pieces",
    "sealed",
]

MAGIC = b"RLSTORE\0"
FORMAT_VERSION = 1
HEAD, LEASES, SESSIONS, AUTH, MEMBERS, BASE, CHANGES, END = range(1, 9)
KINDS = {
    HEAD: "head",
    LEASES: "leases",
    SESSIONS: "sessions",
    AUTH: "users",
    MEMBERS: "members",
    BASE: "keys",
    CHANGES: "changes",
    END: "end",
}
PER_CHUNK = 512
"""Most rows of a chunk."""
CHUNK_BYTES = 128 * 1024
"""A chunk of keys ends once their keys and values reach this."""


class Head(msgspec.Struct, array_like=True):
    """What comes first: where the state stands."""

    revision: int
    compact_revision: int
    applied: int
    time_ms: int
    next_lease: int
    next_session: int
    settings: Settings
    full: bool
    version: int


class LeaseRow(msgspec.Struct, array_like=True, gc=False):
    """A lease; its keys name it."""

    id: int
    ttl_ms: int
    deadline_ms: int
    owner: str = ""


class SessionRow(msgspec.Struct, array_like=True):
    """A session and its kept results by sequence number, in the order in which they ran."""

    id: int
    seen_ms: int
    floor: int
    results: list[tuple[int, Result | None]]
    owner: str = ""


class State(msgspec.Struct):
    """Everything that a store is."""

    mvcc: Mvcc
    leases: Leases
    sessions: Sessions
    auth: Auth
    members: Members
    applied: int
    time_ms: int
    settings: Settings
    full: bool
    version: int


class Pin:
    """The state as it is now, kept for as long as it takes to write it down; `release` it afterwards."""

    def __init__(self, state: State) -> None:
        mvcc, leases, sessions = state.mvcc, state.leases, state.sessions
        self.head = Head(
            mvcc.revision,
            mvcc.compact_revision,
            state.applied,
            state.time_ms,
            leases.next_id,
            sessions.next_id,
            state.settings,
            state.full,
            state.version,
        )
        self.mvcc = mvcc
        self.first = mvcc.readable
        self.leases = sorted(leases.by_id.values(), key=attrgetter("id"))  # of a lease only the deadline changes
        self.deadlines = [lease.deadline_ms for lease in self.leases]
        # Results never change, but which of them are kept does.
        self.sessions = [
            (one.id, one.seen_ms, one.floor, one.results.copy(), one.owner) for one in sessions.by_id.values()
        ]
        self.auth = state.auth.image()
        self.members = state.members.image()
        mvcc.hold()

    def release(self) -> None:
        """What only this pin needs may be freed."""
        self.mvcc.release()


_encode = msgspec.msgpack.Encoder().encode


def checksum(kind: int, body: bytes | memoryview, before: int) -> int:
    """The checksum of a chunk that follows one with checksum `before`."""
    return int(xxh3_64_intdigest(body, seed=(before + kind) & 0xFFFFFFFFFFFFFFFF))


def pieces(pin: Pin) -> Generator[bytes, None, None]:
    """The snapshot, piece by piece: first the magic, then one chunk at a time; now and then b"", as a place to pause.

    Anything may be applied to the store between two pieces. Joined they are the whole.
    """
    yield from sealed(_bodies(pin))


def sealed(bodies: Iterable[tuple[int, bytes | None]]) -> Generator[bytes, None, None]:
    """The pieces of a snapshot with these chunks, (kind, body) each; a body None is a place to pause."""
    yield MAGIC + FORMAT_VERSION.to_bytes(4, "big")
    check = 0
    for kind, body in bodies:
        if body is None:
            yield b""
            continue
        check = checksum(kind, body, check)
        yield bytes([kind]) + len(body).to_bytes(4, "big") + body + check.to_bytes(8, "big")


def _bodies(pin: Pin) -> Iterator[tuple[int, bytes | None]]:
    yield HEAD, _encode(pin.head)
    rows = (LeaseRow(one.id, one.ttl_ms, due, one.owner) for one, due in zip(pin.leases, pin.deadlines, strict=True))
    while part := list(islice(rows, PER_CHUNK)):
        yield LEASES, _encode(part)
    for id, seen_ms, floor, results, owner in pin.sessions:
        yield SESSIONS, _encode([SessionRow(id, seen_ms, floor, list(results.items()), owner)])
    yield AUTH, pin.auth
    yield MEMBERS, pin.members
    for kvs in cut(pin.mvcc.base(pin.first)):
        yield BASE, None if kvs is None else _encode(kvs)
    for kvs in cut(_changes(pin)):
        yield CHANGES, None if kvs is None else _encode(kvs)
    yield END, b""


def _changes(pin: Pin) -> Iterator[KeyValue]:
    """What every revision up to the pinned one made of its keys."""
    mvcc = pin.mvcc
    for revision in range(pin.first, pin.head.revision + 1):
        for change in changes_of(mvcc.log[revision - mvcc.first]):
            yield change.kv


def cut(kvs: Iterable[KeyValue | None]) -> Iterator[list[KeyValue] | None]:
    """Cut into chunks by what they hold; None at each place to pause."""
    part: list[KeyValue] = []
    size = 0
    for kv in kvs:
        if kv is None:
            yield None
            continue
        part.append(kv)
        size += len(kv.key) + len(kv.value)
        if size >= CHUNK_BYTES or len(part) >= PER_CHUNK:
            yield part
            part, size = [], 0
    if part:
        yield part
