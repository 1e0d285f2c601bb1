"""Bugs in what clients are answered: stale reads, writes applied twice, a wrong word of the outcome (hazards 26, 27 and 29)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace

from ringleader.client.calls import Kind
from ringleader.client.traffic import Traffic
from ringleader.consensus.raft import reads
from ringleader.consensus.raft.core import Raft
from ringleader.group.member import Member
from ringleader.group.shared import Shared
from ringleader.sim.options import NetOptions, Options
from ringleader.store import session as store_session
from ringleader.store.auth import Caller
from ringleader.wire.frames import Query
from sim.bugkit import Bug, set_

__all__ = ["ANSWER_BUGS"]


def read_without_barrier(stack: ExitStack) -> None:
    original = Member.query

    def query(self: Member, conn: int, request: Query, caller: Caller) -> None:
        if self.core.leads:
            request = Query(request.frame, request.timeout_ms, "stale", request.reads)
        original(self, conn, request, caller)

    set_(stack, Member, "query", query)


def barrier_before_own_term(stack: ExitStack) -> None:
    """A new leader confirms reads before it has committed anything in its term."""

    def start_round(raft: Raft) -> None:
        if raft.reads.waiting:
            raft.reads.start(raft.now, raft.commit)
            raft.reads.ask_all(raft.progress)

    set_(stack, reads, "start_round", start_round)


def read_before_applied(stack: ExitStack) -> None:
    """A confirmed read is served without waiting until its index is applied."""
    from ringleader.group.readers import Readers

    original = Readers.confirmed

    def confirmed(self: Readers, token: int, index: int) -> None:
        original(self, token, 0)

    set_(stack, Readers, "confirmed", confirmed)


def sessions_forget_results(stack: ExitStack) -> None:
    original = store_session.Sessions.touch

    def touch(self: store_session.Sessions, session_id: int, ack: int, now_ms: int) -> Any:
        session = original(self, session_id, ack, now_ms)
        if session is not None:
            session.results.clear()
        return session

    set_(stack, store_session.Sessions, "touch", touch)


def client_repeats_without_session(stack: ExitStack) -> None:
    """A client sends a command again that has no session when the answer got lost."""
    original = Traffic.requeue

    def requeue(self: Traffic, flight: Any, *, doubt: bool) -> None:
        original(self, flight, doubt=doubt and flight.kind is not Kind.PLAIN)

    set_(stack, Traffic, "requeue", requeue)


def not_applied_too_soon(stack: ExitStack) -> None:
    """A node says "not applied" of its waiting writes as soon as it hears of a new term."""
    original = Member.tick

    def tick(self: Member, now: float) -> None:
        original(self, now)
        if self.core.term > self.applied_term:
            self._term_passed(self.core.term)

    set_(stack, Member, "tick", tick)


def deadline_means_not_applied(stack: ExitStack) -> None:
    """A node that gives up waiting says that the write was not applied."""
    original = Shared.refuse

    def refuse(self: Shared, conn: int, frame: int, reason: Any, message: str, *, unknown: bool = False) -> None:
        original(self, conn, frame, reason, message, unknown=False)

    set_(stack, Shared, "refuse", refuse)


def _leaders_come_and_go(options: Options) -> Options:
    load = replace(options.load, reads=0.6, lease_reads=0.0)
    faults = {"kill": 2.0, "isolate-leader": 2.0, "slow-disk": 2.0, "slow-link": 1.0}
    return replace(options, faults=faults, load=load, nodes=3)


def _late_commits(options: Options) -> Options:
    """Leaders die before the others know what they committed, while many read."""
    load = replace(options.load, reads=0.6, lease_reads=0.0, rate=150.0, keys=2)
    net = NetOptions(delay=0.005, jitter=0.05)
    return replace(options, nodes=3, faults={"kill": 1.5, "isolate-leader": 2.0}, load=load, net=net)


def _messages_overtaken(options: Options) -> Options:
    """What a read is told of overtakes what it has to wait for."""
    net = NetOptions(stream=False, delay=0.001, jitter=0.01, reorder=0.3)
    load = replace(options.load, reads=0.6, lease_reads=0.0, rate=150.0, keys=2)
    return replace(
        options, nodes=3, duration=10.0, faults_until=8.0, lasting="", net=net, load=load, faults={"kill": 5.0}
    )


def _long_patience(options: Options) -> Options:
    """Leaders change while many writes are on their way, and clients wait for what becomes of those."""
    load, net = replace(options.load, timeout=6.0, reads=0.1), NetOptions(delay=0.005, jitter=0.02)
    return replace(options, nodes=3, net=net, load=load, faults={"isolate-leader": 1.0, "hand-over": 0.7})


def _short_patience(options: Options) -> Options:
    load = replace(options.load, timeout=0.6)
    return replace(options, faults={"kill": 3.0, "isolate-leader": 2.0, "slow-disk": 2.0, "slow-link": 1.0}, load=load)


ANSWER_BUGS = [
    Bug(
        "read-without-barrier",
        26,
        "a leader answers reads without asking its followers",
        read_without_barrier,
        _leaders_come_and_go,
    ),
    Bug(
        "barrier-before-own-term",
        27,
        "reads are confirmed before the leader's term has committed",
        barrier_before_own_term,
        _late_commits,
    ),
    Bug(
        "read-before-applied",
        27,
        "a confirmed read does not wait until its index is applied",
        read_before_applied,
        _messages_overtaken,
    ),
    Bug("sessions-forget", 29, "sessions do not remember what ran", sessions_forget_results),
    Bug("client-repeats", 29, "a client repeats a write that has no session", client_repeats_without_session),
    Bug(
        "not-applied-too-soon",
        29,
        "'not applied' is said when a new term is heard of",
        not_applied_too_soon,
        _long_patience,
    ),
    Bug(
        "deadline-not-applied",
        29,
        "a write that timed out is called not applied",
        deadline_means_not_applied,
        _short_patience,
    ),
]
