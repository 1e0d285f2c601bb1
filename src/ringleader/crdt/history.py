"""The past of a whole document, kept by choice: the document as it was at a version, and what changed between two.

Replicated types forget what is overwritten; that is why they stay small. Who wants to look back begins a history: from
then on the deltas by which the document changed are kept, with a whole state now and then to start from. Memory: each
change as its delta; at most `limit` of them, then the oldest go.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ringleader.clock.version import VersionVector
from ringleader.crdt.cells import Cells
from ringleader.crdt.delta import Delta
from ringleader.crdt.identity import GapError
from ringleader.crdt.places import Places
from ringleader.crdt.sequence.list import List
from ringleader.crdt.text.text import Text
from ringleader.crdt.values import brief, sort_keys, thaw
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.crdt.base import Crdt
    from ringleader.crdt.document import Document

__all__ = ["Difference", "History", "differences"]

CHECKPOINT = 500  # changes from one whole state to the next


class Difference(NamedTuple):
    """One difference between two versions. `path`: the keys from the root; in a list, the position (in the new one).

    `kind`: "added", "removed" (`path` has the old position), "changed", "edited" (a text), or "moved" (`old` and `new`
    are the positions). `old`, `new`: plain values, None where there is none.
    """

    kind: str
    path: tuple[Any, ...]
    old: Any
    new: Any


class History:
    """The changes of one document since this was made; `root.record_history()` makes it."""

    __slots__ = ("_changes", "_doc", "_states", "limit")

    def __init__(self, doc: Document, limit: int) -> None:
        if type(limit) is not int or limit < 1:
            raise UsageError(f"a history of at most {brief(limit)} changes", reason=Reason.INVALID_ARGUMENT)
        self._doc = doc
        self.limit = limit
        self._changes: list[Delta] = []
        self._states: list[tuple[int, Delta]] = [(0, doc.delta_since(None))]  # (changes before it, whole state)

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def begins(self) -> VersionVector:
        """The oldest version that can be looked at."""
        return self._states[0][1].upto.copy()

    def versions(self) -> Iterator[VersionVector]:
        """The versions this replica stood at, oldest first, the beginning included."""
        version = self.begins
        yield version
        for change in self._changes:
            version = version.join(change.upto)
            yield version

    def close(self) -> None:
        """Forget the history and keep none from now on."""
        self._doc.keep(None)

    def add(self, change: Delta) -> None:
        """Keep a change that was just made or joined (called by the document)."""
        self._changes.append(change)
        if len(self._changes) - self._states[-1][0] >= min(CHECKPOINT, self.limit):
            self._states.append((len(self._changes), self._doc.delta_since(None)))
        while len(self._changes) > self.limit and len(self._states) > 1:
            del self._states[0]
            gone = self._states[0][0]
            del self._changes[:gone]
            self._states = [(index - gone, state) for index, state in self._states]

    def at(self, version: VersionVector) -> Crdt:
        """A read-only copy of the document as it was at `version`.

        Raises `UsageError` for a version that is unknown here, older than the history, or that never stood here alone:
        what arrived in one message is one change.
        """
        if not self._doc.version.covers(version):
            raise UsageError("that version includes events that are not here", reason=Reason.FUTURE_REVISION)
        if not version.covers(self._states[0][1].upto):
            raise UsageError(
                f"that version is older than the history kept here, which begins at {self._states[0][1].upto!r}",
                reason=Reason.COMPACTED,
            )
        start, state = next(item for item in reversed(self._states) if version.covers(item[1].upto))
        copy = self._doc.blank_root()
        copy._doc.apply(state)
        for change in self._changes[start:]:
            if version.covers(change.upto):
                try:
                    copy._doc.apply(change)
                except GapError:
                    break  # it builds on part of a message that also brought later things
        if copy._doc.version != version:
            raise UsageError(
                f"the events of {version!r} came here together with others; the document never stood at that version",
                reason=Reason.INVALID_ARGUMENT,
                hint="Ask for a version that this replica had (history.versions())",
            )
        return copy


# ---- what is different -----------------------------------------------------------------------------------------


def differences(old: Crdt, new: Crdt, path: tuple[Any, ...] = ()) -> Iterator[Difference]:
    """What one has to do to `old` to get `new`, two copies of one place; in canonical order of keys."""
    if isinstance(old, List) and isinstance(new, List):
        yield from _in_lists(old, new, path)
    elif isinstance(old, Places):
        assert isinstance(new, Places)
        for key in sort_keys({**old._slots, **new._slots}):
            yield from _in_places(old._shown(key), new._shown(key), (*path, thaw(key)))
    elif isinstance(old, Cells):
        for key in sort_keys({**old._cells, **new._cells}):  # type: ignore[attr-defined]  # both are of one type
            yield from _in_cells(old, new, key, (*path, thaw(key)))
    else:
        one, other = old._value(), new._value()
        if not _alike(one, other):
            yield Difference("edited" if isinstance(old, Text) else "changed", path, one, other)


def _in_cells(old: Any, new: Any, key: Any, path: tuple[Any, ...]) -> Iterator[Difference]:
    was, stands = thaw(key) in old, thaw(key) in new
    if was and not stands:
        yield Difference("removed", path, old._peek(key), None)
    elif stands and not was:
        yield Difference("added", path, None, new._peek(key))
    elif was and not _alike(old._peek(key), new._peek(key)):
        yield Difference("changed", path, old._peek(key), new._peek(key))


def _in_places(old: Crdt | None, new: Crdt | None, path: tuple[Any, ...]) -> Iterator[Difference]:
    if old is None:
        if new is not None:
            yield Difference("added", path, None, new._value())
    elif new is None:
        yield Difference("removed", path, old._value(), None)
    elif old.tag != new.tag:
        yield Difference("changed", path, old._value(), new._value())
    else:
        yield from differences(old, new, path)


def _in_lists(old: List, new: List, path: tuple[Any, ...]) -> Iterator[Difference]:
    before = {element: at for at, element in enumerate(old._visible())}
    after = {element: at for at, element in enumerate(new._visible())}
    for element, at in before.items():
        if element not in after:
            yield Difference("removed", (*path, at), old._node(at)._value(), None)
    stayed = _longest_rising([before[element] for element in after if element in before])
    for element, at in after.items():
        if element not in before:
            yield Difference("added", (*path, at), None, new._node(at)._value())
            continue
        if before[element] not in stayed:
            yield Difference("moved", (*path, at), before[element], at)
        yield from _in_places(old._node(before[element]), new._node(at), (*path, at))


def _longest_rising(numbers: list[int]) -> set[int]:
    """The numbers of a longest rising subsequence: the fewest others are then to be called moved."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        at = bisect_left(tails, number)
        before[number] = tails[at - 1] if at else None
        tails[at : at + 1] = [number]
    found: set[int] = set()
    last = tails[-1] if tails else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or repr(one) == repr(other))  # (NaN is not equal to itself)
