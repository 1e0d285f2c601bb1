"""A naive Fugue, written from the paper alone, to compare the event-graph walker with.

Weidner & Kleppmann, "The Art of the Fugue: Minimizing Interleaving in Collaborative Text Editing" (2023), algorithm 1:
a tree of elements; an element is a left or a right child of another; the list is the in-order walk; siblings are
ordered by id; removed elements stay as tombstones. It shares no code and no data structure with `ringleader.crdt.text`.
"""

from __future__ import annotations

Id = tuple[bytes, int]
ROOT: Id = (b"", 0)


class FugueTree:
    """One replica: every operation it made or received, as messages that carry tree places rather than positions."""

    def __init__(self, replica: bytes) -> None:
        self.replica = replica
        self.count = 0
        self.value: dict[Id, str | None] = {ROOT: None}  # None: removed
        self.sides: dict[Id, tuple[list[Id], list[Id]]] = {ROOT: ([], [])}
        self.log: list[tuple[str, Id, Id, int, str]] = []
        self.seen: set[tuple[str, Id, Id]] = set()

    def walk(self) -> list[Id]:
        """All elements in order, the root and tombstones included."""
        order: list[Id] = []
        stack: list[tuple[Id, bool]] = [(ROOT, False)]
        while stack:
            node, opened = stack.pop()
            if opened:
                order.append(node)
                continue
            left, right = self.sides[node]
            stack += [(child, False) for child in reversed(right)]
            stack.append((node, True))
            stack += [(child, False) for child in reversed(left)]
        return order

    def text(self) -> str:
        """The visible characters."""
        return "".join(self.value[node] or "" for node in self.walk())

    def insert(self, index: int, char: str) -> None:
        """Insert one character at `index`."""
        order = self.walk()
        visible = [node for node in order if self.value[node] is not None]
        left = ROOT if index == 0 else visible[index - 1]
        self.count += 1
        new = (self.replica, self.count)
        if self.sides[left][1]:  # it has right children: become a left child of what comes next
            self._apply(("insert", new, order[order.index(left) + 1], 0, char))
        else:
            self._apply(("insert", new, left, 1, char))

    def delete(self, index: int) -> None:
        """Remove the character at `index`."""
        visible = [node for node in self.walk() if self.value[node] is not None]
        self.count += 1
        self._apply(("delete", (self.replica, self.count), visible[index], 0, ""))

    def _apply(self, message: tuple[str, Id, Id, int, str]) -> None:
        kind, new, target, side, char = message
        if message[:3] in self.seen:
            return
        self.seen.add(message[:3])
        self.log.append(message)
        if kind == "delete":
            self.value[target] = None
            return
        self.value[new] = char
        self.sides[new] = ([], [])
        siblings = self.sides[target][side]
        siblings.append(new)
        siblings.sort()

    def merge(self, other: FugueTree) -> None:
        """Receive all that `other` has; its log is in causal order."""
        for message in other.log:
            self._apply(message)
