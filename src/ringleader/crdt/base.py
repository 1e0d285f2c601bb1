"""What every replicated type is: a node of a document that can describe itself, join what others describe, and explain.

To write a type, subclass `Crdt`, give it a `tag` and a `name`, register it, and implement the methods under "the type's
own part". Six rules make it converge:

1. Every change is an event: call `doc.mint(self, key)` first. Equal versions must mean equal bytes.
2. A write replaces what its writer saw; `doc.version` is what it saw.
3. `_part(keys)` describes the *current* content of the touched keys, a place that is now empty included.
4. `_join` judges presence dot by dot by the two versions in `Incoming` (see `entries.py`), and cannot fail.
5. `_parse` checks everything, because its input may come from a stranger.
6. Nothing depends on `doc.me`, the clock or the order of arrival, except when minting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ringleader.clock.dots import Dot
from ringleader.clock.version import VersionVector, short
from ringleader.crdt.delta import Delta, Incoming, Outgoing
from ringleader.crdt.document import Document, Inverse
from ringleader.crdt.entries import Entries
from ringleader.crdt.identity import DuplicateIdentityError, ReplicaContext, check_version
from ringleader.crdt.values import brief, thaw
from ringleader.crdt.wire import DEFAULT_LIMITS, DecodeError, Decoder, Encoder, Limits
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.crdt.history import History
    from ringleader.crdt.undo import UndoStack
    from ringleader.crdt.watch import Change, ChangeStream

__all__ = ["Crdt", "Shape", "register", "shape_of", "type_of"]

_TYPES: dict[int, type[Crdt]] = {}
T = TypeVar("T", bound="type[Crdt]")


def register(cls: T) -> T:
    """Class decorator: make a type known to the wire and to containers by its `tag`."""
    if _TYPES.setdefault(cls.tag, cls) is not cls:
        raise UsageError(f"tag {cls.tag} is taken by {_TYPES[cls.tag].name}", reason=Reason.INVALID_ARGUMENT)
    return cls


def type_of(tag: Any) -> type[Crdt]:
    """The type with this tag. Raises `DecodeError` for an unknown one (it may come from a newer release)."""
    found = _TYPES.get(tag) if type(tag) is int else None
    if found is None:
        raise DecodeError(f"no replicated type has the tag {tag!r}", reason=Reason.VERSION, hint="Upgrade this side")
    return found


class Shape:
    """A type as a container's value: the class, and for a container of containers the shape of its own values."""

    __slots__ = ("cls", "inner")

    def __init__(self, cls: type[Crdt], inner: Shape | None = None) -> None:
        self.cls = cls
        self.inner = inner

    def __repr__(self) -> str:
        return self.cls.name if self.inner is None else f"{self.cls.name}[{self.inner!r}]"


def shape_of(kind: Any) -> Shape:
    """The shape meant by `PNCounter`, `ORMap[str, PNCounter]`, or a shape itself. Raises `UsageError`."""
    if isinstance(kind, Shape):
        return kind
    origin = getattr(kind, "__origin__", kind)
    if isinstance(origin, type) and issubclass(origin, Crdt):
        arguments = getattr(kind, "__args__", ())
        last = arguments[-1] if arguments else None
        nested = getattr(last, "__origin__", last)
        if isinstance(nested, type) and issubclass(nested, Crdt):
            return Shape(origin, shape_of(last))
        return Shape(origin)
    raise UsageError(f"{brief(kind)} is no replicated type", reason=Reason.INVALID_ARGUMENT)


class Crdt:
    """A replicated value. `PNCounter(ReplicaContext("a"))` is writable, `PNCounter()` a read-only copy to merge into.

    State-based: `merge`. Delta-based: `delta_since(version)`, `apply`. Operation-based: `ops`, `CausalBuffer`.
    """

    __slots__ = ("__weakref__", "_attached", "_doc", "_key", "_parent", "_presence")

    tag: ClassVar[int]
    name: ClassVar[str]
    one_place: ClassVar[bool] = False
    """Whether the value is one, whatever journal keys it consists of (a counter's rows)."""

    def __init__(self, replica: ReplicaContext | None = None) -> None:
        self._place(Document(self, replica), None, None, attached=True)
        self._bottom()

    def _place(self, doc: Document, parent: Crdt | None, key: Any, *, attached: bool) -> None:
        self._doc = doc
        self._parent = parent
        self._key = key
        self._attached = attached  # False: the next local write must create the place (again)
        self._presence: Entries = ()  # a container's own record that this place exists; see ormap.py

    @classmethod
    def _nested(cls, shape: Shape, doc: Document, parent: Crdt, key: Any) -> Self:
        """An empty node at `key` of `parent`, not yet attached (its first write attaches it)."""
        node = cls.__new__(cls)
        node._place(doc, parent, key, attached=False)
        node._configure(shape)
        node._bottom()
        return node

    def _slot(self) -> Any:
        """How the parent names this place."""
        return (self._key, self.tag)

    def _holds(self, child: Crdt) -> bool:
        """Whether `child` is part of this container's state (a hidden one may be, for what must be remembered of
        it).
        """
        return child._attached

    def _child_faded(self, child: Crdt) -> None:
        """`child` may have nothing left to show after a local change; see `_faded`."""

    def _faded(self) -> None:
        """To be called after a local change that takes content away, before `settle`.

        A place that was removed elsewhere but kept alive by its content goes when that content goes.
        """
        if self._parent is not None and not self._presence and not self._alive():
            self._parent._child_faded(self)

    def _hangs(self) -> bool:
        """Whether this node is still part of its document."""
        node: Crdt = self
        while node._parent is not None:
            if not node._parent._holds(node):
                return False
            node = node._parent
        return True

    def _peek(self, key: Any) -> Any:
        """What stands at a journal key, as plain data, for observers; here the value of the whole node."""
        return self._value()

    @staticmethod
    def _public_key(key: Any) -> Any:
        """A journal key of this type as users know it."""
        return thaw(key)

    # ---- the type's own part: to be implemented ----------------------------------------------------------------

    def _bottom(self) -> None:
        """Make the empty content."""
        raise NotImplementedError

    def _configure(self, shape: Shape) -> None:
        """Take over what `shape` says beyond the class (containers: the shape of their values)."""

    def _shape(self) -> Shape:
        """The shape that would make a node like this."""
        return Shape(type(self))

    def _part(self, keys: Any, out: Outgoing) -> Any:
        """Plain immutable data: the content at `keys` (a dict used as an ordered set), or everything for None."""
        raise NotImplementedError

    may_refuse: ClassVar[bool] = False
    """Whether `_admit` has something to check, here or further down."""

    def _admit(self, part: Any, incoming: Incoming) -> None:
        """Check what only this node can check of a part (that what it builds on is here), before *anything* is joined.

        Raises, and then nothing has changed. What it prepares for `_join` goes into `incoming.prepared[self]`, what takes
        its preparation back to `incoming.withdrawals`.
        """

    def _join(self, part: Any, incoming: Incoming) -> None:
        """Join what `_part` or `_parse` gave; call `incoming.touch(self, key)` for each place, before it changes."""
        raise NotImplementedError

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        """A part as lists, ints, strings and bytes in canonical order."""
        raise NotImplementedError

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        """The reverse of `_pack`. Raises `DecodeError`."""
        raise NotImplementedError

    def _alive(self) -> bool:
        """Whether there is content: a container shows a place that was created or whose content is alive."""
        raise NotImplementedError

    def _blank(self) -> bool:
        """Whether undoing its creation may remove this node: nothing is left but what we took back ourselves."""
        return not self._alive()

    def _residue(self) -> bool:
        """Whether something must be kept though nothing is alive (until it is stable)."""
        return False

    def _clear(self, dot: Dot) -> None:
        """Remove exactly what we have seen, in the name of the event `dot`; a container does it when a key is removed.

        The container has recorded the event and will send this whole node, so nothing needs to be minted or touched.
        (A type whose removals must be events of their own may mint more.)
        """
        raise NotImplementedError

    def _remember(self) -> Inverse | None:
        """What puts back, by new events, the content that a `_clear` now would remove (None: nothing, or `_clear` tells
        the document itself). Places that others have written to since stay as they are.
        """
        return None

    def _check_clear(self) -> None:
        """Raise `UsageError` when this type cannot be cleared. Called before anything is changed."""

    def _assign(self, value: Any) -> None:
        """Make `value` the value, by ordinary changes: what `container[key] = value` does."""
        raise UsageError(f"{self.name} cannot be assigned to", reason=Reason.UNSUPPORTED, hint="Use its methods")

    @classmethod
    def _empty_part(cls) -> Any:
        """The whole part of an empty node: joining it removes what its sender had seen."""
        raise NotImplementedError

    def _stabilize(self, stable: VersionVector) -> None:
        """Drop what is kept only for those who have not seen `stable`."""

    def _value(self) -> Any:
        """The value as plain Python data, nested values included."""
        raise NotImplementedError

    def explain(self) -> str:
        """The metadata behind the value, for people."""
        raise NotImplementedError

    # ---- reading -----------------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The value as plain Python data, a copy."""
        return self._value()

    @property
    def version(self) -> VersionVector:
        """Which events the whole document includes; a copy."""
        return self._doc.version.copy()

    @property
    def writable(self) -> bool:
        """Whether there is an identity to write under."""
        return self._doc.me is not None

    @property
    def duplicates(self) -> set[bytes]:
        """Identities under which two different events with one name were met: they have been used twice."""
        return set(self._doc.duplicates)

    @property
    def path(self) -> tuple[Any, ...]:
        """The keys from the root to this node; in a list, the position now (None: not in it)."""
        return () if self._parent is None else (*self._parent.path, self._parent._path_key(self))

    def _path_key(self, child: Crdt) -> Any:
        """What `child` is called in a path."""
        return thaw(child._key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value()!r})"

    # ---- transactions, observers, undo -------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[None]:
        """`with x.transaction():` makes one delta of the changes inside; an exception takes them back."""
        return self._doc.transaction()

    def observe(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Call `callback` after each change here or below, local or remote; returns a function that ends it.

        Bound methods are held weakly. What a callback raises does not disturb the others: see `Watchers.errors`.
        """
        from ringleader.crdt.watch import watchers_of

        return watchers_of(self._doc).add(self, callback)

    def stream(self, limit: int = 1024) -> ChangeStream:
        """A bounded queue of the changes here and below; `ringleader.changes(x)` makes an `async for` of it."""
        from ringleader.crdt.watch import ChangeStream

        return ChangeStream(self, limit)

    def undo_stack(self, limit: int = 1000) -> UndoStack:
        """Begin to record own changes of the whole document for undo and redo; later calls give the same stack."""
        from ringleader.crdt.undo import UndoStack

        doc = self._doc
        return doc.undo if doc.undo is not None else UndoStack(doc, limit)

    # ---- the past (roots only) -------------------------------------------------------------------------------------

    def record_history(self, limit: int = 10_000) -> History:
        """Begin to keep the past of the whole document, at most `limit` changes; later calls give the same history."""
        from ringleader.crdt.history import History

        doc = self._root()
        if doc.history is None:
            doc.keep(History(doc, limit))
        assert doc.history is not None
        return doc.history

    def at(self, version: VersionVector) -> Any:
        """A read-only copy of the document as it was at `version`; see `History.at`. (Text keeps its own past.)"""
        doc = self._root()
        check_version(version)
        if doc.version == version:
            return self.fork()
        if doc.history is None:
            raise UsageError(
                "this document keeps no history", reason=Reason.COMPACTED, hint="Call record_history() beforehand"
            )
        return doc.history.at(version)

    def diff(self, old: VersionVector, new: VersionVector | None = None) -> list[Any]:
        """The `Difference`s between two versions of the document (`new`: None for now)."""
        from ringleader.crdt.history import differences

        return list(differences(self.at(old), self if new is None else self.at(new)))

    # ---- state-based, delta-based, operation-based (roots only) ------------------------------------------------

    def _root(self) -> Document:
        if self._parent is not None:
            raise UsageError(
                f"{self.name} at {self.path!r} is part of a document; only the whole is merged, sent and copied",
                reason=Reason.INVALID_ARGUMENT,
                hint="Call this on the root",
            )
        return self._doc

    def merge(self, other: Self) -> bool:
        """State-based: take in everything `other` has; returns whether anything was new. `other` stays as it is."""
        doc = self._root()
        if other is self:
            return False
        theirs = other._root()
        if doc.me is not None and doc.me == theirs.me:
            error = DuplicateIdentityError(
                f"both sides write as {short(doc.me)}",
                reason=Reason.DUPLICATE_IDENTITY,
                hint="Every copy needs an identity of its own: fork(ReplicaContext(new_identity))",
            )
            error.replica = doc.me
            raise error
        return doc.apply(theirs.delta_since(doc.version))

    def delta_since(self, version: VersionVector | None = None) -> Delta:
        """Delta-based: what a replica at `version` lacks (None: the whole state)."""
        return self._root().delta_since(version)

    def apply(self, delta: Delta | bytes, origin: object = None) -> bool:
        """Join a delta or its bytes; returns whether anything was new. See `Document.apply` for the errors.

        `origin`: what observers are told about where it came from.
        """
        doc = self._root()
        return doc.apply(delta if isinstance(delta, Delta) else Delta.decode(delta), origin)

    def ops(self) -> Iterator[Delta]:
        """Operation-based: take the operations made here since the last call, oldest first.

        The first call begins to keep them; each transaction is one operation. Deliver them through a `CausalBuffer`.
        """
        doc = self._root()
        if doc.outbox is None:
            doc.listen(outbox=deque())
        taken = list(doc.outbox or ())
        if doc.outbox:
            doc.outbox.clear()
        return iter(taken)

    def encode(self) -> bytes:
        """The whole state as bytes; equal versions give equal bytes. Never contains the local identity as such."""
        return self._root().delta_since(None).encode()

    @classmethod
    def decode(cls, data: bytes, replica: ReplicaContext | None = None, *, limits: Limits = DEFAULT_LIMITS) -> Self:
        """A state from bytes: a read-only copy, or writable under a new identity. Raises `DecodeError`."""
        new = cls(replica)
        delta = Delta.decode(data, limits)
        if delta.since is not None:
            raise DecodeError("these bytes are a delta, not a state", reason=Reason.GAP, hint="Use apply(...)")
        new._doc.apply(delta)
        return new

    def fork(self, replica: ReplicaContext | None = None) -> Self:
        """An independent copy, writable under `replica`'s identity (None: read-only)."""
        doc = self._root()
        new = doc.blank_root()
        new._doc.apply(doc.delta_since(None))
        if replica is not None:
            new._doc.adopt(replica)
        return new  # type: ignore[return-value]  # of the root's type, which is ours

    def adopt(self, replica: ReplicaContext) -> None:
        """Make a read-only copy writable in place, under an identity that has never written here."""
        self._root().adopt(replica)

    def resume(self, replica: ReplicaContext) -> None:
        """Go on under an identity stored together with this very state (never with an older copy of it)."""
        self._root().resume(replica)

    def stabilize(self, stable: VersionVector) -> None:
        """Drop tombstones and history that every member has seen: feed it from `ringleader.clock.Stability`."""
        self._root().stabilize(stable)

    def __copy__(self) -> Self:
        return self.fork()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.fork()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self._shape_spec(), self.encode())

    def _shape_spec(self) -> Any:
        return _spec(self._shape())


def _spec(shape: Shape) -> Any:
    return (shape.cls, None if shape.inner is None else _spec(shape.inner))


def _unspec(spec: Any) -> Shape:
    return Shape(spec[0], None if spec[1] is None else _unspec(spec[1]))


def _unpickle(cls: type[Crdt], spec: Any, data: bytes) -> Crdt:
    new = cls.__new__(cls)
    new._place(Document(new, None), None, None, attached=True)
    new._configure(_unspec(spec))
    new._bottom()
    new._doc.apply(Delta.decode(data))
    return new
