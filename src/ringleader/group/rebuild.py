"""Replacing the state by a snapshot that is durable here: the old one goes first, the new one is read in slices.

So two states never stand in memory together, and no turn takes long. A crash in the middle loses nothing: the file is
what a restart begins with anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from ringleader.group.bulk import BulkLane
from ringleader.group.shelf import Stored
from ringleader.log import LogCorruptError, SnapshotDecoder, snapshot_name
from ringleader.ports import Disk, Read
from ringleader.store.restoring import Restorer
from ringleader.store.store import Store

__all__ = ["Rebuild", "load"]

UNLOAD = 4000
"""Keys and changes let go of in one turn: about two milliseconds."""
READ_BYTES = 256 * 1024


class Rebuild:
    """One such replacement; `done(stored)` is called once the store has become the snapshot."""

    def __init__(
        self,
        group: int,
        stored: Stored,
        store: Store,
        lane: BulkLane,
        slice_bytes: int,
        done: Callable[[Stored], None],
    ) -> None:
        self._slice_bytes = slice_bytes
        self.stored = stored
        self._store = store
        self._lane = lane
        self._done = done
        self._decoder = SnapshotDecoder(snapshot_name(group, stored.meta.index))
        self._restorer = Restorer(store.limits)
        self._offset = 0
        self.over = False
        store.unload(0)
        lane.add([], self._unload)

    def _unload(self, _: bytes) -> None:
        if self.over:
            return
        if self._store.unload(UNLOAD):
            self._lane.add([], self._unload)
        else:
            self._read()

    def _read(self) -> None:
        self._lane.add([], self._load, Read(self._decoder.file, self._offset, self._slice_bytes))

    def _load(self, data: bytes) -> None:
        if self.over:
            return
        self._offset += len(data)
        try:
            for piece in self._decoder.feed(data):
                self._restorer.feed(piece)
            if not self._decoder.finished:
                if not data:
                    self._decoder.close()
                self._read()
                return
            state = self._restorer.finish()
        except ValueError as error:
            raise LogCorruptError(str(error), file=self._decoder.file, offset=self._decoder.good) from error
        self.over = True
        self._store.adopt(state)
        self._done(self.stored)

    def give_up(self) -> None:
        """A newer snapshot takes its place; the store stays unloaded."""
        self.over = True


def load(disk: Disk, decoder: SnapshotDecoder, store: Store) -> None:
    """At start-up: bring `store` to the snapshot in the decoder's file, a piece at a time.

    Raises `LogCorruptError`, `WrongIdentityError` or `OSError`.
    """
    restorer = Restorer(store.limits)
    offset = 0
    try:
        while data := disk.read(decoder.file, offset, READ_BYTES):
            offset += len(data)
            for piece in decoder.feed(data):
                restorer.feed(piece)
        decoder.close()
        store.adopt(restorer.finish())
    except ValueError as error:
        raise LogCorruptError(str(error), file=decoder.file, offset=decoder.good) from error
