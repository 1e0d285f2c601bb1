"""The chunks of a snapshot as they come in, each checked before anybody believes it.

See `store.snapshot` for the layout. What is wrong is said by `ValueError`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ringleader.store.snapshot import END, FORMAT_VERSION, HEAD, KINDS, MAGIC, checksum

__all__ = ["ChunkReader", "split"]

_START = len(MAGIC) + 4


class ChunkReader:
    """Give it every piece in order, as `snapshot.pieces` made it (or `split`), then `finish`."""

    def __init__(self) -> None:
        self._started = False
        self._kind = 0
        self._check = 0

    def read(self, piece: bytes | memoryview) -> tuple[int, memoryview] | None:
        """The kind and the body of the chunk; None for the very first piece. Raises `ValueError` saying what is wrong."""
        if not self._started:
            _check_start(piece)
            self._started = True
            return None
        before, kind = self._kind, piece[0] if len(piece) >= 13 else 0
        if before == END or len(piece) != 13 + int.from_bytes(piece[1:5], "big"):
            raise ValueError(f"the snapshot has a piece of {len(piece)} bytes where none of that size can be")
        body = memoryview(piece)[5:-8]
        self._check = checksum(kind, body, self._check)
        if self._check != int.from_bytes(piece[-8:], "big"):
            raise ValueError("the snapshot is damaged: wrong checksum")
        if kind not in KINDS or kind < before:
            raise ValueError(f"the snapshot has a chunk of kind {kind} after one of kind {before}")
        if (kind == HEAD) != (not before):
            raise ValueError(f"the snapshot has {KINDS[kind]} where the head belongs, or a second head")
        self._kind = kind
        return kind, body

    def finish(self) -> None:
        """There are no more pieces. Raises `ValueError` when there should be."""
        if self._kind != END:
            raise ValueError("the snapshot is cut off")


def _check_start(piece: bytes | memoryview) -> None:
    if piece[: len(MAGIC)] != MAGIC:
        raise ValueError("this is not a snapshot of a store")
    version = int.from_bytes(piece[len(MAGIC) : _START], "big")
    if len(piece) != _START or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(f"the snapshot has format version {version}; this release knows up to {FORMAT_VERSION}")


def split(data: bytes) -> Iterator[memoryview]:
    """The pieces of a whole snapshot. Raises `ValueError` when they do not add up to it."""
    view = memoryview(data)
    yield view[:_START]
    at, kind = _START, 0
    while kind != END:
        end = at + 13 + int.from_bytes(view[at + 1 : at + 5], "big")
        if len(data) < end:
            raise ValueError(f"the snapshot is cut off at byte {len(data)}")
        kind = data[at]
        yield view[at:end]
        at = end
    if at != len(data):
        raise ValueError(f"the snapshot ends at byte {at}, but {len(data) - at} bytes follow")
