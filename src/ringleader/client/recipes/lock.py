"""A lock across processes: who is first in a fair queue holds it, with a fencing token and news of the loss."""

from __future__ import annotations

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.recipes.held import Acquirable
from ringleader.client.recipes.line import Line
from ringleader.client.recipes.names import LOCKS, quoted
from ringleader.client.recipes.place import Place
from ringleader.errors import Reason

__all__ = ["Lock"]


class Lock(Acquirable):
    """A lock across processes: `async with db.lock("name") as lock: ... lock.fencing_token ...`.

    Fair: first come, first served. A holder that dies is followed after `ttl` seconds at the latest. As with every lock
    over a network, a holder that is paused for longer than `ttl` is followed by another before it knows: what the lock
    protects should refuse a `fencing_token` lower than one it has seen. Not re-entrant; acquire it once.
    """

    def __init__(self, kv: KV, lease: Lease, name: str, value: bytes, timeout: float | None) -> None:
        prefix = LOCKS + quoted(name, "lock") + b"/"
        super().__init__(Place(Line(kv, lease, prefix, value, Reason.LOCK_LOST, f"lock {name!r}")), timeout)
        self.name = name
