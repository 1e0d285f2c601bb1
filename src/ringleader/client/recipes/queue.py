"""A queue of messages: first in, first out within a priority, each handed out to one consumer at a time.

A message is a key whose name sorts by priority, then by the store's revision at which it was put. Who takes it puts a claim
beside it, attached to the consumer's lease, in a transaction that finds none: a consumer that dies loses its claims, and its
messages are handed out again. The create revision of the claim is the fencing token; an `ack` deletes message and claim
only if the claim is still that one. Consumers that find nothing stand in a line, and only the first of it watches.
"""

from __future__ import annotations

import asyncio

import msgspec

from ringleader.client.engine import Engine
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import key, put
from ringleader.client.recipes.consumer import Consumer
from ringleader.client.recipes.messages import TOP_PRIORITY, QueueKeys
from ringleader.client.recipes.patience import Budget
from ringleader.client.types import to_bytes, whole
from ringleader.errors import Reason, UsageError

__all__ = ["Queue", "QueueSize"]


class QueueSize(msgspec.Struct, frozen=True):
    """`messages`: all that were not acknowledged; `claimed`: those of them that a consumer has."""

    messages: int
    claimed: int


class Queue:
    """A queue by name: `await db.queue("mail").put("...")`, and `async with db.queue("mail").consumer() as mail:`."""

    def __init__(self, engine: Engine, kv: KV, name: str, timeout: float) -> None:
        self._engine = engine
        self._kv = kv
        self._timeout = timeout
        self._keys = QueueKeys(name)
        self.name = name

    async def put(self, value: str | bytes, *, priority: int = 0, timeout: float | None = None) -> str:
        """Add a message; returns its id. Of two, the one of the higher `priority` (0 to 255) is handed out first.

        Messages of one priority are handed out in the order in which they were put: one whose `put` has returned comes
        before one whose `put` is called after that, by whomever. (Consumers that reach for the same message at the same
        moment go on with others of the first, in any order.)
        """
        data = to_bytes(value, "message")
        if whole(priority, "priority") > TOP_PRIORITY:
            raise UsageError(
                f"priority is an int from 0 to {TOP_PRIORITY}, not {priority}", reason=Reason.INVALID_ARGUMENT
            )
        budget = Budget(self._timeout if timeout is None else timeout, f"put into queue {self.name!r}")
        known = self._engine.revision
        if known:
            # Whatever is in the queue came before, unless a message has a later place than this one would get.
            first, end = self._place(priority, known), self._keys.messages + b"%02x~" % (TOP_PRIORITY - priority)
            id = self._id(priority, known)
            writes = [put(self._keys.messages + id, data)]
            result = await self._kv.txn(
                compare=[key(first, range_end=end).missing], success=writes, timeout=budget.left
            )
            if result.succeeded:
                return id.decode()
            known = result.revision
        else:
            known = (await self._kv.range(self._keys.base, timeout=budget.left)).revision
        id = self._id(priority, known)
        await self._kv.put(self._keys.messages + id, data, timeout=budget.left)
        return id.decode()

    def _place(self, priority: int, revision: int) -> bytes:
        return self._keys.messages + b"%02x%016x" % (TOP_PRIORITY - priority, revision)

    def _id(self, priority: int, revision: int) -> bytes:
        """Sorts by priority, then by a revision that came after everything put before, then anyhow."""
        return b"%02x%016x%012x" % (TOP_PRIORITY - priority, revision, self._engine.entropy.getrandbits(48))

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
