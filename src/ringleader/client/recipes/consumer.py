"""One who takes messages of a queue: claims the first that nobody has, waits in line when there is none.

A claim and an acknowledgement bring along, in the same transaction, what comes next. A consumer that goes on from there makes
sure, by conditions of its next claim, that nothing has come or come back before that message; if something has, the failed
claim tells how things stand, and it chooses again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, Operation, delete, get, key, put, span
from ringleader.client.recipes.line import Line
from ringleader.client.recipes.messages import Message, QueueKeys, View, view_of
from ringleader.client.types import KeyValue, RangeResult
from ringleader.errors import DeadlineError, Reason, RingleaderError
from ringleader.ports import Entropy
from ringleader.store.commands import Range

__all__ = ["Consumer"]

_LOOK = 16  # how many messages without a claim are looked at in one read
_AHEAD = 2  # and in what a transaction brings along
_SEEN = 32  # with more messages in others' hands nothing is brought along


class Consumer:
    """Takes messages of a queue, as many as it asks for. When its block ends, those not acknowledged go to others."""

    def __init__(self, kv: KV, lease: Lease, name: str, keys: QueueKeys, entropy: Entropy) -> None:
        self._entropy = entropy
        self._kv = kv
        self._lease = lease
        self._name = name
        self._keys = keys
        self._claimed = 0
        self._in_hands = 0  # how many messages others had when we last looked
        self._next: View | None = None  # as of the last transaction
        self._places = 0
        self._returning: set[asyncio.Task[None]] = set()

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lease may have ended: then all messages that it has may be handed out to others."""
        return self._lease.lost

    async def get(self, *, timeout: float | None = None) -> Message:
        """The next message; waits for one, `timeout` seconds at most (`None`: as long as it takes, 0: not at all).

        Raises `DeadlineError` when none came, `NotAppliedError` (lease-lost) when the lease was lost. A `get` that is
        cancelled leaves no message claimed.
        """
        self._lease.check()
        waits = timeout is None or timeout > 0
        try:
            # Who does not wait still has to ask whether there is one.
            async with asyncio.timeout(timeout if waits else self._lease._timeout):
                found, _ = await self._take_first()
                if found is None and not waits:
                    raise TimeoutError
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
        line, also = self._line(), also or []
        view, self._next = self._next, None
        if view is not None and view.free:
            first = view.free[0]
            before = [id for id in view.taken if id < first]
            same = [key(self._keys.claims + id).exists for id in before]
            none_new = key(self._keys.messages, range_end=self._keys.messages + first).mod_revision < view.revision + 1
            message = await self._safely(line, first, also, [none_new, *same])
            if message is not None:
                return message, view.revision
            view = self._next  # as the failed claim found it
        else:
            view = None
        while True:
            if view is None:
                view = await line.insist(self._look)
            free, place = list(view.free), 0  # the first; then any, where others are not likely to be
            while free:
                message = await self._safely(line, free.pop(place), also)
                if message is not None:
                    return message, view.revision
                place = self._entropy.getrandbits(32) % len(free) if free else 0
            if not view.free and view.whole:
                return None, view.revision
            view = None

    async def _safely(
        self, line: Line, id: bytes, also: list[Operation], conditions: Sequence[Condition] = ()
    ) -> Message | None:
        """Claim one message, and give it back when nobody waits for it any more."""
        claim = asyncio.ensure_future(self._claim(line, id, also, conditions))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            self._return(claim)
            raise

    async def _look(self) -> View:
        """All claims, and as many messages that at least some of them are free, if there are free ones."""
        keys = self._keys
        claims, messages = await asyncio.gather(
            self._kv.range(keys.claims, prefix=True, keys_only=True),
            self._kv.range(keys.messages, prefix=True, keys_only=True, limit=self._in_hands + _LOOK),
        )
        self._in_hands = len(claims)  # next time, if this was not enough
        return view_of(keys, claims, messages)

    def _ahead(self) -> list[Operation]:
        """What a transaction reads besides, to know what comes next; the last of its operations."""
        keys = self._keys
        if self._in_hands > _SEEN:
            return []
        found = ((folder, span(folder, None, True)[1]) for folder in (keys.claims, keys.messages))
        return [Range(first, end, limit=self._in_hands + _AHEAD, keys_only=True) for first, end in found]

    def _see(self, results: Sequence[object]) -> None:
        """The results of a transaction that has read ahead."""
        claims, messages = results[-2:]
        assert isinstance(claims, RangeResult)
        assert isinstance(messages, RangeResult)
        self._in_hands = claims.count
        self._next = None if claims.more else view_of(self._keys, claims, messages)

    async def _claim(
        self, line: Line, id: bytes, also: list[Operation], conditions: Sequence[Condition]
    ) -> Message | None:
        """Claim one message; None when another was first, or when the conditions do not hold.

        A repetition after a lost answer finds its own claim.
        """
        message, claim, tries = self._keys.messages + id, self._keys.claims + id, self._keys.tries + id
        self._claimed += 1
        mine = b"%x.%d" % (self._lease.id, self._claimed)

        async def attempt() -> Message | None:
            ahead = self._ahead()
            result = await self._kv.txn(
                compare=[key(message).exists, key(claim).missing, *conditions],
                success=[
                    put(claim, mine, lease=self._lease.id),
                    put(tries, b""),
                    *also,
                    get(message),
                    get(tries),
                    *ahead,
                ],
                failure=[get(message), get(tries), get(claim), *ahead],
            )
            if ahead:
                self._see(result.results)
            body, count, *rest = [_first(part) for part in result.results if isinstance(part, RangeResult)]
            token = result.revision
            if not result.succeeded:
                theirs = rest[0]
                if theirs is None or theirs.value != mine:
                    return None
                token = theirs.create_revision
            assert body is not None
            deliveries = count.version if count is not None else 1
            return Message(
                self._kv, self._lease, self._keys, id.decode(), body.value, token, deliveries, self._ahead, self._see
            )

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
