"""The whole state as bytes and back: the same state gives the same bytes on every member.

Layout: the magic, a format version (4 bytes, big-endian), then chunks. A chunk is its kind (1 byte), the length of its
body (4 bytes), the body (msgpack), and a checksum (8 bytes: xxh3_64 of kind and body, seeded with the checksum before),
so that a chunk lost, repeated or out of place is found. The order of kinds is fixed: head, leases, sessions, users, the keys
just before the kept history starts (in key order), the changes since (in order), end. Chunks are made one by one, so
that a snapshot can be written while it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec
from xxhash import xxh3_64_intdigest

from ringleader.store.auth import Auth
from ringleader.store.commands import KeyValue, Result
from ringleader.store.lease import Lease, Leases
from ringleader.store.limits import Limits
from ringleader.store.mvcc import Mvcc, changes_of
from ringleader.store.session import Session, Sessions
from ringleader.store.settings import Settings

__all__ = ["FORMAT_VERSION", "MAGIC", "State", "chunks", "restore"]

MAGIC = b"RLSTORE\0"
FORMAT_VERSION = 1
_PER_CHUNK = 512
_HEAD, _LEASES, _SESSIONS, _AUTH, _BASE, _CHANGES, _END = range(1, 8)
_NAMES = {
    _HEAD: "head",
    _LEASES: "leases",
    _SESSIONS: "sessions",
    _AUTH: "users",
    _BASE: "keys",
    _CHANGES: "changes",
    _END: "end",
}

_T = TypeVar("_T")


class _Head(msgspec.Struct, array_like=True):
    revision: int
    compact_revision: int
    applied: int
    time_ms: int
    next_lease: int
    next_session: int
    settings: Settings
    full: bool


class _LeaseRow(msgspec.Struct, array_like=True):
    id: int
    ttl_ms: int
    deadline_ms: int


class _SessionRow(msgspec.Struct, array_like=True):
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
    applied: int
    time_ms: int
    settings: Settings
    full: bool


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_leases = msgspec.msgpack.Decoder(list[_LeaseRow]).decode
_decode_sessions = msgspec.msgpack.Decoder(list[_SessionRow]).decode
_decode_kvs = msgspec.msgpack.Decoder(list[KeyValue]).decode


# ------------------------------------------------------------------------------------------------------ writing


def chunks(state: State) -> Iterator[bytes]:
    """The snapshot, piece by piece. The state must not change until the last one is taken."""
    yield MAGIC + FORMAT_VERSION.to_bytes(4, "big")
    checksum = 0
    for kind, body in _bodies(state):
        checksum = _checksum(kind, body, checksum)
        yield bytes([kind]) + len(body).to_bytes(4, "big") + body + checksum.to_bytes(8, "big")


def _checksum(kind: int, body: bytes | memoryview, before: int) -> int:
    return int(xxh3_64_intdigest(body, seed=(before + kind) & 0xFFFFFFFFFFFFFFFF))


def _bodies(state: State) -> Iterator[tuple[int, bytes]]:
    mvcc, leases, sessions = state.mvcc, state.leases, state.sessions
    head = _Head(
        mvcc.revision,
        mvcc.compact_revision,
        state.applied,
        state.time_ms,
        leases.next_id,
        sessions.next_id,
        state.settings,
        state.full,
    )
    yield _HEAD, _encode(head)
    rows = [_LeaseRow(one.id, one.ttl_ms, one.deadline_ms) for one in leases.by_id.values()]
    rows.sort(key=lambda row: row.id)
    for part in _parts(rows, _PER_CHUNK):
        yield _LEASES, _encode(part)
    for session in sessions.by_id.values():
        row = _SessionRow(session.id, session.seen_ms, session.floor, list(session.results.items()), session.owner)
        yield _SESSIONS, _encode([row])
    yield _AUTH, state.auth.image()
    for kvs in _parts(mvcc.base(), _PER_CHUNK):
        yield _BASE, _encode(kvs)
    changed = (change.kv for entry in mvcc.kept() for change in changes_of(entry))
    for kvs in _parts(changed, _PER_CHUNK):
        yield _CHANGES, _encode(kvs)
    yield _END, b""


def _parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


# ------------------------------------------------------------------------------------------------------ reading


def restore(data: bytes, limits: Limits) -> State:
    """The state that a snapshot holds; raises `ValueError` saying what is wrong with the bytes."""
    bodies = _read(data)
    try:
        kind, body = next(bodies)
        if kind != _HEAD:
            raise ValueError(f"the snapshot starts with {_NAMES[kind]}")
        head = _decode_head(body)
        lease_rows: list[_LeaseRow] = []
        session_rows: list[_SessionRow] = []
        auth = Auth()
        base: list[KeyValue] = []
        changes: list[KeyValue] = []
        for kind, body in bodies:
            if kind == _LEASES:
                lease_rows += _decode_leases(body)
            elif kind == _SESSIONS:
                session_rows += _decode_sessions(body)
            elif kind == _AUTH:
                auth = Auth.from_image(body)
            elif kind == _BASE:
                base += _decode_kvs(body)
            elif kind == _CHANGES:
                changes += _decode_kvs(body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the snapshot's {_NAMES[kind]} cannot be read: {error}") from error
    mvcc = Mvcc.rebuild(head.compact_revision, base, iter(changes))
    if mvcc.revision != head.revision:
        raise ValueError(f"the snapshot says revision {head.revision}, but its changes end at {mvcc.revision}")
    leases = Leases((Lease(row.id, row.ttl_ms, row.deadline_ms, set()) for row in lease_rows), head.next_lease)
    for kv in mvcc.current.values():
        if kv.lease:
            lease = leases.by_id.get(kv.lease)
            if lease is None:
                raise ValueError(f"the snapshot has a key of lease {kv.lease}, but not the lease")
            lease.keys.add(kv.key)
    sessions = Sessions(limits, map(_session, session_rows), head.next_session)
    return State(mvcc, leases, sessions, auth, head.applied, head.time_ms, head.settings, head.full)


def _session(row: _SessionRow) -> Session:
    session = Session(row.id, row.seen_ms, row.owner)
    session.floor = row.floor
    session.results = dict(row.results)
    return session


def _read(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """The checked chunks up to the end."""
    view = memoryview(data)
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("this is not a snapshot of a store")
    at = len(MAGIC) + 4
    version = int.from_bytes(view[len(MAGIC) : at], "big")
    if len(data) < at or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(f"the snapshot has format version {version}; this release knows up to {FORMAT_VERSION}")
    checksum = kind = 0
    while kind != _END:
        size = int.from_bytes(view[at + 1 : at + 5], "big")
        end = at + 5 + size
        if len(data) < end + 8:
            raise ValueError(f"the snapshot is cut off at byte {len(data)}")
        before, kind = kind, data[at]
        body = view[at + 5 : end]
        checksum = _checksum(kind, body, checksum)
        if checksum != int.from_bytes(view[end : end + 8], "big"):
            raise ValueError(f"the snapshot is damaged between byte {at} and {end + 8}: wrong checksum")
        if kind not in _NAMES or kind < before:
            raise ValueError(f"the snapshot has a chunk of kind {kind} after one of kind {before}")
        yield kind, body
        at = end + 8
    if at != len(data):
        raise ValueError(f"the snapshot ends at byte {at}, but {len(data) - at} bytes follow")
