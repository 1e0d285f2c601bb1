"""Leases: a time to live in log time, and the keys that go when it ends.

A lease ends only by a command in the log (revoke, or the leader's expiry once its deadline is reached in log time), so
every member ends it at the same entry and no clock step, pause or change of leader ends one early.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

import msgspec

__all__ = ["Lease", "Leases"]


_LEFTOVERS = 1000
"""So many places of ended leases, besides as many as there are leases twice over, are left in the heap."""


class Lease(msgspec.Struct):
    """One lease: granted time and deadline in milliseconds of log time, and its keys.

    `owner`: the user whom it was granted to; "" for one from when auth was off.
    """

    id: int
    ttl_ms: int
    deadline_ms: int
    keys: set[bytes]
    owner: str = ""


class Leases:
    """All leases, and a heap of (a deadline no later than the true one, id): each lease, and some that have ended."""

    __slots__ = ("_heap", "by_id", "next_id")

    def __init__(self, leases: Iterable[Lease] = (), next_id: int = 1) -> None:
        self.by_id: dict[int, Lease] = {lease.id: lease for lease in leases}
        self.next_id = next_id
        self._heap = [(lease.deadline_ms, lease.id) for lease in self.by_id.values()]
        heapify(self._heap)

    def grant(self, lease_id: int, ttl_ms: int, now_ms: int, owner: str = "") -> Lease:
        """A new lease for the user `owner`; id 0 takes the next free number. The id must not be in use."""
        if not lease_id:
            while self.next_id in self.by_id:
                self.next_id += 1
            lease_id = self.next_id
            self.next_id += 1
        lease = Lease(lease_id, ttl_ms, now_ms + ttl_ms, set(), owner)
        self.by_id[lease_id] = lease
        heappush(self._heap, (lease.deadline_ms, lease_id))
        return lease

    def move(self, key: bytes, old: int, new: int) -> None:
        """`key` leaves lease `old` for lease `new` (0: none)."""
        if old != new:
            if old:
                self.by_id[old].keys.discard(key)
            if new:
                self.by_id[new].keys.add(key)

    def end(self, lease_id: int) -> None:
        """Forget a lease; its keys are already gone."""
        del self.by_id[lease_id]
        # Its place in the heap is found empty later; or goes here, since only a leader looks for what is due.
        if len(self._heap) > 2 * len(self.by_id) + _LEFTOVERS:
            self._heap = [(lease.deadline_ms, lease.id) for lease in self.by_id.values()]
            heapify(self._heap)

    def due(self, time_ms: int, limit: int) -> list[int]:
        """Up to `limit` leases whose deadline is reached at `time_ms`, ordered by deadline and id. Changes no state."""
        heap = self._heap
        found: list[tuple[int, int]] = []
        taken: set[int] = set()
        while heap and heap[0][0] <= time_ms and len(found) < limit:
            known_ms, lease_id = heappop(heap)
            lease = self.by_id.get(lease_id)
            if lease is None or lease_id in taken:
                continue  # ended meanwhile, or granted anew under the same id
            if lease.deadline_ms > known_ms:
                heappush(heap, (lease.deadline_ms, lease_id))
            else:
                taken.add(lease_id)
                found.append((known_ms, lease_id))
        for item in found:  # still due until the log says otherwise
            heappush(heap, item)
        return [lease_id for _, lease_id in found]
