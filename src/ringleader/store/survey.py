"""What a snapshot holds, told from its pieces as they pass: nothing of the keys has to be kept in memory.

Every chunk is checked (`store.chunks`), every row is read, and the changes have to follow one another.
"""

from __future__ import annotations

import msgspec

from ringleader.store.auth import Auth
from ringleader.store.chunks import ChunkReader
from ringleader.store.commands import KeyValue
from ringleader.store.mvcc import VERSION_BYTES
from ringleader.store.snapshot import AUTH, BASE, CHANGES, HEAD, LEASES, Head, LeaseRow

__all__ = ["Survey"]

_head = msgspec.msgpack.Decoder(Head).decode
_leases = msgspec.msgpack.Decoder(list[LeaseRow]).decode
_kvs = msgspec.msgpack.Decoder(list[KeyValue]).decode


class Survey:
    """`feed` it every piece in order, then `finish`; then it is known: `head`, how many live `keys`, `leases`, `used_bytes`.

    With `keep` the small tables are kept, and what the changes of the kept history (never the base) left of each key:
    `lease_rows`, `auth` (its image), `changed` (`version` 0: deleted).
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.keys = self.leases = self.used_bytes = 0
        self.lease_rows: list[LeaseRow] = []
        self.auth = b""
        self.changed: dict[bytes, KeyValue] = {}
        self._keep = keep
        self._head: Head | None = None
        self._reader = ChunkReader()
        self._revision = 0

    @property
    def head(self) -> Head:
        """Where the state stands; known after the first chunk."""
        assert self._head is not None, "nothing was fed"
        return self._head

    def feed(self, piece: bytes | memoryview) -> None:
        """Take one piece. Raises `ValueError` saying what is wrong."""
        chunk = self._reader.read(piece)
        if chunk is None:
            return
        kind, body = chunk
        try:
            self._take(kind, body)
        except ValueError as error:
            raise ValueError(f"the snapshot cannot be read: {error}") from error

    def _take(self, kind: int, body: memoryview) -> None:
        if kind == HEAD:
            self._head = _head(body)
        elif kind == LEASES:
            rows = _leases(body)
            self.leases += len(rows)
            if self._keep:
                self.lease_rows += rows
        elif kind == AUTH:
            Auth.from_image(body)
            self.auth = bytes(body)
        elif kind == BASE:
            rows_ = _kvs(body)
            self.keys += len(rows_)
            self.used_bytes += sum(VERSION_BYTES + len(kv.key) + len(kv.value) for kv in rows_)
        elif kind == CHANGES:
            for kv in _kvs(body):
                self._change(kv)

    def _change(self, kv: KeyValue) -> None:
        if not self._revision <= kv.mod_revision <= self.head.revision:
            raise ValueError(f"change of revision {kv.mod_revision} follows revision {self._revision}")
        self._revision = kv.mod_revision
        # What a change at the compacted revision replaced is not in the base, and what it deleted counts no more.
        first = kv.mod_revision == self.head.compact_revision
        if kv.version or not first:
            self.used_bytes += VERSION_BYTES + len(kv.key) + len(kv.value)
        if kv.version == 1 or (kv.version and first):
            self.keys += 1
        elif not kv.version and not first:
            self.keys -= 1
        if self._keep:
            self.changed[kv.key] = kv

    def finish(self) -> None:
        """There are no more pieces. Raises `ValueError` when something is missing."""
        self._reader.finish()
