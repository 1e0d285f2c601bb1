"""The text itself, cut into chunks so that an edit in the middle of a long text moves only a little.

Chunks of up to 2,000 characters stand in blocks of up to 64 chunks, each with its length: a position is found by
stepping over blocks, then over chunks. Local edits are mostly runs, so `Text` gathers a run before it comes here.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Rope"]

_CHUNK = 2000  # characters; larger chunks make an edit copy more, smaller ones make the search longer
_BLOCK = 64  # chunks


class Rope:
    """A mutable string of code points. Positions must be valid: the callers have checked them."""

    __slots__ = ("_blocks", "_lengths", "length")

    def __init__(self, text: str = "") -> None:
        pieces = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)] or [""]
        half = _BLOCK // 2
        self._blocks = [pieces[at : at + half] for at in range(0, len(pieces), half)]
        self._lengths = [sum(map(len, block)) for block in self._blocks]
        self.length = len(text)

    def __str__(self) -> str:
        return "".join(["".join(block) for block in self._blocks])

    def _find(self, position: int) -> tuple[int, int, int]:
        """Block, chunk and offset of `position`; the end of a chunk rather than the start of the next."""
        row = 0
        last = len(self._lengths) - 1
        for length in self._lengths:
            if position <= length or row == last:
                break
            position -= length
            row += 1
        block = self._blocks[row]
        at = 0
        for chunk in block:
            if position <= len(chunk):
                break
            position -= len(chunk)
            at += 1
        return row, at, position

    def insert(self, position: int, text: str) -> None:
        """Insert `text` before `position`."""
        row, at, offset = self._find(position)
        block = self._blocks[row]
        chunk = block[at]
        chunk = chunk[:offset] + text + chunk[offset:]
        self.length += len(text)
        self._lengths[row] += len(text)
        if len(chunk) <= _CHUNK:
            block[at] = chunk
            return
        half = _CHUNK // 2
        block[at : at + 1] = [chunk[i : i + half] for i in range(0, len(chunk), half)]
        if len(block) > _BLOCK:
            size = _BLOCK // 2
            parts = [block[i : i + size] for i in range(0, len(block), size)]
            self._blocks[row : row + 1] = parts
            self._lengths[row : row + 1] = [sum(map(len, part)) for part in parts]

    def delete(self, position: int, count: int) -> None:
        """Remove `count` characters from `position` on."""
        self.length -= count
        row, at, offset = self._find(position)
        while count:
            block = self._blocks[row]
            if at == len(block):
                row, at = row + 1, 0
                continue
            chunk = block[at]
            taken = min(count, len(chunk) - offset)
            if taken == len(chunk) and (len(block) > 1 or len(self._blocks) > 1):
                del block[at]
            else:
                block[at] = chunk[:offset] + chunk[offset + taken :]
                at += 1
            self._lengths[row] -= taken
            count -= taken
            offset = 0
            if not block:
                del self._blocks[row]
                del self._lengths[row]
                at = 0
        if not self._blocks:
            self._blocks, self._lengths = [[""]], [0]

    def slice(self, start: int, end: int) -> str:
        """The characters `[start, end)`."""
        if start >= end:
            return ""
        row, at, offset = self._find(start)
        parts: list[str] = []
        need = end - start
        while need > 0:
            block = self._blocks[row]
            if at == len(block):
                row, at = row + 1, 0
                continue
            part = block[at][offset : offset + need]
            parts.append(part)
            need -= len(part)
            offset = 0
            at += 1
        return "".join(parts)

    def chunks(self) -> Iterator[str]:
        """The chunks in order, for those that go through the text without joining it."""
        for block in self._blocks:
            yield from block
