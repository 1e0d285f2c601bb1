"""From the pieces of a snapshot back to a state, one piece at a time and never the whole in memory twice.

See `store.snapshot` for the layout. `Restorer` checks every piece before it believes it; what is wrong is said by
`ValueError`.
"""

from __future__ import annotations

import msgspec

from ringleader.store.auth import Auth
from ringleader.store.chunks import ChunkReader
from ringleader.store.commands import KeyValue
from ringleader.store.lease import Lease, Leases
from ringleader.store.limits import Limits
from ringleader.store.members import Members
from ringleader.store.mvcc import Mvcc
from ringleader.store.session import Session, Sessions
from ringleader.store.snapshot import (
    AUTH,
    BASE,
    CHANGES,
    HEAD,
    KINDS,
    LEASES,
    MEMBERS,
    SESSIONS,
    Head,
    LeaseRow,
    SessionRow,
    State,
)

__all__ = ["Restorer"]

_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_leases = msgspec.msgpack.Decoder(list[LeaseRow]).decode
_decode_sessions = msgspec.msgpack.Decoder(list[SessionRow]).decode
_decode_kvs = msgspec.msgpack.Decoder(list[KeyValue]).decode


class Restorer:
    """`feed` it every piece in order, then `finish`. What it was fed is not kept."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reader = ChunkReader()
        self._head: Head | None = None
        self._mvcc = Mvcc()
        self._leases: dict[int, Lease] = {}
        self._ended: dict[int, Lease] = {}  # leases that only past versions name
        self._sessions: list[Session] = []
        self._auth = Auth()
        self._members = Members(limits)

    def feed(self, piece: bytes | memoryview) -> None:
        """Take one piece as `snapshot.pieces` gave it (or `split`). Raises `ValueError` saying what is wrong."""
        chunk = self._reader.read(piece)
        if chunk is None:
            return
        kind, body = chunk
        try:
            self._take(kind, body)
        except ValueError as error:
            raise ValueError(f"the snapshot's {KINDS[kind]} cannot be read: {error}") from error

    def _take(self, kind: int, body: memoryview) -> None:
        if kind == HEAD:
            self._head = _decode_head(body)
            self._mvcc = Mvcc.empty(self._head.compact_revision)
        elif kind == LEASES:
            for row in _decode_leases(body):
                self._leases[row.id] = Lease(row.id, row.ttl_ms, row.deadline_ms, set(), row.owner)
        elif kind == SESSIONS:
            self._sessions += map(_session, _decode_sessions(body))
        elif kind == AUTH:
            self._auth = Auth.from_image(body)
        elif kind == MEMBERS:
            self._members = Members.from_image(self._limits, body)
        elif kind == BASE:
            kvs = _decode_kvs(body)
            self._mvcc.load_base(kvs)
            for kv in kvs:
                if kv.lease:
                    self._lease(kv.lease).keys.add(kv.key)
        elif kind == CHANGES:
            for kv in _decode_kvs(body):
                prev = self._mvcc.load_change(kv)
                if prev is not None and prev.lease and prev.lease != kv.lease:
                    self._lease(prev.lease).keys.discard(kv.key)
                if kv.lease:
                    self._lease(kv.lease).keys.add(kv.key)

    def _lease(self, id: int) -> Lease:
        """The lease of a version, which may have ended since."""
        return self._leases.get(id) or self._ended.setdefault(id, Lease(id, 0, 0, set()))

    def finish(self) -> State:
        """The state. Raises `ValueError` when something is missing."""
        self._reader.finish()
        head = self._head
        assert head is not None, "the head comes first"
        self._mvcc.loaded(head.revision)
        for lease in self._ended.values():
            if lease.keys:
                raise ValueError(f"the snapshot has a key of lease {lease.id}, but not the lease")
        leases = Leases(self._leases.values(), head.next_lease)
        sessions = Sessions(self._limits, self._sessions, head.next_session)
        members = self._members
        return State(
            self._mvcc,
            leases,
            sessions,
            self._auth,
            members,
            head.applied,
            head.time_ms,
            head.settings,
            head.full,
            head.version,
        )


def _session(row: SessionRow) -> Session:
    session = Session(row.id, row.seen_ms, row.owner)
    session.floor = row.floor
    session.results = dict(row.results)
    return session
