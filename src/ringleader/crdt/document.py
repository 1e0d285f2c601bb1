"""A document: one tree of replicated nodes with one version, one writer identity, one clock and one journal.

Every stand-alone type is the root of its own document; nested types share their root's. Everything that is about the
whole lives here: naming events (`mint`), making deltas, joining them, transactions, adopting an identity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ringleader.clock.dots import Dot
from ringleader.clock.hlc import HybridClock
from ringleader.clock.version import ReplicaId, VersionVector, short
from ringleader.crdt.delta import Delta, Incoming, Outgoing, check_tag
from ringleader.crdt.identity import ReplicaContext, check_version, duplicate, gap, read_only
from ringleader.crdt.journal import RUN, Journal, Touched
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.crdt.base import Crdt
    from ringleader.crdt.history import History
    from ringleader.crdt.undo import UndoStack
    from ringleader.crdt.watch import Watchers

__all__ = ["Document", "Inverse"]

# Takes one change back: a closure over a node, run as new events.
Inverse = Callable[[], None]

Name = tuple[Any, int]  # of an event: (replica, n)

OUTBOX = 100_000
NAMES = 100_000


class Document:
    """The state that all nodes of one tree share. `me`: the identity written under, None for a read-only copy."""

    __slots__ = (
        "_before",
        "_depth",
        "_inverses",
        "_stamp",
        "_stands_for",
        "clock",
        "duplicates",
        "eager",
        "history",
        "journal",
        "me",
        "n",
        "outbox",
        "root",
        "undo",
        "version",
        "watchers",
    )

    def __init__(self, root: Crdt, replica: ReplicaContext | None) -> None:
        self.root = root
        self.me: ReplicaId | None = None
        self.n = 0
        self.clock: HybridClock | None = None
        self._stamp = 0  # the greatest stamp seen while there was no clock
        self.version = VersionVector()
        self.journal = Journal(self.version)
        self.duplicates: set[ReplicaId] = set()
        self.outbox: deque[Delta] | None = None
        self.watchers: Watchers | None = None
        self.undo: UndoStack | None = None
        self.history: History | None = None
        self.eager = False  # whether somebody wants to know of each change as it happens
        self._before = self.version.copy()  # at the last commit; only kept while eager
        self._depth = 0
        self._inverses: list[Inverse] = []
        self._stands_for: dict[Name, Name] = {}  # a write by an undo -> the write whose content it puts back
        if replica is not None:
            self.adopt(replica)

    # ---- writing -----------------------------------------------------------------------------------------------

    def mint(self, node: Crdt, key: Any, count: int = 1) -> int:
        """Name `count` new events that touch `key` of `node`; returns the number of the last.

        Called before the change; the writer must have an identity. Puts a node that was created by reading (as in
        `cart["apple"] += 1`) into its parent first.
        """
        if self.me is None:
            raise read_only()
        if not node._attached:
            node._parent._attach_child(node)  # type: ignore[union-attr]  # it has a parent then
        if self.watchers is not None:
            self.watchers.before(node, key)
        self.n = n = self.n + count
        self.version[self.me] = n
        run = self.journal.run
        nodes = run.nodes
        if nodes and nodes[-1] is node and run.keys[-1] is key:
            run.numbers[-1] = n
        else:
            nodes.append(node)
            run.keys.append(key)
            run.numbers.append(n)
            if len(nodes) >= RUN:
                self.journal.close_run(self.me, self.version)
        return n

    def touch(self, node: Crdt, keys: Iterable[Any]) -> None:
        """Note that the last event minted touches these places too: an event that clears many. Called before it does."""
        watchers = self.watchers
        run = self.journal.run
        for key in keys:
            run.nodes.append(node)
            run.keys.append(key)
            run.numbers.append(self.n)
            if watchers is not None:
                watchers.before(node, key)

    def dot(self) -> Dot:
        """The dot of the last event minted."""
        if self.me is None:
            raise read_only()
        return Dot(self.me, self.n)

    def stamp(self) -> int:
        """A new hybrid clock stamp."""
        if self.clock is None:
            raise read_only()
        return self.clock.stamp()

    def settle(self, inverse: Inverse | None = None) -> None:
        """Called after each change while `eager`. `inverse` takes it back (None: it cannot be taken back)."""
        if inverse is not None:
            self._inverses.append(inverse)
        if not self._depth:
            self._commit()

    def also(self, inverse: Inverse) -> None:
        """Part of a change whose `settle` is still to come: how to take this part back."""
        if self.eager:
            self._inverses.append(inverse)

    # An undo puts old content back under a new name. To the steps below it on the stack, which ask whether *their* write
    # still stands, that is the same content.

    def put_back(self, written: Name, again: Name) -> None:
        """The write `written` puts back what `again` had written."""
        if len(self._stands_for) >= NAMES:  # far more than an undo stack holds
            del self._stands_for[next(iter(self._stands_for))]
        self._stands_for[written] = self._stands_for.get(again, again)

    def same(self, standing: Name, written: Name) -> bool:
        """Whether what stands is what was written, perhaps put back meanwhile by an undo."""
        get = self._stands_for.get
        return standing == written or get(standing, standing) == get(written, written)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Changes inside become one delta, one notification and one step to undo; an exception takes them back.

        Taking back is done by new events (history only grows), so observers see nothing and the values are as before.
        """
        if self._depth == 0 and not self.eager:
            self._before = self.version.copy()
        self._depth += 1
        self.eager = True
        mark = len(self._inverses)
        failed = True
        try:
            yield
            failed = False
        except BaseException:
            self._take_back(mark)
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                self._commit(failed=failed)
                self._refresh_eager()

    def _take_back(self, mark: int) -> None:
        inverses = self._inverses[mark:]
        for inverse in reversed(inverses):
            inverse()
        del self._inverses[mark:]

    def _commit(self, *, failed: bool = False) -> None:
        """One finished local change: hand out its delta, tell the observers, remember how to undo it.

        Of a change that failed and was taken back, observers hear only what could not be taken back.
        """
        since, self._before = self._before, self.version.copy()
        inverses, self._inverses = self._inverses, []
        if since == self.version:
            return
        touched = self.journal.since(self.me, since)
        if self.history is not None:
            self.history.add(self._delta(since, touched))
        if self.outbox is not None:
            if len(self.outbox) < OUTBOX:
                self.outbox.append(self._delta(since, touched))
            else:  # nobody takes them: one delta that replaces them all
                together = self.delta_since(self.outbox[0].since)
                self.outbox.clear()
                self.outbox.append(together)
        if self.undo is not None and inverses:
            self.undo.record(inverses)
        if self.watchers is not None:
            self.watchers.notify(touched or {}, None, only_news=failed)

    def _refresh_eager(self) -> None:
        was, self.eager = (
            self.eager,
            bool(
                self._depth
                or self.outbox is not None
                or self.undo is not None
                or self.history is not None
                or self.watchers is not None
            ),
        )
        if self.eager and not was:
            self._before = self.version.copy()
        if not self.eager:
            self._stands_for.clear()

    def listen(
        self, *, outbox: deque[Delta] | None = None, undo: UndoStack | None = None, watchers: Watchers | None = None
    ) -> None:
        """Begin to keep operations, to record undo steps, or to tell watchers."""
        self.outbox = self.outbox if outbox is None else outbox
        self.undo = self.undo if undo is None else undo
        self.watchers = self.watchers if watchers is None else watchers
        self._refresh_eager()

    def keep(self, history: History | None) -> None:
        """Begin to keep a history, or end it."""
        self.history = history
        self._refresh_eager()

    def blank_root(self) -> Crdt:
        """An empty, read-only root of the same type, in a document of its own."""
        root = self.root
        new = type(root).__new__(type(root))
        new._place(Document(new, None), None, None, attached=True)
        new._configure(root._shape())
        new._bottom()
        return new

    # ---- identity ----------------------------------------------------------------------------------------------

    def adopt(self, replica: ReplicaContext) -> None:
        """Write under this identity from now on. Raises `UsageError` when its events are already in this document."""
        if (n := self.version.get(replica.identity, 0)) > 0:
            raise UsageError(
                f"{short(replica.identity)} has already written {n} events here: it may have written more elsewhere",
                reason=Reason.DUPLICATE_IDENTITY,
                hint="Use a new identity for each copy; resume(...) is for a process that kept both together",
            )
        self._write_as(replica, 0)

    def resume(self, replica: ReplicaContext) -> None:
        """Go on writing under an identity that was stored, together with this very state, before it was let go of."""
        self._write_as(replica, self.version.get(replica.identity, 0))

    def _write_as(self, replica: ReplicaContext, n: int) -> None:
        self.journal.close_run(self.me, self.version)
        last = self._latest_stamp()
        self.me, self.n, self.clock = replica.identity, n, replica.clock
        self.clock.resume(last)

    def _latest_stamp(self) -> int:
        return self._stamp if self.clock is None else max(self._stamp, self.clock.last)

    def release(self) -> None:
        """Give up the identity: read-only from now on."""
        self.journal.close_run(self.me, self.version)
        self.me = None

    # ---- deltas ------------------------------------------------------------------------------------------------

    def delta_since(self, version: VersionVector | None) -> Delta:
        """What a replica at `version` lacks; the whole state when the journal does not reach back that far."""
        touched = None if version is None else self.journal.since(self.me, check_version(version))
        return self._delta(None if touched is None or version is None else version, touched)

    def _delta(self, since: VersionVector | None, touched: Touched | None) -> Delta:
        out = Outgoing(since, touched)
        root = self.root
        part = root._part(None, out) if since is None else out.part_of(root)
        since = None if since is None else since.meet(self.version)
        return Delta(root.tag, since, self.version.copy(), part, self._latest_stamp())

    def apply(self, delta: Delta, origin: object = None) -> bool:
        """Join a delta; returns whether anything was new. Applying it again, or an older one, changes nothing.

        Raises, and then changes nothing: `GapError`, `ClockDriftError`, `DuplicateIdentityError`, `DecodeError` (of
        another type), `UsageError` inside a transaction.
        """
        root = self.root
        check_tag(delta.tag, type(root))
        if self._depth:
            raise UsageError("a delta cannot be applied inside a transaction", reason=Reason.INVALID_ARGUMENT)
        if delta.since is not None and not self.version.covers(delta.since):
            raise gap(self.version, delta.since)
        if self.me is not None and delta.upto.get(self.me, 0) > self.n:
            raise duplicate(self.me, delta.upto[self.me], self.n)
        if self.version.covers(delta.upto):
            return False
        incoming = Incoming(self.version, delta.upto, self.watchers)
        try:
            if root.may_refuse:
                root._admit(delta.part, incoming)
            if self.clock is not None:
                self.clock.observe(delta.stamp)
            elif delta.stamp > self._stamp:
                self._stamp = delta.stamp
        except BaseException:
            incoming.withdraw()
            raise
        self.journal.close_run(self.me, self.version)
        root._join(delta.part, incoming)
        self.version = self.version.join(delta.upto)
        if delta.since is None:
            self.journal.restart(self.version)  # a state does not say what was removed on the way to it
        else:
            self.journal.batch(incoming.nodes, incoming.keys, self.version)
        self.duplicates |= incoming.duplicates
        if self.history is not None:
            self.history.add(delta)
        if self.eager:
            self._before = self.version.copy()
            if self.watchers is not None:
                self.watchers.notify(incoming.changed or {}, delta if origin is None else origin)
        return True

    def stabilize(self, stable: VersionVector) -> None:
        """Drop what is kept only for replicas that have not seen `stable` (see `ringleader.clock.Stability`)."""
        if not self.version.covers(check_version(stable)):
            raise UsageError("a stable version cannot be ahead of our own", reason=Reason.INVALID_ARGUMENT)
        self.root._stabilize(stable)
        self.journal.forget(stable)
