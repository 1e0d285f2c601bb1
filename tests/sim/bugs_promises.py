"""Bugs in what clients are promised beyond single keys: leases, locks, lease reads and watches (hazards 28 and 31 to 34)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace

from ringleader.client.watches import Watch
from ringleader.group.host import Host
from ringleader.group.logtime import LogTime
from ringleader.group.service import Service
from ringleader.sim.options import ClockOptions, NetOptions, Options
from ringleader.store import txn
from ringleader.store.commands import Compare, ExpireLeases, KeyValue, LeaseKeepAlive, LeaseListResult, LeaseResult
from ringleader.store.lease import Leases
from ringleader.store.store import Store
from ringleader.store.watch import WatchHub
from ringleader.wire.frames import WatchCreate, WatchEvents
from sim.bugkit import Bug, set_

__all__ = ["PROMISE_BUGS"]


def expiry_unchecked(stack: ExitStack) -> None:
    def expire(self: Store, op: ExpireLeases) -> LeaseListResult:
        ended = [id for id in op.ids if id in self._leases.by_id]
        for id in ended:
            self._writer.end_lease(id)
        return LeaseListResult(self.revision, ended)

    set_(stack, Store, "_expire_leases", expire)


def time_of_its_own(stack: ExitStack) -> None:
    original = LogTime.start

    def start(self: LogTime, applied_ms: int, now: float) -> None:
        original(self, max(applied_ms, int(now * 1000)), now)

    set_(stack, LogTime, "start", start)


def keep_alive_forgotten(stack: ExitStack) -> None:
    def keep_alive(self: Store, op: LeaseKeepAlive) -> Any:
        lease = self._leases.by_id.get(op.id)
        return original(self, op) if lease is None else LeaseResult(self.revision, op.id, lease.ttl_ms)

    original = Store._lease_keep_alive
    set_(stack, Store, "_lease_keep_alive", keep_alive)


def keys_left_behind(stack: ExitStack) -> None:
    def move(self: Leases, key: bytes, old: int, new: int) -> None:
        if new:
            self.by_id[new].keys.add(key)

    def end_lease(self: Any, lease_id: int) -> None:
        mvcc = self.mvcc
        mvcc.begin()
        for key in sorted(self.leases.by_id[lease_id].keys):
            if key in mvcc.current:
                mvcc.delete(key)
        mvcc.commit()
        self.leases.end(lease_id)

    from ringleader.store.writes import Writer

    set_(stack, Leases, "move", move)
    set_(stack, Writer, "end_lease", end_lease)


def fence_ignored(stack: ExitStack) -> None:
    original = txn._meets

    def meets(kv: KeyValue | None, compare: Compare) -> bool:
        if compare.target == "create" and compare.value:
            return kv is not None
        return original(kv, compare)

    set_(stack, txn, "_meets", meets)


def clock_not_read(stack: ExitStack) -> None:
    set_(stack, Host, "observe", lambda self, now: None)


def watch_goes_back(stack: ExitStack) -> None:
    original = Watch.request

    def request(self: Watch, wire: int) -> WatchCreate:
        if self.seen > 1:
            self.seen -= 1
        return original(self, wire)

    set_(stack, Watch, "request", request)


def watch_starts_anew(stack: ExitStack) -> None:
    original = Watch.request

    def request(self: Watch, wire: int) -> WatchCreate:
        frame = original(self, wire)
        return replace(frame, start_revision=0) if self.up else frame

    set_(stack, Watch, "request", request)


def progress_ahead(stack: ExitStack) -> None:
    original = Service._watch_on

    def watch_on(self: Service, conn: int, connection: Any, frame: WatchCreate) -> None:
        original(self, conn, connection, frame)
        if frame.watch in connection.watches:
            self.send(conn, WatchEvents(frame.watch, self.member.store.revision, []))

    set_(stack, Service, "_watch_on", watch_on)


def _start_changed(stack: ExitStack, change: Any) -> None:
    original = WatchHub.create

    def create(self: WatchHub, key: bytes, range_end: bytes, start: int, *flags: bool) -> Any:
        return original(self, key, range_end, change(self, start), *flags)

    set_(stack, WatchHub, "create", create)


def future_is_now(stack: ExitStack) -> None:
    _start_changed(stack, lambda hub, start: 0 if start > hub._mvcc.revision + 1 else start)


def compacted_is_skipped(stack: ExitStack) -> None:
    _start_changed(stack, lambda hub, start: max(start, hub._mvcc.compact_revision) if start > 0 else start)


def _leases(options: Options) -> Options:
    return replace(options, load=replace(options.load, leases=3, lease_beat=0.2))


def _pauses(options: Options) -> Options:
    """Leaders stand still, some of them while the others cannot tell them that they lead no more."""
    load = replace(options.load, clients=6, keys=2, reads=0.7, lease_reads=0.95, rate=150.0)
    return replace(
        options,
        clock=ClockOptions(),
        net=NetOptions(),
        load=load,
        faults={"pause": 0.7, "isolate-leader": 1.5},
        nodes=3,
    )


def _watchers(options: Options) -> Options:
    load = replace(options.load, watches=1.0, compactions=0.03)
    return replace(options, load=load, faults={"kill": 3.0, "client-disconnect": 1.0, "client-crash": 2.0})


PROMISE_BUGS = [
    Bug("lease-read-after-pause", 28, "a node that was paused does not look at its clock", clock_not_read, _pauses),
    Bug(
        "expiry-unchecked",
        31,
        "an expiry in the log ends leases that were kept alive meanwhile",
        expiry_unchecked,
        _leases,
    ),
    Bug("time-of-its-own", 31, "a new leader's log time follows its own clock", time_of_its_own, _leases),
    Bug("keep-alive-forgotten", 31, "a keep-alive is answered and gives no time", keep_alive_forgotten, _leases),
    Bug("keys-left-behind", 31, "a key put anew still goes with its old lease", keys_left_behind, _leases),
    Bug("fence-ignored", 32, "any creation revision passes for the fencing token", fence_ignored, _leases),
    Bug("watch-goes-back", 33, "a watch set up again repeats a revision", watch_goes_back, _watchers),
    Bug("watch-starts-anew", 33, "a watch set up again starts from now", watch_starts_anew, _watchers),
    Bug("progress-ahead", 33, "progress is told ahead of events", progress_ahead, _watchers),
    Bug("future-is-now", 34, "a watch from a future revision starts now", future_is_now, _watchers),
    Bug(
        "compacted-is-skipped",
        34,
        "a watch from compacted history silently starts later",
        compacted_is_skipped,
        _watchers,
    ),
]
