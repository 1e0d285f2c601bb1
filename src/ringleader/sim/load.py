"""What a simulated client asks for: single-key reads and writes of values never written before, and watches.

Every call is drawn from a number of its own, so that leaving one out (as a shrinker does) changes none of the others.
"""

from __future__ import annotations

from typing import Any

from ringleader.sim.choice import Choice
from ringleader.sim.options import LoadOptions
from ringleader.sim.watching import Wish
from ringleader.store.commands import Command, Compare, Delete, Put, Range, Txn

__all__ = ["Load"]

FAR = 100
"""How many revisions in the future a watch may begin."""


class Load:
    """The calls of client `place`. `known`: the last value seen of each key, which compare-and-set compares with."""

    def __init__(self, options: LoadOptions, place: int) -> None:
        self.options = options
        self.place = place
        self.known: dict[bytes, bytes] = {}
        self.written = 0

    def key(self, choice: Choice) -> bytes:
        """One of the keys that all clients share."""
        return b"k%d" % choice.randrange(self.options.keys)

    def unique(self, choice: Choice) -> bytes:
        """A value that nobody has written."""
        self.written += 1
        value = b"c%d.%d" % (self.place + 1, self.written)
        padding = self.options.padding
        return value + b"." * choice.randrange(padding) if padding else value

    def write(self, choice: Choice, key: bytes) -> Command:
        """A put, a compare-and-set, or a delete."""
        kind = choice.random()
        if kind < 0.12:
            return Delete(key)
        value = self.unique(choice)
        if kind < 0.6:
            return Put(key, value)
        known = self.known.get(key)
        compare = Compare(key, "version", "=", 0) if known is None else Compare(key, "value", "=", known)
        return Txn([compare], [Put(key, value)], [Range(key)])

    def learn(self, op: Any, result: Any) -> None:
        """What an answer says of a key."""
        if type(op) is Put:
            self.known[op.key] = op.value
        elif type(op) is Range:
            self._saw(op.key, result)
        elif type(op) is Txn:
            put = op.success[0]
            assert isinstance(put, Put)
            if result.succeeded:
                self.known[put.key] = put.value
            else:
                self._saw(put.key, result.results[0])
        elif type(op) is Delete:
            self.known.pop(op.key, None)

    def _saw(self, key: bytes, result: Any) -> None:
        if result.kvs:
            self.known[key] = result.kvs[0].value
        else:
            self.known.pop(key, None)

    def wish(self, choice: Choice, newest: int) -> Wish:
        """A watch of some keys or one, from the past (perhaps a compacted one), from now, or from the future on."""
        kind, when, how = choice.random(), choice.random(), choice.random()
        start = 0
        if when < 0.6:
            start = choice.randrange(1, newest + 1)
        elif when < 0.75:
            start = newest + choice.randrange(1, FAR)
        prev_kv, no_put, no_delete = how < 0.4, 0.8 < how < 0.85, how >= 0.9
        if kind < 0.5:
            return Wish(b"k", b"z", start, prev_kv, no_put, no_delete)
        if kind < 0.7:
            return Wish(b"l", b"m", start, prev_kv, no_put, no_delete)
        if kind < 0.8:
            return Wish(b"k1", b"l1", start, prev_kv, no_put, no_delete)
        return Wish(self.key(choice), b"", start, prev_kv, no_put, no_delete)
