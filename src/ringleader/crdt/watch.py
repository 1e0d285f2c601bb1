"""Observers: who is told of which change, after it is complete, with its origin.

A change is reported after its transaction or merge is done, once per place, to the observers of that node and of the
nodes above it. A callback's exception never reaches the writer or the other observers; it is kept in `errors`.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from ringleader.crdt.text.history import TextEdit, TextPast
from ringleader.crdt.values import brief
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.crdt.base import Crdt
    from ringleader.crdt.document import Document
    from ringleader.crdt.journal import Touched

__all__ = ["Change", "ChangeStream", "Watchers", "watchers_of"]


class Change:
    """One place that changed.

    `node`: the type at it. `path`: the keys from the root to it; `key`: the place inside (an element, a field, a
    replica of a counter; None: the node as a whole). `origin`: None for a local change, else what `apply` was told
    (or the delta).

    `old` and `new`: what stood at the place before and what stands there now, as plain data: a value (None: none), a score,
    whether an element was in a set, the whole count of a counter, the whole text. `new` is read when you look at it:
    later changes show.
    """

    __slots__ = ("_old", "_place", "key", "node", "origin", "path")

    def __init__(self, node: Crdt, path: tuple[Any, ...], place: Any, origin: object, old: Any) -> None:
        self.node = node
        self.path = path
        self.key = None if place is None else node._public_key(place)
        self.origin = origin
        self._place = place
        self._old = old

    @property
    def local(self) -> bool:
        """Whether it was made here."""
        return self.origin is None

    @property
    def value(self) -> Any:
        """The node's value now."""
        return self.node.value

    @property
    def old(self) -> Any:
        """What stood at the place before. Raises `UsageError` for a text that keeps no history that far back."""
        return self.node.at(self._old.version) if isinstance(self._old, TextPast) else self._old

    @property
    def new(self) -> Any:
        """What stands at the place now."""
        new = self.node._value() if self._place is None else self.node._peek(self._place)
        return self.node._value() if isinstance(new, TextPast) else new

    @property
    def edits(self) -> list[TextEdit]:
        """For a text, the edits from `old` to `new`; else none."""
        if not isinstance(self._old, TextPast):
            return []
        edits: list[TextEdit] = self.node.diff(self._old.version)
        return edits

    def after(self, earlier: Change) -> None:
        """Stand for an earlier change of the same place too."""
        self._old = earlier._old

    def __repr__(self) -> str:
        where = ".".join(map(str, self.path)) or "root"
        return f"Change({where}, {self.key!r}, {'local' if self.local else 'remote'})"


def _reference(callback: Callable[[Change], object]) -> Callable[[], Callable[[Change], object] | None]:
    """What returns it, if it is still there: bound methods are held weakly."""
    return weakref.WeakMethod(callback) if isinstance(callback, MethodType) else lambda: callback


class Watchers:
    """The observers of one document. `errors`: the latest exceptions that callbacks raised."""

    __slots__ = ("_callbacks", "_old", "_streams", "errors")

    def __init__(self) -> None:
        self._callbacks: list[tuple[Crdt, Callable[[], Callable[[Change], object] | None]]] = []
        self._streams: list[weakref.ref[ChangeStream]] = []
        self._old: dict[tuple[Crdt, Any], Any] = {}  # of the change that is being made
        self.errors: deque[Exception] = deque(maxlen=100)

    def add(self, node: Crdt, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Call `callback` for changes in or below `node`; returns what ends it. Bound methods are held weakly."""
        entry = (node, _reference(callback))
        self._callbacks.append(entry)

        def end() -> None:
            if entry in self._callbacks:
                self._callbacks.remove(entry)

        return end

    def stream(self, stream: ChangeStream) -> None:
        """Feed a change stream for as long as somebody holds it."""
        self._streams.append(weakref.ref(stream))

    def before(self, node: Crdt, key: Any) -> None:
        """The place `key` of `node` is about to change, for the first time in this change or again."""
        place = (node, None if node.one_place else key)
        if place not in self._old:
            self._old[place] = node._peek(key)

    def notify(self, touched: Touched, origin: object, *, only_news: bool = False) -> None:
        """Tell everybody about the places touched (`only_news`: those that are not as they were)."""
        old, self._old = self._old, {}
        changes = [
            Change(node, node.path, key, origin, old.get((node, None if node.one_place else key)))
            for node, keys in touched.items()
            if node._hangs()
            for key in keys
        ]
        if only_news:
            changes = [change for change in changes if change.old != change.new]
        self._streams = [reference for reference in self._streams if reference() is not None]
        for change in changes:
            for watched, reference in list(self._callbacks):
                if _below(change.node, watched):
                    callback = reference()
                    if callback is None:
                        self._callbacks.remove((watched, reference))
                        continue
                    try:
                        callback(change)
                    except Exception as error:
                        self.errors.append(error)
            for weak in self._streams:
                stream = weak()
                if stream is not None and _below(change.node, stream.node):
                    stream.push(change)


def _below(node: Crdt | None, top: Crdt) -> bool:
    while node is not None:
        if node is top:
            return True
        node = node._parent
    return False


class ChangeStream:
    """A bounded queue of changes to `node` and below, for whoever wants to pull them.

    Two waiting changes of one place with the same origin kind are one change (the value is read late anyway). When
    more than `limit` places wait, the stream is *lagging*: the queue is cleared, `take` says so once, and the reader
    reads everything anew. `wake`: called when something arrives (an asyncio shell sets an event there).
    """

    __slots__ = ("__weakref__", "_waiting", "lagging", "limit", "node", "wake")

    def __init__(self, node: Crdt, limit: int = 1024, wake: Callable[[], None] | None = None) -> None:
        if type(limit) is not int or limit < 1:
            raise UsageError(f"a stream of at most {brief(limit)} changes", reason=Reason.INVALID_ARGUMENT)
        self.node = node
        self.limit = limit
        self.wake = wake
        self.lagging = False
        self._waiting: dict[tuple[int, Any, bool], Change] = {}
        watchers_of(node._doc).stream(self)

    def push(self, change: Change) -> None:
        """Add a change (called by the document)."""
        if not self.lagging:
            place = (id(change.node), change.key, change.local)
            if place in self._waiting:
                change.after(self._waiting[place])
            self._waiting[place] = change
            if len(self._waiting) > self.limit:
                self._waiting.clear()
                self.lagging = True
        if self.wake is not None:
            self.wake()

    def take(self) -> list[Change]:
        """The waiting changes, oldest first; after lagging, one change of the whole node."""
        if self.lagging:
            self.lagging = False
            return [Change(self.node, self.node.path, None, self, None)]
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting


def watchers_of(doc: Document) -> Watchers:
    """The document's watchers, made at the first call."""
    if doc.watchers is None:
        doc.listen(watchers=Watchers())
    assert doc.watchers is not None
    return doc.watchers
