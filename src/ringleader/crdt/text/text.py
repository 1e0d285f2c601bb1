"""`Text`: a string that several people edit at the same time.

Rule: everybody's edits are kept; concurrent inserts at one place stand one after the other, whole runs at a time (Fugue
order); a character removed by anybody is removed. Positions and lengths count Unicode code points, as Python does.

What is stored is the text, as a rope, and the history of edits as they were typed, as a log. While only one person
types, an edit costs an append to each. Positions are translated (see `walker.py`) only when concurrent edits arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from ringleader.clock.dots import Dot as VersionDot
from ringleader.clock.version import VersionVector
from ringleader.crdt.base import Crdt, register
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.identity import check_version
from ringleader.crdt.text import units
from ringleader.crdt.text.graph import Frontier
from ringleader.crdt.text.history import (
    Restored,
    TextEdit,
    TextPast,
    diff,
    frontier_of,
    inserted_places,
    removed_places,
    text_at,
)
from ringleader.crdt.text.oplog import BACKSPACE, DELETE, INSERT, OpLog
from ringleader.crdt.text.part import Base, Dot, TextPart, export
from ringleader.crdt.text.receive import Arrival, adopt_whole, carry_out, prepare
from ringleader.crdt.text.replay import Zone
from ringleader.crdt.text.rope import Rope
from ringleader.crdt.text.stable import drop_history
from ringleader.crdt.values import brief
from ringleader.crdt.wire import Decoder, Encoder
from ringleader.errors import NotAppliedError, Reason, UsageError

__all__ = ["MAX_LENGTH", "Text"]

MAX_LENGTH = 1 << 30  # characters
_NONE = -1
_NOWHERE = 1 << 62  # no index is as large


@register
class Text(Crdt):
    """A replicated string: `Text(ReplicaContext("ann"))`, or a value in a map (`doc["note"]`).

    Reads like a string (`len`, `[i]`, `[a:b]`, `in`, iteration, `str(text)`), and is edited with `insert`, `delete`,
    `text[a:b] = "..."`, `del text[a:b]`, `text += "..."`. `keep_history` (True) says whether `stabilize` leaves the
    history alone, so that time travel reaches back to the beginning, or drops what every member has seen.
    """

    __slots__ = (
        "_base",
        "_first",
        "_kind",
        "_last",
        "_log",
        "_low",
        "_next",
        "_parts",
        "_removed",
        "_restored",
        "_rope",
        "_writer",
        "_zone",
        "keep_history",
    )

    tag: ClassVar[int] = 40
    name: ClassVar[str] = "text"

    def _bottom(self) -> None:
        self._log = OpLog()
        self._rope = Rope()
        self._base = Base()
        self._restored: list[tuple[Dot, int, Dot]] = []  # what undo has put back, see history.Restored
        self._zone: Zone | None = None  # what the last merge has worked out, for the next
        self.keep_history = True
        # The open run: local edits that go on from one another, in neither the log nor the rope yet.
        self._kind = _NONE
        self._first = 0  # the run's first event number and
        self._last = 0  # its last one, of replica
        self._writer = b""
        self._next = _NOWHERE  # where an insert must be to go on
        self._low = -1  # removals: the lowest position removed, and the number of characters
        self._removed = 0
        self._parts: list[str] = []

    # -- editing --------------------------------------------------------------------------------------------------

    def insert(self, index: int, content: str) -> None:
        """Insert `content` before position `index` (0 to `len(text)`). Raises `UsageError`."""
        if index == self._next and content.__class__ is str and content:
            doc = self._doc
            if doc.n == self._last and doc.me is self._writer and not doc.eager and content.isascii():
                count = len(content)  # typing on: the run grows
                self._last = doc.mint(self, None, count)
                self._parts.append(content)
                self._next += count
                return
        self._open_insert(index, content)

    def delete(self, index: int, count: int = 1) -> None:
        """Remove `count` characters from position `index` on. Raises `UsageError`."""
        if self._kind > INSERT and count == 1 and index.__class__ is int:
            doc = self._doc
            if doc.n == self._last and doc.me is self._writer and not doc.eager:
                if index == self._low - 1 and index and (self._kind == BACKSPACE or self._removed == 1):
                    self._last = doc.mint(self, None)
                    self._kind = BACKSPACE
                    self._low = index
                    self._removed += 1
                    return
                # (the last character goes the long way: a map must be told that the text is empty)
                if (
                    index == self._low
                    and self._kind == DELETE
                    and self._low + self._removed < self._rope.length - (not index)
                ):
                    self._last = doc.mint(self, None)
                    self._removed += 1
                    return
        self._open_delete(index, count)

    def replace(self, start: int, end: int, content: str) -> None:
        """Let `content` stand in place of the characters `[start, end)`, as one change."""
        self._check_content(content)
        length = len(self)
        if not (type(start) is int and type(end) is int and 0 <= start <= end <= length):
            raise _out_of_range(f"[{brief(start)}:{brief(end)}]", length)
        with self._doc.transaction():
            if end > start:
                self.delete(start, end - start)
            if content:
                self.insert(start, content)

    def append(self, content: str) -> None:
        """Insert at the end."""
        self.insert(len(self), content)

    def clear(self) -> None:
        """Remove everything."""
        if length := len(self):
            self.delete(0, length)

    def _open_insert(self, index: int, content: str) -> None:
        self._check_content(content)
        length = len(self)
        if type(index) is not int or not 0 <= index <= length:
            raise _out_of_range(brief(index), length)
        count = len(content)
        if length + count > MAX_LENGTH:
            raise UsageError(f"a text holds at most {MAX_LENGTH} characters", reason=Reason.TOO_LARGE)
        if not count:
            return
        self._close_run()
        self._open(INSERT, count)
        self._low = index
        self._next = index + count
        self._parts.append(content)
        if self._doc.eager:
            first = self._first
            self._close_run()
            self._doc.settle(partial(self._take_back_insert, (self._writer, first), count))

    def _open_delete(self, index: int, count: int) -> None:
        length = len(self)
        if type(index) is not int or type(count) is not int or index < 0 or count < 0 or index + count > length:
            raise _out_of_range(f"{brief(index)}, {brief(count)} characters", length)
        if not count:
            return
        self._close_run()
        removed = self._rope.slice(index, index + count) if self._doc.eager else ""
        self._open(DELETE, count)
        self._low = index
        self._removed = count
        if count == length:
            self._close_run()
            self._faded()
        if self._doc.eager:
            first = self._first
            self._close_run()
            self._doc.settle(partial(self._take_back_delete, (self._writer, first), removed))

    def _open(self, kind: int, count: int) -> None:
        """Begin a run of local edits: the events are named first, which fails for a read-only copy."""
        last = self._doc.mint(self, None, count)
        self._kind = kind
        self._first = last - count + 1
        self._last = last
        self._writer = self._doc.me or b""

    def _close_run(self) -> None:
        """Write the open run to log, graph and rope. Everything that looks at those calls this first."""
        kind = self._kind
        if kind == _NONE:
            return
        count = self._last - self._first + 1
        if kind == INSERT:
            content = "".join(self._parts)
            self._log.push(INSERT, self._low, count, content)
            self._rope.insert(self._low, content)
            self._parts.clear()
        else:
            at = self._low if kind == DELETE else self._low + count - 1
            self._log.push(kind, at, count, "")
            self._rope.delete(self._low, count)
        graph = self._log.graph
        graph.add(self._writer, self._first, count, graph.heads)
        self._kind = _NONE
        self._next = _NOWHERE
        self._low = -1
        self._removed = 0

    @staticmethod
    def _check_content(content: str) -> None:
        if not isinstance(content, str):
            raise UsageError(f"text is made of str, not {type(content).__name__}", reason=Reason.INVALID_ARGUMENT)
        if not content.isascii():
            try:
                content.encode()
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"{content[error.start]!r} is half a surrogate pair, not a character",
                    reason=Reason.INVALID_ARGUMENT,
                    hint='Join the halves first: s.encode("utf-16", "surrogatepass").decode("utf-16")',
                ) from None

    # -- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._kind == INSERT:
            return self._rope.length + self._next - self._low
        return self._rope.length - self._removed

    def __bool__(self) -> bool:
        return len(self) > 0

    def __str__(self) -> str:
        self._close_run()
        return str(self._rope)

    def __iter__(self) -> Iterator[str]:
        return iter(str(self))

    def __contains__(self, part: str) -> bool:
        return part in str(self)

    def __getitem__(self, index: int | slice) -> str:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            self._close_run()
            return self._rope.slice(start, stop) if step == 1 else str(self._rope)[index]
        at = self._index(index)
        self._close_run()
        return self._rope.slice(at, at + 1)

    def __setitem__(self, index: int | slice, content: str) -> None:
        start, stop = self._range(index)
        self.replace(start, stop, content)

    def __delitem__(self, index: int | slice) -> None:
        start, stop = self._range(index)
        self.delete(start, stop - start)

    def __iadd__(self, content: str) -> Text:
        self.append(content)
        return self

    def _index(self, index: int) -> int:
        length = len(self)
        if type(index) is not int:
            raise UsageError(f"a position is an integer, not {brief(index)}", reason=Reason.INVALID_ARGUMENT)
        at = index + length if index < 0 else index
        if not 0 <= at < length:
            raise IndexError(f"position {index} of a text of {length} characters")
        return at

    def _range(self, index: int | slice) -> tuple[int, int]:
        if not isinstance(index, slice):
            at = self._index(index)
            return at, at + 1
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise UsageError("a text is edited in one piece: no steps in slices", reason=Reason.INVALID_ARGUMENT)
        return start, max(start, stop)

    def utf16_position(self, index: int) -> int:
        """Position `index` in UTF-16 code units, as JavaScript counts."""
        return self._units(index, units.utf16_length)

    def utf8_position(self, index: int) -> int:
        """Position `index` in UTF-8 bytes."""
        return self._units(index, units.utf8_length)

    def from_utf16_position(self, position: int) -> int:
        """The index of a position in UTF-16 code units. Raises `UsageError` between the halves of a pair."""
        self._close_run()
        return units.index_from_units(self._rope.chunks(), position, units.utf16_length)

    def from_utf8_position(self, position: int) -> int:
        """The index of a position in UTF-8 bytes. Raises `UsageError` inside a character."""
        self._close_run()
        return units.index_from_units(self._rope.chunks(), position, units.utf8_length)

    def _units(self, index: int, measure: Any) -> int:
        if type(index) is not int or not 0 <= index <= len(self):
            raise _out_of_range(brief(index), len(self))
        self._close_run()
        return units.units_before(self._rope.chunks(), index, measure)

    # -- time travel ----------------------------------------------------------------------------------------------

    def at(self, version: VersionVector) -> str:
        """The text as it was at `version` (any replica's). Raises `UsageError` for one unknown or no longer kept."""
        return str(text_at(self._log, self._base.text, self._frontier(version)))

    def diff(self, old: VersionVector, new: VersionVector | None = None) -> list[TextEdit]:
        """The edits, from left to right, that turn the text of version `old` into that of `new` (None: now)."""
        a = self._frontier(old)
        b = self._log.graph.heads if new is None else self._frontier(new)
        return diff(self._log, self._base.text, a, b)

    def _frontier(self, version: VersionVector) -> Frontier:
        self._close_run()
        if not self._doc.version.covers(check_version(version)):
            raise UsageError("that version includes events that are not here", reason=Reason.FUTURE_REVISION)
        if not version.covers(self._base.version):
            raise _dropped("that version")
        return frontier_of(self._log, version)

    def _peek(self, key: Any) -> Any:
        return TextPast(self._doc.version.copy())

    # -- undo -----------------------------------------------------------------------------------------------------

    def _lv(self, dot: Dot) -> int:
        lv = self._log.graph.lv_of(*dot)
        if lv < 0:
            raise _dropped("that edit")
        return lv

    def _links(self) -> list[Restored]:
        graph = self._log.graph
        return [
            Restored(lv, count, graph.lv_of(*by)) for dot, count, by in self._restored if (lv := graph.lv_of(*dot)) >= 0
        ]

    def _take_back_insert(self, first: Dot, count: int) -> None:
        """Remove what is left of the characters inserted by the events from `first` on, wherever they are now."""
        self._close_run()
        for position, length in reversed(inserted_places(self._log, self._lv(first), count, self._links())):
            self.delete(position, length)

    def _take_back_delete(self, first: Dot, removed: str) -> None:
        """Put back what the removals from `first` on took, unless somebody else removed it as well."""
        self._close_run()
        replica, n = first
        places = removed_places(self._log, self._lv(first), len(removed), self._links())
        for position, offset, length in reversed(places):
            self.insert(position, removed[offset : offset + length])
            self._close_run()
            self._restored.append(((replica, n + offset), length, (self._writer, self._doc.n - length + 1)))

    # -- the type's own part --------------------------------------------------------------------------------------

    def _part(self, keys: Any, out: Outgoing) -> TextPart:
        self._close_run()
        if out.since is None or not out.since.covers(self._base.version):
            return export(self._log, self._base, None, str(self._rope))
        return export(self._log, self._base, out.since, None)

    may_refuse = True

    def _admit(self, part: TextPart, incoming: Incoming) -> None:
        self._close_run()
        log = self._log
        if not part.chains and not part.base.heads:
            return
        if not log.end and not self._base.heads and part.snapshot is not None:
            incoming.prepared[self] = adopt_whole(part)
        elif part.base.heads and not self._knows_base(part.base):
            if self._log.graph.spans_beyond(incoming.theirs) or not incoming.theirs.covers(self._base.version):
                raise NotAppliedError(
                    "this replica has edits that are older than the history the sender has kept",
                    reason=Reason.COMPACTED,
                    hint="The sender dropped history that was not stable: take its whole state, make the edits again",
                )
            incoming.prepared[self] = adopt_whole(part)
        else:
            kept, self._zone = self._zone, None
            arrival = incoming.prepared[self] = prepare(log, self._rope.length, self._base, part, kept)
            incoming.withdrawals.append(lambda: log.truncate(arrival.end, arrival.heads))

    def _join(self, part: TextPart, incoming: Incoming) -> None:
        prepared = incoming.prepared.pop(self, None)
        if prepared is None:
            return
        incoming.relay(self, (None,))
        incoming.before(self, None)
        if isinstance(prepared, Arrival):
            if self._log.end == prepared.end and self._log.graph.heads == prepared.heads:
                self._zone = prepared.zone
                return
            carry_out(prepared, self._log, self._rope)
            self._zone = prepared.zone
        else:
            self._log = prepared
            self._zone = None
            self._base = part.base
            self._rope = Rope(part.snapshot or "")
            self._restored.clear()
        incoming.note(self, None)

    def _knows_base(self, base: Base) -> bool:
        if self._base.version.covers(base.version):
            return True
        return all(self._log.graph.lv_of(*head) >= 0 for head in base.heads)

    @classmethod
    def _pack(cls, part: TextPart, out: Encoder) -> Any:
        return part.pack(out)

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> TextPart:
        return TextPart.parse(raw, source)

    @classmethod
    def _empty_part(cls) -> TextPart:
        return TextPart([], OpLog(), Base(), None)

    def _alive(self) -> bool:
        return len(self) > 0

    def _residue(self) -> bool:
        return self._kind != _NONE or self._log.end > 0 or bool(self._base.heads)

    def _clear(self, dot: VersionDot) -> None:
        self.clear()

    def _assign(self, value: Any) -> None:
        self.replace(0, len(self), value)

    def _stabilize(self, stable: VersionVector) -> None:
        if not self.keep_history:
            self._close_run()
            self._log, self._base = drop_history(self._log, self._base, stable)
            self._zone = None

    def _value(self) -> str:
        return str(self)

    def verify(self) -> bool:
        """Whether replaying the whole history gives the text: what a loaded state says, it need not mean."""
        self._close_run()
        return str(text_at(self._log, self._base.text, self._log.graph.heads)) == str(self._rope)

    def explain(self) -> str:
        """The metadata behind the text, for people."""
        self._close_run()
        log, graph = self._log, self._log.graph
        kinds = {INSERT: "insert", DELETE: "delete", BACKSPACE: "backspace"}
        lines = [
            f"text: {len(self)} characters; history: {log.end} events in {len(log.starts)} runs and "
            f"{len(graph.starts)} stretches by {len(graph.names)} replicas; {len(graph.heads)} heads"
        ]
        told = [
            run for start, end in zip(graph.starts[-10:], graph.ends[-10:], strict=True) for run in log.runs(start, end)
        ]
        for kind, position, lv, count in told[-10:]:
            name, n = graph.id_of(lv)
            what = f" {log.content(lv, min(count, 20))!r}" if kind == INSERT else ""
            lines.append(f"  {name!r}:{n} {kinds[kind]} {count} at {position}{what}")
        return "\n".join(lines)


def _out_of_range(where: object, length: int) -> UsageError:
    return UsageError(
        f"{where} is not within a text of {length} characters", reason=Reason.INVALID_ARGUMENT, hint="Count code points"
    )


def _dropped(what: str) -> UsageError:
    return UsageError(f"{what} is older than the history kept here", reason=Reason.COMPACTED)
