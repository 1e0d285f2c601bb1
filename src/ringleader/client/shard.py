"""One ownership of one shard, as the worker holds it: its token, whether it still stands, and news of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, key
from ringleader.errors import NotAppliedError, Reason

__all__ = ["Shard", "ShardChange", "ShardHandler"]


class Shard:
    """A shard that this worker owns, or owned: each ownership has an object of its own."""

    def __init__(self, group: str, number: int, name: bytes, token: int, lease: Lease) -> None:
        self._what = f"shard {number} of {group!r}"
        self._id = number
        self._key = name
        self._token = token
        self._lease = lease
        self._over = ""  # why it is not owned any more
        self._lost = asyncio.Event()
        self._stopping = asyncio.Event()
        self._told = False  # the user has it in hand
        self._ending = False  # the user was told that it ends

    def __repr__(self) -> str:
        return f"<Shard {self._id}, token {self._token}{', ' + self._over if self._over else ''}>"

    @property
    def id(self) -> int:
        """Its number, from 0 to count - 1."""
        return self._id

    @property
    def key(self) -> bytes:
        """The key in the store that stands for the ownership."""
        return self._key

    @property
    def fencing_token(self) -> int:
        """A number that grows with every owner. Pass it on to what you write to, so that it can refuse an older one."""
        self.check()
        return self._token

    @property
    def owned(self) -> bool:
        """Whether it is certainly owned at this moment, also right after a pause of the process."""
        return not self._over and self._lease.alive

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the shard may have another owner: the lease may have ended, or its claim was deleted."""
        return self._lost

    @property
    def stopping(self) -> asyncio.Event:
        """Set when work on it should end: it is to move to another worker, or it was lost, or the group was left."""
        return self._stopping

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is owned: `db.kv.txn(compare=[shard.condition], success=[...])`."""
        self.check()
        return key(self._key).create_revision == self._token

    def check(self) -> None:
        """Raise `NotAppliedError` (lease-lost) unless it is certainly owned at this moment."""
        if not self.owned:
            why = self._over or self._lease.error().message
            hint = "Stop the work on it; pass the fencing token on to what you write to."
            raise NotAppliedError(f"{self._what} is not owned: {why}", reason=Reason.LEASE_LOST, hint=hint)


class ShardChange(msgspec.Struct, frozen=True):
    """What happened to a shard. `kind`: "start": it is yours. "stop": end the work on it, then release it, another waits.
    "lost": it may have another owner already; stop at once, then release it to say that you have.
    """

    kind: Literal["start", "stop", "lost"]
    shard: Shard


ShardHandler = Callable[[Shard], Awaitable[None]]
"""What works on a shard until it is cancelled."""
