"""A counter that many add to: exact, by compare and set, with all that wait in one event loop added in one step.

A lost answer is asked for again within the client's session, so an addition is never counted twice.
"""

from __future__ import annotations

import asyncio
from collections import deque

from ringleader.client.kv import KV
from ringleader.client.ops import get, key, put
from ringleader.client.recipes.names import COUNTERS, quoted
from ringleader.client.recipes.patience import PAUSE, Budget
from ringleader.client.types import RangeResult, whole
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    Reason,
    RingleaderError,
    UnknownDeadlineError,
    UsageError,
)
from ringleader.ports import Entropy

__all__ = ["Counter"]

_LEAST = -(1 << 63)
_MOST = (1 << 63) - 1
_BATCH = 1000


class _Addition:
    """One call of `add`. `taken`: it is part of a step under way."""

    __slots__ = ("amount", "result", "taken")

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.taken = False

    def fail(self, error: RingleaderError) -> None:
        """End it, unless nobody waits for it any more."""
        if not self.result.done():
            self.result.set_exception(error)


class Counter:
    """A whole number of 64 bits by name: `await db.counter("visits").add(1)` returns what it is then. It begins at 0.

    `timeout`: for the whole of a call, in seconds; `None`: the client's. Only a call that ends with `OutcomeUnknownError`
    (or is cancelled) may have been counted without a result. Whoever meets others tries again, each with the same chance.
    """

    def __init__(self, kv: KV, name: str, timeout: float, entropy: Entropy) -> None:
        self._entropy = entropy
        self._kv = kv
        self._key = COUNTERS + quoted(name, "counter")
        self._timeout = timeout
        self._steps: dict[asyncio.AbstractEventLoop, _Steps] = {}
        self.name = name

    async def get(self, *, timeout: float | None = None) -> int:
        """What it is now."""
        return await self._here().get(timeout)

    async def add(self, amount: int = 1, *, timeout: float | None = None) -> int:
        """Add `amount`, which may be negative; returns what it is then. Raises `UsageError` beyond 64 bits."""
        seconds = self._timeout if timeout is None else timeout
        return await self._here().add(whole(amount, "the amount", _LEAST), seconds)

    async def set(self, value: int, *, timeout: float | None = None) -> None:
        """Make it `value`, whatever it was."""
        change = put(self._key, str(whole(value, "the value", _LEAST)))
        await self._kv.txn(success=[change], timeout=timeout)

    async def compare_and_set(self, expected: int, value: int, *, timeout: float | None = None) -> bool:
        """Make it `value` if it is `expected`; whether it was."""
        whole(expected, "the expected value", _LEAST)
        whole(value, "the value", _LEAST)
        seconds = self._timeout if timeout is None else timeout
        return await self._here().compare_and_set(expected, value, seconds)

    def _here(self) -> _Steps:
        """What belongs to the loop that runs: others may run at the same time, in threads, and a fork goes on with its own."""
        loop = asyncio.get_running_loop()
        steps = self._steps.get(loop)
        if steps is None:
            for other in [each for each in list(self._steps) if each.is_closed()]:
                self._steps.pop(other, None)
            steps = self._steps[loop] = _Steps(self._kv, self.name, self._key, self._timeout, self._entropy)
        return steps


class _Steps:
    """The additions that wait in one event loop, and what is known there of the counter."""

    def __init__(self, kv: KV, name: str, where: bytes, timeout: float, entropy: Entropy) -> None:
        self._entropy = entropy
        self._kv = kv
        self._key = where
        self._timeout = timeout
        self._known = (0, 0)  # value and mod revision as last seen
        self._waiting: deque[_Addition] = deque()
        self._adder: asyncio.Task[None] | None = None
        self._trouble: RingleaderError | None = None  # why the cluster does not serve, while it does not
        self.name = name

    async def get(self, timeout: float | None = None) -> int:
        """What it is now."""
        return self._learn(await self._kv.range(self._key, timeout=timeout))

    async def add(self, amount: int, seconds: float) -> int:
        """See `Counter.add`."""
        addition = _Addition(amount)
        self._waiting.append(addition)
        if self._adder is None or self._adder.done():
            self._adder = asyncio.get_running_loop().create_task(self._add_all(), name=f"counter {self.name}")
        try:
            async with asyncio.timeout(seconds):
                return await addition.result
        except TimeoutError as error:
            if isinstance(error, RingleaderError):
                raise
            what = f"add to counter {self.name!r}: no answer within {seconds:g} s"
            if addition.taken:
                message = f"{what}; it may have been counted"
                hint = "Read the counter before you repeat it."
                raise UnknownDeadlineError(message, reason=Reason.DEADLINE, hint=hint) from None
            trouble = self._trouble
            message = what if trouble is None else f"{what}: {trouble.message}"
            hint = "Give it a longer timeout." if trouble is None else trouble.hint
            raise DeadlineError(message, reason=Reason.DEADLINE, hint=hint) from None

    async def compare_and_set(self, expected: int, value: int, seconds: float) -> bool:
        """See `Counter.compare_and_set`."""
        budget = Budget(seconds, f"compare and set of counter {self.name!r}")
        while True:
            if self._learn(await self._kv.range(self._key, timeout=budget.left)) != expected:
                return False
            if await self._swap(value, budget.left):
                return True

    async def _add_all(self) -> None:
        """Add what everyone who waits here wants to add, step by step."""
        while self._waiting:
            batch: list[_Addition] = []
            while self._waiting and len(batch) < _BATCH:
                batch.append(self._waiting.popleft())
            try:
                await self._add(batch)
            except RingleaderError as error:
                for addition in batch:
                    addition.fail(error)

    async def _add(self, batch: list[_Addition]) -> None:
        """Repeat one step until it meets nobody else's: of any that meet, one succeeds."""
        loop = asyncio.get_running_loop()
        fresh = False  # what is known of the counter was read since we began
        while batch := [addition for addition in batch if not addition.result.done()]:
            sums, beyond = self._sums(batch)
            started = loop.time()
            try:
                if beyond and not fresh:
                    await self.get()
                    fresh = True
                    continue
                for addition in beyond:
                    message = f"counter {self.name!r}: {self._known[0]:,} and {addition.amount:,} is beyond 64 bits"
                    addition.fail(UsageError(message, reason=Reason.INVALID_ARGUMENT))
                for addition, _ in sums:
                    addition.taken = True
                if not sums or await self._swap(sums[-1][1], self._timeout):
                    self._trouble = None
                    for addition, result in sums:
                        if not addition.result.done():
                            addition.result.set_result(result)
                    return
                fresh = True
                _not_counted(sums)
                # Others were first. Without chance those who came first once would be first each time.
                await asyncio.sleep((loop.time() - started) * self._entropy.random())
            except NotAppliedError as error:
                if error.reason is Reason.CLOSED:
                    raise
                self._trouble = error
                _not_counted(sums)
                await asyncio.sleep(PAUSE)

    def _sums(self, batch: list[_Addition]) -> tuple[list[tuple[_Addition, int]], list[_Addition]]:
        """Each addition with what the counter is after it, and those that would go beyond 64 bits."""
        total = self._known[0]
        sums: list[tuple[_Addition, int]] = []
        beyond: list[_Addition] = []
        for addition in batch:
            if _LEAST <= total + addition.amount <= _MOST:
                total += addition.amount
                sums.append((addition, total))
            else:
                beyond.append(addition)
        return sums, beyond

    async def _swap(self, value: int, timeout: float) -> bool:
        """Put `value` if nobody has changed the counter since it was last seen; otherwise see what it is."""
        result = await self._kv.txn(
            compare=[key(self._key).mod_revision == self._known[1]],
            success=[put(self._key, str(value))],
            failure=[get(self._key)],
            timeout=timeout,
        )
        if result.succeeded:
            self._known = (value, result.revision)
        else:
            found = result.results[0]
            assert isinstance(found, RangeResult)
            self._learn(found)
        return result.succeeded

    def _learn(self, found: RangeResult) -> int:
        if not found:
            self._known = (0, 0)
            return 0
        try:
            value = int(found[0].value)
        except ValueError:
            message = f"counter {self.name!r}: its key holds {found[0].value[:32]!r}, which is no number"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT, hint="Use set() to begin anew.") from None
        self._known = (value, found[0].mod_revision)
        return value


def _not_counted(sums: list[tuple[_Addition, int]]) -> None:
    for addition, _ in sums:
        addition.taken = False
