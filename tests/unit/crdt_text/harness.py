"""Random concurrent editing of one text by several replicas, each step compared with the naive Fugue.

`session(seed)` raises `AssertionError` (or whatever the code raises) when anything is not as it must be: it serves the
property tests, the hunt for seeded bugs and the soak.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

from ringleader.clock.version import VersionVector
from ringleader.crdt import ReplicaContext
from ringleader.crdt.text import Text
from ringleader.crdt.text.oplog import DELETE, INSERT, OpLog
from unit.crdt_text.fugue_oracle import FugueTree

DATA = Path(__file__).parents[2] / "data"
ALPHABET = "abcxyz \né€ß漢😀𝄞"


def load_json(name: str) -> Any:
    """A gzipped JSON file of `tests/data`."""
    with gzip.open(DATA / name) as file:
        return json.load(file)


def load_log(history: dict[str, Any]) -> OpLog:
    """A history in the format of eg-walker-reference as a log."""
    log = OpLog()
    for change in history["txns"]:
        start, end = change["span"]
        parents = tuple(sorted(change["parents"]))
        assert log.graph.add(change["agent"].encode(), change["seqStart"] + 1, end - start, parents) == start
        for position, removed, inserted in change["ops"]:
            if removed:
                log.push(DELETE, position, removed, "")
            if inserted:
                log.push(INSERT, position, len(inserted), inserted)
    return log


def patched(text: str, edits: list[Any]) -> str:
    """`text` after `edits`, which must fit."""
    for position, removed, inserted in edits:
        assert text[position : position + len(removed)] == removed
        text = text[:position] + inserted + text[position + len(removed) :]
    return text


class Session:
    """Replicas with a naive Fugue beside each."""

    def __init__(self, seed: int, replicas: int) -> None:
        self.random = random.Random(seed)
        self.texts = [Text(ReplicaContext(bytes((97 + i,)))) for i in range(replicas)]
        self.trees = [FugueTree(bytes((97 + i,))) for i in range(replicas)]
        self.past: list[tuple[VersionVector, str]] = []

    def step(self) -> None:
        """One edit, or one message between two replicas."""
        i = self.random.randrange(len(self.texts))
        text, tree = self.texts[i], self.trees[i]
        choice = self.random.random()
        if choice < 0.45 or (not text and choice < 0.7):
            self._insert(text, tree)
        elif choice < 0.6:
            at = self.random.randrange(len(text))
            count = min(len(text) - at, self.random.choice((1, 1, 2, 3)))
            text.delete(at, count)
            for _ in range(count):
                tree.delete(at)
        elif choice < 0.68:
            at = self.random.randint(0, len(text))
            while at > 0 and self.random.random() < 0.7:  # the backspace key
                at -= 1
                text.delete(at)
                tree.delete(at)
                if self.random.random() < 0.3:  # somebody hears half of the run, and edits
                    other = (i + 1) % len(self.texts)
                    self._send(other)
                    self._insert(self.texts[other], self.trees[other])
        else:
            self._send(i)
        assert str(text) == tree.text()
        if self.random.random() < 0.2:
            self.past.append((text.version, str(text)))

    def _insert(self, text: Text, tree: FugueTree) -> None:
        at = self.random.randint(0, len(text))
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            char = self.random.choice(ALPHABET)
            text.insert(at, char)
            tree.insert(at, char)
            at += self.random.random() < 0.8

    def _send(self, to: int) -> None:
        sender = self.random.randrange(len(self.texts))
        if sender == to:
            return
        text = self.texts[to]
        if self.random.random() < 0.5:
            text.merge(self.texts[sender])
        else:
            since = text.version
            if self.past and self.random.random() < 0.3:
                since = since.meet(self.random.choice(self.past)[0])  # told again what is known in part
            delta = self.texts[sender].delta_since(since).encode()
            text.apply(delta)
            assert not text.apply(delta), "the same delta again was taken for news"
        self.trees[to].merge(self.trees[sender])

    def settle(self) -> None:
        """Everybody hears everything; then all must be the same, to the byte, and the past still known."""
        for i, text in enumerate(self.texts):
            for j, other in enumerate(self.texts):
                if i != j:
                    text.merge(other)
                    self.trees[i].merge(self.trees[j])
        first = self.texts[0]
        data = first.encode()
        loaded = Text.decode(data)
        for text, tree in zip(self.texts, self.trees, strict=True):
            assert str(text) == tree.text() == str(first)
            assert text.encode() == data
            assert text.verify()
        assert str(loaded) == str(first)
        assert loaded.encode() == data
        for version, then in self.past[-6:]:
            assert first.at(version) == then
            assert loaded.at(version) == then
        for a, before in self.past[:3]:
            for b, after in self.past[-3:]:
                assert patched(before, self.texts[-1].diff(a, b)) == after


def session(seed: int, steps: int = 50, replicas: int = 3) -> None:
    """One whole session of random editing."""
    running = Session(seed, replicas)
    for _ in range(steps):
        running.step()
    running.settle()


def live(seed: int, steps: int = 60, writers: int = 3) -> None:
    """People who type on at their cursors while a listener hears every key at once, and they hear it only now and then.

    The listener types too, often right behind what it has just heard: there the typist goes on at the same time.
    """
    running = Session(seed, writers + 1)
    chance = running.random
    texts, trees = running.texts, running.trees
    cursors = [0] * (writers + 1)

    def key(who: int, at: int, char: str) -> None:
        texts[who].insert(at, char)
        trees[who].insert(at, char)
        cursors[who] = at + 1

    def hear(who: int, of: int) -> None:
        if chance.random() < 0.5:
            texts[who].merge(texts[of])
        else:
            texts[who].apply(texts[of].delta_since(texts[who].version).encode())
        trees[who].merge(trees[of])
        assert str(texts[who]) == trees[who].text()

    for _ in range(steps):
        who = chance.randrange(writers)
        at = min(cursors[who], len(texts[who]))
        choice = chance.random()
        if choice < 0.08:
            hear(who, writers)
            cursors[who] = chance.randint(0, len(texts[who]))
        elif choice < 0.25 and at:
            texts[who].delete(at - 1)
            trees[who].delete(at - 1)
            cursors[who] = at - 1
        else:
            if choice < 0.35:
                at = chance.randint(0, len(texts[who]))
            key(who, at, chance.choice(ALPHABET))
        if chance.random() < 0.85:
            hear(writers, who)
            if chance.random() < 0.3:  # and types on behind a character, which somebody hears
                key(writers, chance.randint(0, len(texts[writers])), chance.choice(ALPHABET))
                if chance.random() < 0.3:
                    hear(chance.randrange(writers), writers)
    running.settle()
