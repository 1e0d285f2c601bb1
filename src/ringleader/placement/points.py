"""Where a node's points lie on the circle: one in each of `vnodes` equal strata, at a random place that its name decides.

A point for every stratum (stratified sampling) leaves the order of the nodes within a stratum as random as points thrown
anywhere, so a ring balances no worse, and to put all points in order it is enough to sort stratum by stratum: half the
work. A node of weight w has round(w * vnodes) points: whole layers of one point per stratum, then a part of a layer,
taken from a stratum of its own in steps of the golden section, so that any part is spread over the circle and nodes
with parts of layers do not crowd the same strata. A change of weight only adds or takes away points, and a point depends
on nothing but its own node.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterator
from itertools import chain
from math import gcd

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import name_seed
from ringleader.placement.keys import SPACE
from ringleader.placement.node import Node

__all__ = ["MAX_POINTS", "check_points", "checked_vnodes", "node_points", "point_count", "sorted_points"]

MAX_POINTS = 1 << 23


def checked_vnodes(vnodes: object) -> int:
    """`vnodes` as an int within bounds, or a `UsageError`."""
    if isinstance(vnodes, bool) or not isinstance(vnodes, int) or not 1 <= vnodes <= MAX_POINTS:
        raise UsageError(
            f"vnodes must be an int from 1 to {MAX_POINTS}, not {vnodes!r}", reason=Reason.INVALID_ARGUMENT
        )
    return vnodes


def point_count(node: Node, vnodes: int) -> int:
    """How many points a node gets: at least one, so that a low weight never loses a node altogether."""
    return vnodes if node.weight == 1.0 else max(1, round(node.weight * vnodes))


def check_points(nodes: tuple[Node, ...], vnodes: int) -> None:
    """Raises `UsageError` when the weights ask for more points than a ring may have."""
    total = sum(point_count(n, vnodes) for n in nodes)
    if total > MAX_POINTS:
        heaviest = max(nodes, key=lambda n: n.weight)
        raise UsageError(
            f"{total} points are too many for one ring (at most {MAX_POINTS}); the heaviest node is {heaviest.name!r}"
            f" with weight {heaviest.weight:g}",
            reason=Reason.TOO_LARGE,
            hint="Scale the weights so that an ordinary node has 1.0, or use fewer vnodes",
        )


def _start(stratum: int, vnodes: int) -> int:
    """Where a stratum begins. Points are even, so that half of one plus half of another is their exact middle."""
    return (stratum << 64) // vnodes & ~1


def _scale(vnodes: int) -> int:
    """A point's place in its stratum is a 32-bit word times this."""
    return SPACE // vnodes >> 32 & ~1


def _words(node: Node, layers: int, vnodes: int) -> bytes:
    """Four bytes (little-endian) for every stratum of the node's first layers (XOF: more begin with the fewer)."""
    name = node.name.encode("utf-8", "surrogatepass")
    return hashlib.shake_128(name, usedforsecurity=False).digest(4 * layers * vnodes)


def _part(node: Node, size: int, vnodes: int) -> Iterator[int]:
    """The first `size` strata of a layer that is not whole."""
    step = max(1, round(vnodes * 0.6180339887498949))
    while gcd(step, vnodes) > 1:
        step += 1
    at = name_seed(node.name) % vnodes
    for _ in range(size):
        yield at
        at = (at + step) % vnodes


def node_points(node: Node, vnodes: int) -> list[int]:
    """One node's points in order: what `sorted_points` gives for it."""
    whole, part = divmod(point_count(node, vnodes), vnodes)
    words = struct.unpack(f"<{(whole + (part > 0)) * vnodes}I", _words(node, whole + (part > 0), vnodes))
    scale = _scale(vnodes)
    strata = chain((k for _ in range(whole) for k in range(vnodes)), _part(node, part, vnodes))
    first = chain(range(whole * vnodes), (whole * vnodes + k for k in _part(node, part, vnodes)))
    return sorted(_start(k, vnodes) + words[j] * scale for k, j in zip(strata, first, strict=True))


def sorted_points(nodes: tuple[Node, ...], vnodes: int) -> tuple[array[int], array[int]]:
    """All points in order (uint64) with their owners (uint16); equal points in the order of `nodes`.

    A word (32 bits) and its owner (16) are sorted as the mantissa of one float: Python sorts floats about twice as fast
    as large ints. Bytes are put in place and read for all points at once, plane by plane.
    """
    streams: list[bytes] = []  # whole layers, one after the other
    numbers: list[bytes] = []  # their owners, one for each word
    parts: list[tuple[int, Node, int, bytes]] = []
    for i, node in enumerate(nodes):
        whole, part = divmod(point_count(node, vnodes), vnodes)
        words = _words(node, whole + (part > 0), vnodes)
        cut = 4 * whole * vnodes
        numbers.append(i.to_bytes(2, "little") * (whole * vnodes))
        if part:
            parts.append((i, node, part, words[cut:]))
            words = words[:cut]
        streams.append(words)
    table = _floats(b"".join(streams), b"".join(numbers))
    if parts:
        extra: list[list[float]] = [[] for _ in range(vnodes)]
        for i, node, part, words in parts:
            layer = _floats(words, i.to_bytes(2, "little") * vnodes)
            for k in _part(node, part, vnodes):
                extra[k].append(layer[k])
        columns = (sorted(chain(table[k::vnodes], extra[k])) for k in range(vnodes))
    else:
        columns = (sorted(table[k::vnodes]) for k in range(vnodes))
    ordered: list[bytes] = []
    starts: list[bytes] = []
    for k, column in enumerate(columns):  # packed at once, as long as the floats are in the processor's cache
        ordered.append(struct.pack(f"<{len(column)}d", *column))  # three times as fast as array("d", column)
        starts.append(_start(k, vnodes).to_bytes(8, "little") * len(column))
    return _places(b"".join(ordered), b"".join(starts), _scale(vnodes))


def _floats(words: bytes, owners: bytes) -> array[float]:
    """Floats in [1, 2) whose mantissas hold, from the top, four zero bits, a word of 32 bits and an owner of 16."""
    packed = bytearray(b"\0\0\0\0\0\0\xf0\x3f" * (len(owners) // 2))
    packed[0::8], packed[1::8] = owners[0::2], owners[1::2]
    for plane in range(4):
        packed[plane + 2 :: 8] = words[plane::4]
    out = array("d", bytes(packed))
    if sys.byteorder == "big":
        out.byteswap()
    return out


def _places(packed: bytes, starts: bytes, scale: int) -> tuple[array[int], array[int]]:
    """Points and owners from ordered floats; `starts` holds the start of each one's stratum (8 bytes for each)."""
    count = len(packed) // 8
    owners = bytearray(2 * count)
    owners[0::2], owners[1::2] = packed[0::8], packed[1::8]
    words = int.from_bytes(packed, "little") >> 16 & _lanes((1 << 32) - 1, count)
    points = words * scale + int.from_bytes(starts, "little")  # lane by lane: a word times the scale fits into one
    out = array("Q", points.to_bytes(8 * count, sys.byteorder))
    numbers = array("H", bytes(owners))
    if sys.byteorder == "big":
        out.reverse()
        numbers.byteswap()
    return out, numbers


def _lanes(value: int, count: int) -> int:
    """A long integer of `count` 64-bit lanes that all hold `value`."""
    return int.from_bytes(value.to_bytes(8, "little") * count, "little")
