"""Work divided over a group of workers: each owns some of the shards, alone, for as long as its lease lives.

The asyncio shell around `shardplan`: one task per worker keeps a `Board` up to date by a watch, does what `steps` says, and
writes in batches, one transaction at a time; so a group of any size has at most one write per worker under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Generator, Sequence
from functools import partial
from types import TracebackType
from typing import Literal, Self

from ringleader.client.engine import Engine
from ringleader.client.failures import CompactedError
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, Operation
from ringleader.client.shard import Shard, ShardChange, ShardHandler
from ringleader.client.shardplan import BATCH, Board, ShardGroup, checked_count, steps
from ringleader.client.types import TxnResult
from ringleader.errors import NotAppliedError, Reason, RingleaderError, UsageError
from ringleader.placement import Node

__all__ = ["Shards"]

_SETTLE = 0.1  # from a change of the members to the next table: those who come together get one table, seconds
_STAGGER = 0.05  # more for each worker that joined earlier and may write the table first, seconds ...
_STAGGERED = 20  # ... at most this often
_AGAIN = 0.5  # until a table that nobody could write is tried again, seconds
_PAUSE = 0.2  # between attempts when the cluster cannot serve, seconds


class Shards:
    """A group that shares out `count` shards among its workers: `async with db.shards("jobs") as shards:`.

    Iterate over it for the changes that concern this worker, or give `run` a function to work on a shard. Each shard has
    one owner at most: a new one starts only after the old one released it or its lease ended. A worker that may have lost
    its lease owns nothing from that moment on, stops, and joins again by itself.
    """

    def __init__(
        self, engine: Engine, kv: KV, group: str, count: int, ttl: float, weight: float, name: str, timeout: float
    ) -> None:
        self._board = Board(group)
        self._count = checked_count(count)
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._weight = Node(self._name, weight).weight
        self._engine = engine
        self._kv = kv
        self._ttl = ttl
        self._timeout = timeout
        self._lease = Lease(engine, ttl, timeout)
        self._me = ""
        self._held: dict[int, Shard] = {}  # owned, or lost and not yet released by the user
        self._releases: dict[int, asyncio.Future[None]] = {}
        self._returned: list[tuple[int, int]] = []
        self._claim: list[int] = []
        self._changes: deque[ShardChange] = deque()
        self._news = asyncio.Event()
        self._wake = asyncio.Event()
        self._plan_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._closed = False
        self._running: asyncio.Event | None = None  # set when `run` has ended

    # ---------------------------------------------------------------------------------------------------- for users

    @property
    def group(self) -> str:
        """The name of the group."""
        return self._board.group

    @property
    def count(self) -> int:
        """How many shards there are."""
        return self._count

    @property
    def worker(self) -> str:
        """The id of this worker at the moment (a new one each time that it had to join again), "" before it joined."""
        return self._me

    @property
    def epoch(self) -> int:
        """The number of the present table, as far as this worker knows."""
        return self._board.epoch

    @property
    def owned(self) -> list[Shard]:
        """The shards that were handed out to this worker and are certainly its own at this moment."""
        return [shard for _, shard in sorted(self._held.items()) if shard._told and shard.owned]

    async def look(self, *, timeout: float | None = None) -> ShardGroup:
        """The group as it is in the store now; need not have joined. `count` 0: there is no such group."""
        board = Board(self._board.group)
        found = await self._kv.range(board.prefix, prefix=True, timeout=timeout)
        board.load(found, found.revision)
        return board.describe()

    async def join(self) -> Self:
        """Become a worker of the group. Done by `async with` and `await`."""
        if self._task is not None or self._closed:
            hint = "Make a new one for each time."
            raise UsageError(f"shards {self.group!r} were joined before", reason=Reason.INVALID_ARGUMENT, hint=hint)
        await self._enter()
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"shards-{self.group}")
        return self

    async def leave(self) -> None:
        """Give all shards back and leave the group: only after all work on them has stopped.

        When `run` is under way it ends first, with all its handlers; so do not wait for this within a handler.
        """
        self._closed = True
        self._news.set()
        if self._running is not None:
            await self._running.wait()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._end_all("the group was left", lost=False)
        self._news.set()
        await self._lease.revoke()

    async def release(self, *shards: Shard) -> None:
        """Say that work on these shards has stopped, and wait until they are given back. Harmless when repeated.

        A shard that was not asked back comes again, with a new token.
        """
        waiting = []
        for shard in shards:
            if self._held.get(shard.id) is not shard:
                continue
            shard._stopping.set()
            if shard._over or self._task is None:
                del self._held[shard.id]
            else:
                shard._ending = True
                self._give_back(shard)
                waiting.append(self._releases[shard.id])
        self._wake.set()
        if waiting:
            await asyncio.wait(waiting)

    async def run(self, handler: ShardHandler) -> None:
        """Have a task `handler(shard)` for each shard of this worker, cancelled when the shard is to go.

        Joins and leaves if that was not done. A shard moves only when its handler has ended. Handlers that return leave
        their shard idle; one that raises ends `run` with that error, after all others were cancelled and have ended.
        """
        if self._task is None:
            async with self:
                return await self.run(handler)
        if self._running is not None:
            raise UsageError("`run` is under way already", reason=Reason.INVALID_ARGUMENT, hint="Use another group.")
        ended = self._running = asyncio.Event()
        tasks: dict[Shard, asyncio.Task[None]] = {}
        try:
            async for change in self:
                shard = change.shard
                if change.kind == "start":
                    task = asyncio.get_running_loop().create_task(self._work(handler, shard), name=repr(shard))
                    tasks[shard] = task
                    task.add_done_callback(partial(_forget, tasks, shard))
                elif shard in tasks:
                    tasks[shard].cancel()
        finally:
            ending = list(tasks.values())
            for task in ending:
                task.cancel()
            try:
                if ending:
                    await asyncio.wait(ending)
            finally:
                self._running = None
                ended.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ShardChange:
        while True:
            while self._changes and not self._closed:
                change = self._changes.popleft()
                shard = change.shard
                if change.kind == "start":
                    if shard._ending or not shard.owned:
                        continue  # it came and went
                    shard._told = True
                return change
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            if self._task is None:
                hint = "Use it as `async with db.shards(...) as shards:`."
                raise UsageError("the group was not joined", reason=Reason.INVALID_ARGUMENT, hint=hint)
            self._news.clear()
            await self._news.wait()

    def __await__(self) -> Generator[object, None, Self]:
        return self.join().__await__()

    async def __aenter__(self) -> Self:
        return await self.join()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def _work(self, handler: ShardHandler, shard: Shard) -> None:
        """One handler, from its start until its shard is given back."""
        try:
            await handler(shard)
            await shard.stopping.wait()
        except asyncio.CancelledError:
            if not shard.stopping.is_set():
                raise  # it is `run` that ends
        except Exception as error:
            if shard.owned or not isinstance(error, RingleaderError) or error.reason is not Reason.LEASE_LOST:
                self._error = self._error or error
                self._news.set()
                return
        await self.release(shard)

    # ------------------------------------------------------------------------------------- what the user is told

    def _offer(self, number: int, token: int) -> None:
        shard = Shard(self.group, number, self._board.claim_key(number), token, self._lease)
        self._held[number] = shard
        self._tell("start", shard)

    def _tell(self, kind: Literal["start", "stop", "lost"], shard: Shard) -> None:
        self._changes.append(ShardChange(kind, shard))
        self._news.set()

    def _stop(self, shard: Shard) -> None:
        """Ask for a shard that is to move; one that the user has not seen yet goes at once."""
        shard._stopping.set()
        if shard._ending:
            return
        shard._ending = True
        if shard._told:
            self._tell("stop", shard)
        else:
            self._give_back(shard)

    def _end(self, shard: Shard, why: str, lost: bool = True) -> None:
        """A shard is not ours any more."""
        shard._over = shard._over or why
        if lost:
            shard._lost.set()
        shard._stopping.set()
        if shard.id in self._releases or not shard._told:
            self._forget(shard)
        elif lost and not shard._ending:
            self._tell("lost", shard)
        shard._ending = True

    def _end_all(self, why: str, lost: bool = True) -> None:
        for shard in list(self._held.values()):
            if not shard._over or not lost:
                self._end(shard, why, lost and not shard._over)

    def _give_back(self, shard: Shard) -> None:
        """The claim is to be deleted: nobody works on the shard."""
        if shard.id not in self._releases:
            self._releases[shard.id] = asyncio.get_running_loop().create_future()

    def _forget(self, shard: Shard) -> None:
        """Nothing is left to do for this ownership."""
        if self._held.get(shard.id) is shard:
            del self._held[shard.id]
            done = self._releases.pop(shard.id, None)
            if done is not None and not done.done():
                done.set_result(None)

    # ------------------------------------------------------------------------------------------ the worker's life

    async def _enter(self) -> None:
        """Take a lease and become a member: then the board holds the whole group with us."""
        board = self._board
        lease = self._lease
        await lease.grant()
        self._me = me = f"{lease.id:016x}"
        try:
            while True:
                found = await self._kv.range(board.prefix, prefix=True)
                board.load(found, found.revision)
                if me in board.workers:
                    return
                compare, success = board.join(me, lease.id, self._name, self._weight, self._count)
                await self._kv.txn(compare=compare, success=success)
        except BaseException:
            await lease.revoke()
            raise

    async def _live(self) -> None:
        """Be a worker, and after a loss become one again."""
        try:
            while True:
                why = await self._serve()
                self._end_all(why)
                while self._held and self._lease.alive:  # our key was deleted: what still works on a shard ends first
                    self._wake.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_PAUSE):
                            await self._wake.wait()
                if self._lease.alive:
                    await self._lease.revoke()
                await self._enter_again()
        except Exception as error:
            self._end_all("this worker has failed")
            self._error = self._error or error
            self._news.set()

    async def _enter_again(self) -> None:
        while True:
            self._lease = Lease(self._engine, self._ttl, self._timeout)
            try:
                return await self._enter()
            except UsageError as error:
                if error.reason is not Reason.LEASE_NOT_FOUND:
                    raise
            except RingleaderError as error:
                if error.reason is Reason.CLOSED:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _serve(self) -> str:
        """Own shards for as long as the lease lives; returns why that ended."""
        loop = asyncio.get_running_loop()
        lease, board, me = self._lease, self._board, self._me
        reader = loop.create_task(self._read())
        mourner = loop.create_task(self._mourn(lease))
        reader.add_done_callback(lambda _: self._wake.set())
        self._plan_at = None
        try:
            while lease.alive:
                self._wake.clear()
                if reader.done():
                    reader.result()
                    raise NotAppliedError("the client is closed", reason=Reason.CLOSED)
                if me not in board.workers:
                    return "its worker's key is gone from the store"
                self._decide()
                failed = False
                try:
                    await self._write()
                except RingleaderError as error:
                    if error.reason is Reason.LEASE_NOT_FOUND:
                        return error.message
                    if error.reason is Reason.CLOSED or isinstance(error, UsageError):
                        raise
                    failed = True
                await self._sleep(failed)
            return lease.error().message
        finally:
            for task in (reader, mourner):
                task.cancel()
            await asyncio.gather(reader, mourner, return_exceptions=True)

    async def _sleep(self, pause: bool) -> None:
        """Until there is news or it is time to write the table; `pause`: until it is time to repeat what failed."""
        if pause:
            await asyncio.sleep(_PAUSE)
            return
        try:
            async with asyncio.timeout_at(self._plan_at):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _mourn(self, lease: Lease) -> None:
        """Tell of the loss at once, also while a write is under way."""
        await lease.lost.wait()
        self._end_all(lease.error().message)
        self._wake.set()

    async def _read(self) -> None:
        """Keep the board up to date."""
        board = self._board
        while True:
            stream = self._kv.watch(board.prefix, prefix=True, start_revision=board.revision + 1)
            try:
                async for event in stream:
                    board.apply(event)
                    self._wake.set()
                return
            except CompactedError:
                found = await self._read_anew()
                if not found:
                    return
            finally:
                await stream.aclose()

    async def _read_anew(self) -> bool:
        """After history was compacted away under the watch; False when the client is closed."""
        while True:
            try:
                found = await self._kv.range(self._board.prefix, prefix=True)
            except RingleaderError as error:
                if error.reason is Reason.CLOSED:
                    return False
                if isinstance(error, UsageError):
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                self._board.load(found, found.revision)
                self._wake.set()
                return True

    def _decide(self) -> None:
        board, me = self._board, self._me
        owned = {number: shard._token for number, shard in self._held.items() if not shard._over}
        todo = steps(board, me, owned, self._held)
        for number in todo.gone:
            self._end(self._held[number], "its claim was deleted")
        for number in todo.moving:
            self._stop(self._held[number])
        for number, token in todo.gained:
            self._offer(number, token)
        self._returned, self._claim = todo.returned, todo.claim
        if board.fits:
            self._plan_at = None
        elif self._plan_at is None:
            before = min(board.rank(me), _STAGGERED)
            self._plan_at = asyncio.get_running_loop().time() + _SETTLE + before * _STAGGER

    async def _write(self) -> None:
        """Give back, write the table, claim: in this order, so that nobody waits for us without need."""
        board, me = self._board, self._me
        decided = board.table_revision
        back = [(number, self._held[number]._token) for number in self._releases] + self._returned
        for start in range(0, len(back), BATCH):
            part = back[start : start + BATCH]
            done = await self._txn([], board.write_releases(part))
            for (number, token), one in zip(part, done.results, strict=True):
                if isinstance(one, TxnResult) and one.succeeded:
                    board.released(number, done.revision)
                shard = self._held.get(number)
                if shard is not None and shard._token == token:
                    shard._over = shard._over or "it was released"
                    self._forget(shard)
            self._wake.set()
        loop = asyncio.get_running_loop()
        if self._plan_at is not None and loop.time() >= self._plan_at:
            self._plan_at = None
            if not board.fits and me in board.workers:
                await self._txn(*board.write_table(board.next_table()))
                self._plan_at = loop.time() + _AGAIN
        for start in range(0, len(self._claim), BATCH):
            if board.table_revision != decided:
                break  # it came while we wrote: what to claim is decided anew
            numbers = self._claim[start : start + BATCH]
            done = await self._txn(*board.write_claims(me, self._lease.id, numbers))
            if not done.succeeded:
                break  # there is a newer table: the watch will tell
            for number, one in zip(numbers, done.results, strict=True):
                if isinstance(one, TxnResult) and one.succeeded:
                    board.claimed(number, me, done.revision)
            self._wake.set()

    async def _txn(self, compare: Sequence[Condition], success: Sequence[Operation]) -> TxnResult:
        self._lease.check()
        timeout = max(0.001, min(self._timeout, self._lease.remaining))
        return await self._kv.txn(compare=compare, success=success, timeout=timeout)


def _forget(tasks: dict[Shard, asyncio.Task[None]], shard: Shard, task: asyncio.Task[None]) -> None:
    """The work on a shard has ended."""
    del tasks[shard]
