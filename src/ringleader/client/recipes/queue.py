"""A queue of messages: first in, first out within a priority, each handed out to one consumer at a time.

A message is a key whose name sorts by priority, then by the store's revision at which it was put. Who takes it puts a claim
beside it, attached to the consumer's lease, in a transaction that finds none: a consumer that dies loses its claims, and its
messages are handed out again. The create revision of the claim is the fencing token; an `ack` deletes message and claim
only if the claim is still that one. Consumers that find nothing stand in a line, and only the first of it watches.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from ringleader.client.engine import Engine
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, Operation, delete, get, key, put
from ringleader.client.recipes.line import Line
from ringleader.client.recipes.names import QUEUES, quoted
from ringleader.client.recipes.patience import Budget
from ringleader.client.types import KeyValue, RangeResult, to_bytes, whole
from ringleader.errors import DeadlineError, NotAppliedError, Reason, RingleaderError, UsageError
from ringleader.ports import Entropy

__all__ = ["Consumer", "Message", "Queue", "QueueSize"]

_TOP = 255
_LOOK = 16  # how many messages without a claim are looked at in one read


class QueueSize(msgspec.Struct, frozen=True):
    """`messages`: all that were not acknowledged; `claimed`: those of them that a consumer has."""

    messages: int
    claimed: int


class _Keys:
    """Where a queue keeps what: messages, claims on them, how often each was handed out, and who waits."""

    __slots__ = ("base", "claims", "line", "messages", "tries")

    def __init__(self, name: str) -> None:
        self.base = QUEUES + quoted(name, "queue") + b"/"
        self.messages = self.base + b"q/m/"
        self.claims = self.base + b"q/c/"
        self.tries = self.base + b"tries/"
        self.line = self.base + b"line/"


class Queue:
    """A queue by name: `await db.queue("mail").put("...")`, and `async with db.queue("mail").consumer() as mail:`."""

    def __init__(self, engine: Engine, kv: KV, name: str, timeout: float) -> None:
        self._engine = engine
        self._kv = kv
        self._timeout = timeout
        self._keys = _Keys(name)
        self.name = name

    async def put(self, value: str | bytes, *, priority: int = 0, timeout: float | None = None) -> str:
        """Add a message; returns its id. Of two, the one of the higher `priority` (0 to 255) is handed out first.

        Messages of one priority are handed out in the order in which they were put: one whose `put` has returned comes
        before one whose `put` is called after that, by whomever. (Consumers that reach for the same message at the same
        moment go on with others of the first, in any order.)
        """
        data = to_bytes(value, "message")
        if whole(priority, "priority") > _TOP:
            raise UsageError(f"priority is an int from 0 to {_TOP}, not {priority}", reason=Reason.INVALID_ARGUMENT)
        budget = Budget(self._timeout if timeout is None else timeout, f"put into queue {self.name!r}")
        now = (await self._kv.range(self._keys.base, timeout=budget.left)).revision
        id = f"{_TOP - priority:02x}{now:016x}{self._engine.entropy.getrandbits(48):012x}"
        await self._kv.put(self._keys.messages + id.encode(), data, timeout=budget.left)
        return id

    def consumer(self, *, ttl: float = 10.0) -> Consumer:
        """One who takes messages: enter it with `async with`, iterate over it or `get()` one by one.

        `ttl`: after how many seconds the messages of a consumer that died are handed out to others.
        """
        return Consumer(self._kv, Lease(self._engine, ttl, self._timeout), self.name, self._keys, self._engine.entropy)

    async def size(self, *, timeout: float | None = None) -> QueueSize:
        """How many messages there are."""
        keys = self._keys
        messages, claims = await asyncio.gather(
            self._kv.range(keys.messages, prefix=True, count_only=True, timeout=timeout),
            self._kv.range(keys.claims, prefix=True, count_only=True, timeout=timeout),
        )
        return QueueSize(messages.count, claims.count)


class Message:
    """A message that was handed out. `deliveries`: how often, this time included. `async with message:` acknowledges it.

    `fencing_token`: grows each time that this message is handed out; pass it on to what you write to.
    """

    def __init__(self, kv: KV, lease: Lease, keys: _Keys, id: str, value: bytes, token: int, deliveries: int) -> None:
        self._kv = kv
        self._lease = lease
        self._keys = keys
        self._over = False
        self.id = id
        self.value = value
        self.fencing_token = token
        self.deliveries = deliveries

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self.value.decode()

    @property
    def priority(self) -> int:
        """The priority that it was put with."""
        return _TOP - int(self.id[:2], 16)

    @property
    def held(self) -> bool:
        """Whether it is certainly with this consumer alone at this moment, unless someone meddled with its keys."""
        return not self._over and self._lease.alive

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is with this consumer."""
        return key(self._claim).create_revision == self.fencing_token

    async def ack(self, *effects: Operation, timeout: float | None = None) -> None:
        """Done with it: it is handed out to nobody any more. `effects` happen in the same transaction, or not at all.

        Raises `NotAppliedError` (lock-lost) when it was handed out to another meanwhile; then nothing has happened.
        """
        name = self.id.encode()
        ends = [delete(self._keys.messages + name), delete(self._claim), delete(self._keys.tries + name)]
        result = await self._kv.txn(compare=[self.condition], success=[*effects, *ends], timeout=timeout)
        self._over = True
        if not result.succeeded:
            message = f"message {self.id} is with this consumer no more: it may have been handed out again"
            raise NotAppliedError(message, reason=Reason.LOCK_LOST, hint="Undo or ignore what was done for it.")

    async def release(self, *, timeout: float | None = None) -> None:
        """Not done with it: it is handed out again at once, at its place. Harmless when it is not ours any more."""
        await self._kv.txn(compare=[self.condition], success=[delete(self._claim)], timeout=timeout)
        self._over = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._over:
            return
        if kind is None:
            await self.ack()
        else:
            with suppress(
                RingleaderError
            ):  # then it is handed out again when the lease ends; the block's error matters
                await self.release()

    @property
    def _claim(self) -> bytes:
        return self._keys.claims + self.id.encode()


class Consumer:
    """Takes messages of a queue, as many as it asks for. When its block ends, those not acknowledged go to others."""

    def __init__(self, kv: KV, lease: Lease, name: str, keys: _Keys, entropy: Entropy) -> None:
        self._entropy = entropy
        self._kv = kv
        self._lease = lease
        self._name = name
        self._keys = keys
        self._claimed = 0
        self._in_hands = 0  # how many messages others had when we last looked
        self._places = 0
        self._returning: set[asyncio.Task[None]] = set()

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lease may have ended: then all messages that it has may be handed out to others."""
        return self._lease.lost

    async def get(self, *, timeout: float | None = None) -> Message:
        """The next message; waits for one, `timeout` seconds at most (`None`: as long as it takes).

        Raises `DeadlineError` when none came, `NotAppliedError` (lease-lost) when the lease was lost. A `get` that is
        cancelled leaves no message claimed.
        """
        self._lease.check()
        try:
            async with asyncio.timeout(timeout):
                found, _ = await self._take_first()
                return found if found is not None else await self._wait_for_one()
        except TimeoutError as error:
            if isinstance(error, RingleaderError):
                raise
            message = f"queue {self._name!r}: no message within {timeout:g} s"
            raise DeadlineError(
                message, reason=Reason.DEADLINE, hint="It is empty, or others have all of it."
            ) from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        return await self.get()

    async def open(self) -> Self:
        """Begin. Done by `async with`."""
        await self._lease.grant()
        return self

    async def close(self) -> None:
        """End; messages that were not acknowledged are handed out to others at once."""
        for task in self._returning:
            task.cancel()
        await self._lease.revoke()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ------------------------------------------------------------------------------------------------------ inside

    async def _take_first(self, also: list[Operation] | None = None) -> tuple[Message | None, int]:
        """Claim the first message that nobody has; None when there is none, as of the revision that is returned."""
        line = self._line()
        while True:
            claims, messages = await line.insist(self._look)
            taken = {each.key[len(self._keys.claims) :] for each in claims}
            free = [id for each in messages if (id := each.key[len(self._keys.messages) :]) not in taken]
            nothing, place = not free and not messages.more, 0  # the first; then any, where others are not likely to be
            while free:
                claim = asyncio.ensure_future(self._claim(line, free.pop(place), also or []))
                try:
                    message = await asyncio.shield(claim)
                except asyncio.CancelledError:
                    self._return(claim)
                    raise
                if message is not None:
                    return message, claims.revision
                place = self._entropy.getrandbits(32) % len(free) if free else 0
            if nothing:
                return None, min(claims.revision, messages.revision)

    async def _look(self) -> tuple[RangeResult, RangeResult]:
        """All claims, and as many messages that at least some of them are free, if there are free ones."""
        keys = self._keys
        claims, messages = await asyncio.gather(
            self._kv.range(keys.claims, prefix=True, keys_only=True),
            self._kv.range(keys.messages, prefix=True, keys_only=True, limit=self._in_hands + _LOOK),
        )
        self._in_hands = len(claims)  # next time, if this was not enough
        return claims, messages

    async def _claim(self, line: Line, id: bytes, also: list[Operation]) -> Message | None:
        """Claim one message; None when another was first. A repetition after a lost answer finds its own claim."""
        message, claim, tries = self._keys.messages + id, self._keys.claims + id, self._keys.tries + id
        self._claimed += 1
        mine = b"%x.%d" % (self._lease.id, self._claimed)

        async def attempt() -> Message | None:
            result = await self._kv.txn(
                compare=[key(message).exists, key(claim).missing],
                success=[put(claim, mine, lease=self._lease.id), put(tries, b""), get(message), get(tries), *also],
                failure=[get(message), get(tries), get(claim)],
            )
            body, count, *rest = [_first(part) for part in result.results if isinstance(part, RangeResult)]
            token = result.revision
            if not result.succeeded:
                (theirs,) = rest
                if theirs is None or theirs.value != mine:
                    return None
                token = theirs.create_revision
            assert body is not None
            deliveries = count.version if count is not None else 1
            return Message(self._kv, self._lease, self._keys, id.decode(), body.value, token, deliveries)

        return await line.insist(attempt)

    def _return(self, claim: asyncio.Future[Message | None]) -> None:
        """Nobody waits for what is being claimed: give it back."""
        claim.add_done_callback(lambda done: done.cancelled() or done.exception())  # also when we are closed meanwhile

        async def give_back() -> None:
            with suppress(RingleaderError):  # then it ends with the lease
                message = await claim
                if message is not None:
                    await message.release()

        task = asyncio.get_running_loop().create_task(give_back(), name=f"queue {self._name}")
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _wait_for_one(self) -> Message:
        """Stand in line; who is first looks again at every message that comes or comes back."""
        line = self._line()
        try:
            await line.join()
            await line.wait()
            while True:
                message, revision = await self._take_first([delete(line.key)])
                if message is not None:
                    return message
                await line.changed(self._keys.base + b"q/", revision + 1, prefix=True)
        except BaseException:
            self._leave(line)
            raise

    def _leave(self, line: Line) -> None:
        """Give up a place in the line, also when the waiter was cancelled."""

        async def leave() -> None:
            with suppress(RingleaderError):  # then it ends with the lease
                await self._kv.delete(line.key)

        if line.key:
            task = asyncio.get_running_loop().create_task(leave(), name=f"queue {self._name}")
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

    def _line(self) -> Line:
        self._places += 1
        folder = b"%x." % self._places  # one consumer may wait several times at once
        what = f"a consumer of queue {self._name!r}"
        return Line(self._kv, self._lease, self._keys.line, b"", Reason.LEASE_LOST, what, folder)


def _first(found: RangeResult) -> KeyValue | None:
    return found[0] if found else None
