"""Damage to what is durable while a node is down: a flipped bit, a lost sector, a sector that belongs elsewhere.

Only *guarded* bytes are damaged: those whose loss the log can notice. The last batches of the newest segment are not, since
nothing on the disk says yet that they were durable: no log of this kind can tell their damage from a torn write (Alagappan
et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018), which is why clusters keep several copies. Of
all else, the list of members included, the node must refuse to start, naming the file; then the bytes are put back, as an
operator would from a copy.

What is there of a snapshot that was on its way is no such thing: nothing rests on it yet. A node with a damaged part must
start all the same, and never use what is damaged.
"""

from __future__ import annotations

import msgspec

from ringleader.group.roster import ROSTER_FILE
from ringleader.log.format import decode_batch, decode_header, segment_number, segment_seed
from ringleader.sim.choice import Choice
from ringleader.sim.disk import SECTOR, SimDisk

__all__ = ["Damage", "damage", "guarded", "parts"]

PART = ".part"


class Damage(msgspec.Struct):
    """What was done: `length` bytes at `offset` of `name` are no longer `before`."""

    name: str
    offset: int
    before: bytes
    what: str

    def __str__(self) -> str:
        return f"{self.what} at {self.offset} of {self.name}"

    @property
    def harmless(self) -> bool:
        """Whether the node must start in spite of it."""
        return self.name.endswith(PART)


def guarded(disk: SimDisk) -> dict[str, int]:
    """How many bytes from the start of each file are guarded."""
    segments = sorted(name for name in disk.names() if segment_number(name) is not None)
    whole = [name for name in disk.names() if name == ROSTER_FILE or (name.startswith("snap") and "." not in name)]
    sizes = {name: disk.size(name) for name in whole}
    for name in segments:
        sizes[name] = _guarded_batches(disk.read(name), newest=name == segments[-1])
    return {name: size for name, size in sizes.items() if size}


def _guarded_batches(data: bytes, *, newest: bool) -> int:
    """The end of the last batch of a segment of which a later batch, or a later segment, says that it was durable."""
    _, header, offset = decode_header(data)
    if header is None:
        return 0
    seed = segment_seed(header.identity(), header.number)
    ends: dict[int, int] = {}
    durable, end = header.base - 1, offset
    while (batch := decode_batch(data, end, seed)) is not None:
        end = ends[batch.position] = batch.end
        durable = max(durable, batch.durable)
    if not newest:
        return end
    return max([place for position, place in ends.items() if position <= durable], default=offset)


def parts(disk: SimDisk) -> dict[str, int]:
    """The sizes of what there is of snapshots that were on their way."""
    return {name: size for name in disk.names() if name.endswith(PART) and (size := disk.size(name))}


def damage(disk: SimDisk, choice: Choice, *, part: bool = False) -> Damage | None:
    """Damage some guarded bytes, or part of a snapshot; None when there are none, or when they happen to be what they were.

    Each sort of file is as likely as the others, however many there are of it. `part`: part of a snapshot, if there is any.
    """
    sizes = (part and parts(disk)) or {**guarded(disk), **parts(disk)}
    if not sizes:
        return None
    sort = choice.choice(sorted({_sort(name) for name in sizes}))
    name = choice.choice(sorted(name for name in sizes if _sort(name) == sort))
    size = sizes[name]
    offset = choice.randrange(size)
    kind = choice.choice(("a flipped bit", "a lost sector", "a sector from elsewhere"))
    if kind == "a flipped bit":
        before = disk.read(name, offset, 1)
        after = bytes([before[0] ^ 1 << choice.randrange(8)])
    else:
        offset -= offset % SECTOR
        before = disk.read(name, offset, min(SECTOR, size - offset))
        after = bytes(len(before))
        if kind == "a sector from elsewhere":
            other = choice.choice(sorted(sizes))
            place = choice.randrange(sizes[other])
            after = disk.read(other, place - place % SECTOR, len(before)).ljust(len(before), b"\0")
    if before == after:
        return None
    disk.overwrite(name, offset, after)
    return Damage(name, offset, before, kind)


def _sort(name: str) -> str:
    """A segment, a snapshot, part of one, or the list of members."""
    return PART if name.endswith(PART) else name.partition("-")[0]
