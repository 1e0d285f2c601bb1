"""One simulated client's leases: granted, kept alive or forgotten, given up; keys that hang on them; and a lock under one.

The lock is what the library's own is: a key that only one can create, which goes with its holder's lease, and whose creation
revision is the fencing token that every write of the guarded resource names. A holder believes in its lock for nine tenths
of the lease, by its own clock, from when it asked for the time: what the library's `Lease` does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ringleader.errors import RingleaderError
from ringleader.sim.choice import Choice, stream
from ringleader.store.commands import (
    Command,
    Compare,
    Delete,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    Txn,
    TxnResult,
)

if TYPE_CHECKING:
    from ringleader.sim.caller import Caller

__all__ = ["Leasing"]

LOCK, RESOURCE = b"lock", b"lresource"
TRUST = 0.9
"""The share of a lease's time that its holder believes in."""


class Own:
    """A lease that this client was granted. `kept`: whether it is kept alive. `until`: believed in up to then (own time)."""

    __slots__ = ("id", "kept", "sent", "ttl", "until")

    def __init__(self, id: int, ttl: float, sent: float, kept: bool) -> None:
        self.id = id
        self.ttl = ttl
        self.sent = sent  # own time at which the time was last asked for
        self.until = sent + TRUST * ttl
        self.kept = kept


class Leasing:
    """All leases of one process of `caller`, and the lock that it holds: `token` 0 means none, else under lease `under`."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.world = caller.world
        self.timeline = caller.timeline
        self.options = caller.world.options.load
        self.moments = stream(self.world.options.seed, f"leases {caller.place}")
        self.beats = 0
        self.owned: dict[int, Own] = {}
        self.asked = 0  # grants under way
        self.token = 0
        self.under: Own | None = None
        self.acquiring = False

    def start(self) -> None:
        """A new process knows nothing of what the one before had."""
        self.owned = {}
        self.asked = self.token = 0
        self.under = None
        self.acquiring = False
        if self.options.leases:
            self._next()

    def believes(self) -> bool:
        """Whether this client takes itself for the holder of the lock right now."""
        caller = self.caller
        return caller.running and self.token > 0 and self.under is not None and caller.now < self.under.until

    # ------------------------------------------------------------------------------------------------------- beats

    def _next(self) -> None:
        delay = self.moments.expovariate(1.0 / self.options.lease_beat)
        self.timeline.after(delay, self._beat, self.caller.life, Choice(self.moments.getrandbits(64)))

    def _beat(self, life: int, choice: Choice) -> None:
        caller = self.caller
        if life != caller.life or not caller.calling or caller.held(self._beat, life, choice):
            return
        self._next()
        self.beats += 1
        if self.world.wanted((caller.place, -self.beats)):
            caller.act(self._act, choice)

    def _act(self, choice: Choice) -> None:
        self._keep_alive()
        if len(self.owned) + self.asked < self.options.leases:
            self._grant(choice)
            return
        own = choice.choice(list(self.owned.values())) if self.owned else None
        kind = choice.random()
        if own is None or kind < 0.15:
            first, second = choice.sample(range(4), 2)
            puts: list[Put | Delete | Range | Txn] = [Put(b"l%d" % n, self._unique(choice)) for n in (first, second)]
            self._submit(Txn([], puts), choice)
        elif kind < 0.4:
            self._submit(Put(b"l%d" % choice.randrange(4), self._unique(choice), own.id), choice)
        elif kind < 0.45:
            self._submit(Put(b"l%d" % choice.randrange(4), self._unique(choice)), choice)
        elif kind < 0.55:
            self._ask_about(own)
        elif kind < 0.6 and own is not self.under:
            del self.owned[own.id]
            self._submit(LeaseRevoke(own.id), choice)
        else:
            self._lock_step(own, choice)

    def _unique(self, choice: Choice) -> bytes:
        return self.caller.load.unique(choice)

    def _submit(self, command: Command, choice: Choice, then: Any = None) -> None:
        timeout = self.options.timeout * choice.uniform(0.5, 1.5)
        self.caller.submit(command, timeout, once=True, then=then or _ignore)

    # ------------------------------------------------------------------------------------------------------ leases

    def _grant(self, choice: Choice) -> None:
        self.asked += 1
        ttl = choice.choice((1.0, 2.0, 4.0))
        kept = choice.random() < 0.7
        self._submit(LeaseGrant(int(ttl * 1000)), choice, partial(self._granted, self.caller.now, kept))

    def _granted(self, sent: float, kept: bool, answer: Any) -> None:
        self.asked -= 1
        if not isinstance(answer, RingleaderError):
            self.owned[answer.id] = Own(answer.id, answer.ttl_ms / 1000, sent, kept)

    def _keep_alive(self) -> None:
        """Ask for more time for those a third of whose time is over; forget those that must be gone."""
        now = self.caller.now
        for own in list(self.owned.values()):
            if now > own.sent + 3.0 * own.ttl:
                self._lost(own)
            elif own.kept and now > own.sent + own.ttl / 3.0:
                own.sent = now
                then = partial(self._kept, own, now)
                self.caller.submit(LeaseKeepAlive(own.id), max(own.ttl, 0.5), once=False, then=then)

    def _kept(self, own: Own, sent: float, answer: Any) -> None:
        if not isinstance(answer, RingleaderError):
            own.until = max(own.until, sent + TRUST * own.ttl)
        elif answer.reason.value == "lease-not-found":
            self.world.probes.hit("keep-alive came too late")
            self._lost(own)

    def _lost(self, own: Own) -> None:
        self.owned.pop(own.id, None)
        if own is self.under:
            self.token, self.under = 0, None

    def _ask_about(self, own: Own) -> None:
        asked = self.timeline.now
        then = partial(self._told, own.id, asked)
        self.caller.query(LeaseInfo(own.id, True), self.options.timeout, "linearizable", then)

    def _told(self, id: int, asked: float, answer: Any) -> None:
        if isinstance(answer, LeaseInfoResult):
            self.world.truth.lease_told(answer, asked)

    # -------------------------------------------------------------------------------------------------------- lock

    def _lock_step(self, own: Own, choice: Choice) -> None:
        """Take the lock, write what it guards, or let go of it."""
        if not self.token:
            if not self.acquiring and own.kept:
                self.acquiring = True
                put = Put(LOCK, self._unique(choice), own.id)
                take = Txn([Compare(LOCK, "create", "=", 0)], [put], [Range(LOCK)])
                self._submit(take, choice, partial(self._acquired, own))
            return
        held = Compare(LOCK, "create", "=", self.token)
        if choice.random() < 0.3 and self.under is not None:
            self.token, self.under = 0, None
            self._submit(Txn([held], [Delete(LOCK)]), choice)
        else:  # also when it no longer believes in it: a holder that was paused knows nothing of that
            self._submit(Txn([held], [Put(RESOURCE, self._unique(choice))]), choice, self._wrote)

    def _acquired(self, own: Own, answer: Any) -> None:
        self.acquiring = False
        if not isinstance(answer, TxnResult) or not answer.succeeded:
            return
        if own.id not in self.owned:
            return  # it has given the lease up meanwhile, and the lock goes with it
        self.token, self.under = answer.revision, own
        self.world.probes.hit("lock taken")
        self.world.one_holder()

    def _wrote(self, answer: Any) -> None:
        if isinstance(answer, TxnResult) and not answer.succeeded:
            self.world.probes.hit("fenced off")
            self.token, self.under = 0, None


def _ignore(answer: Any) -> None:
    """Nobody waits for this one."""
