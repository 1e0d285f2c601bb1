"""Work shared out among workers, blocking: a thread for each shard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Literal, Self
from weakref import WeakValueDictionary

from ringleader.client import Condition
from ringleader.client import Shard as AsyncShard
from ringleader.client import ShardChange as AsyncShardChange
from ringleader.client import Shards as AsyncShards
from ringleader.sync._mirror import Lost, Mirror, blocking, call
from ringleader.sync._runner import run

__all__ = ["Shard", "ShardChange", "Shards"]


class Shard(Mirror[AsyncShard]):
    """A shard that this worker owns, or owned. See `ringleader.Shard`."""

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def id(self) -> int:
        """Its number, from 0 to count - 1."""
        return self._inner.id

    @property
    def key(self) -> bytes:
        """The key in the store that stands for the ownership."""
        return self._inner.key

    @property
    def fencing_token(self) -> int:
        """A number that grows with every owner; pass it on to what you write to."""
        return run(call(lambda: self._inner.fencing_token))

    @property
    def owned(self) -> bool:
        """Whether it is certainly owned at this moment."""
        return run(call(lambda: self._inner.owned))

    @property
    def lost(self) -> Lost:
        """Set as soon as the shard may have another owner."""
        return Lost(lambda: self._inner.lost)

    @property
    def stopping(self) -> Lost:
        """Set when work on it should end: it is to move, or was lost, or the group was left."""
        return Lost(lambda: self._inner.stopping)

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is owned."""
        return run(call(lambda: self._inner.condition))

    def check(self) -> None:
        """Raise `NotAppliedError` (lease-lost) unless it is certainly owned at this moment."""
        run(call(self._inner.check))


class ShardChange(Mirror[AsyncShardChange]):
    """What happened to a shard: `kind` is "start", "stop" or "lost". See `ringleader.ShardChange`."""

    def __init__(self, inner: AsyncShardChange, shard: Shard) -> None:
        super().__init__(inner)
        self._shard = shard

    @property
    def kind(self) -> Literal["start", "stop", "lost"]:
        """ "start": it is yours. "stop": end the work on it, then release it. "lost": stop at once, then release it."""
        return self._inner.kind

    @property
    def shard(self) -> Shard:
        """The shard; the same object for all changes of one ownership."""
        return self._shard


ShardHandler = Callable[[Shard], None]
"""What works on a shard, in a thread of its own, until `shard.stopping` is set."""


class Shards(Mirror[AsyncShards]):
    """A group that shares out shards among its workers: `with db.shards("jobs") as shards:`. See `ringleader.Shards`."""

    def __init__(self, inner: AsyncShards) -> None:
        super().__init__(inner)
        self._shards: WeakValueDictionary[AsyncShard, Shard] = WeakValueDictionary()

    @property
    def group(self) -> str:
        """The name of the group."""
        return self._inner.group

    @property
    def count(self) -> int:
        """How many shards there are."""
        return self._inner.count

    @property
    def worker(self) -> str:
        """The id of this worker at the moment, "" before it joined."""
        return self._inner.worker

    @property
    def epoch(self) -> int:
        """The number of the present table, as far as this worker knows."""
        return self._inner.epoch

    @property
    def owned(self) -> list[Shard]:
        """The shards that were handed out to this worker and are certainly its own at this moment."""
        return [self._of(shard) for shard in run(call(lambda: self._inner.owned))]

    look = blocking(AsyncShards.look)

    def join(self) -> Self:
        """Become a worker of the group. Done by `with`."""
        run(self._inner.join())
        return self

    def leave(self) -> None:
        """Give all shards back and leave the group: only after all work on them has stopped.

        When `run` is under way in another thread it ends first, with all its handlers; so do not call this from a handler.
        """
        run(self._inner.leave())

    def release(self, *shards: Shard) -> None:
        """Say that work on these shards has stopped, and wait until they are given back. Harmless when repeated."""
        run(self._inner.release(*(shard._inner for shard in shards)))

    def run(self, handler: ShardHandler) -> None:
        """Have a thread `handler(shard)` for each shard of this worker; it must end when `shard.stopping` is set.

        Joins and leaves if that was not done. A handler that raises ends `run` with that error, after the others have ended.
        """

        async def work(shard: AsyncShard) -> None:
            thread = asyncio.get_running_loop().run_in_executor(pool, handler, self._of(shard))
            try:
                await asyncio.shield(thread)
            except asyncio.CancelledError:
                shard.stopping.set()  # also when it is `run` that ends
                await thread
                raise

        with ThreadPoolExecutor(self._inner.count, f"shards-{self._inner.group}") as pool:
            run(self._inner.run(work))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ShardChange:
        async def step() -> AsyncShardChange | None:
            try:
                return await anext(self._inner)
            except StopAsyncIteration:
                return None

        change = run(step())
        if change is None:
            raise StopIteration
        return ShardChange(change, self._of(change.shard))

    def __enter__(self) -> Self:
        return self.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def _of(self, shard: AsyncShard) -> Shard:
        found = self._shards.get(shard)
        if found is None:
            found = self._shards[shard] = Shard(shard)
        return found
