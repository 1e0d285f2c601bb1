"""The store against the naive model: any commands in any order, with repetitions, compaction, watches and restores."""

from __future__ import annotations

from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ringleader.errors import Reason
from ringleader.store.codec import decode_batch, encode_batch
from ringleader.store.commands import (
    Batch,
    Command,
    Compact,
    Compare,
    Delete,
    Envelope,
    ExpireLeases,
    Failure,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    Result,
    SessionClose,
    SessionOpen,
    SessionResult,
    Txn,
)
from ringleader.store.limits import Limits
from ringleader.store.mvcc import VERSION_BYTES
from ringleader.store.store import Store
from ringleader.store.watch import Watcher
from unit.store.model import Model
from unit.store.walk import ENDS as ENDS_OF_WALK
from unit.store.walk import Maker

LIMITS = Limits(session_window=8, session_ttl_ms=5000, lease_ttl_min_ms=1000)

PICKS = st.integers(0, 7)
KEYS = st.sampled_from([b"a", b"aa", b"ab", b"b", b"b\xff", b"c"])
ENDS = st.sampled_from([b"", b"", b"\0", b"b", b"ab", b"c", b"d"])
REVISIONS = st.integers(0, 14)
VALUES = st.sampled_from([b"", b"x", b"yy"])
LEASES = st.sampled_from([0, 0, 0, 1, 2, 3])
BOUNDS = st.sampled_from([0, 0, 0, 0, 3, 5])

PUTS: st.SearchStrategy[Put] = st.one_of(
    st.builds(Put, KEYS, VALUES, LEASES, st.booleans()),
    st.builds(Put, KEYS, st.just(b""), LEASES, st.booleans(), st.just(True)),
    st.builds(Put, KEYS, VALUES, st.just(0), st.booleans(), st.just(False), st.just(True)),
)
DELETES = st.builds(Delete, KEYS, ENDS, st.booleans())
RANGES = st.builds(
    Range,
    KEYS | st.just(b"\0"),
    ENDS,
    REVISIONS,
    st.sampled_from([0, 0, 1, 2, -1]),
    st.sampled_from(["none", "ascend", "descend"]),
    st.sampled_from(["key", "key", "version", "create", "mod", "value"]),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
    BOUNDS,
    BOUNDS,
    BOUNDS,
    BOUNDS,
)
COMPARES = st.one_of(
    st.builds(
        Compare,
        KEYS,
        st.sampled_from(["version", "create", "mod", "lease"]),
        st.sampled_from(["=", "!=", "<", ">"]),
        st.integers(0, 4),
        ENDS,
    ),
    st.builds(Compare, KEYS, st.just("value"), st.sampled_from(["=", "!=", "<", ">"]), VALUES, ENDS),
)


def txns(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Txn]:
    ops = st.lists(PUTS | DELETES | RANGES | inner, max_size=3)
    return st.builds(Txn, st.lists(COMPARES, max_size=2), ops, ops)


_TXNS = txns(txns(txns(st.nothing())))
_COMMANDS: st.SearchStrategy[Command] = st.one_of(
    PUTS,
    PUTS,
    DELETES,
    _TXNS,
    _TXNS,
    st.builds(LeaseGrant, st.sampled_from([500, 2000, 9000]), LEASES),
    st.builds(LeaseRevoke, LEASES),
    st.builds(LeaseKeepAlive, LEASES),
    st.builds(ExpireLeases, st.lists(st.integers(1, 4), max_size=3)),
)


@st.composite  # keeps the name short that Hypothesis gives the strategy
def commands(draw: st.DrawFn) -> Command:
    return draw(_COMMANDS)


@st.composite
def writes(draw: st.DrawFn) -> Command:
    return draw(PUTS | _TXNS)


COMMANDS = commands()


def same(got: Result, want: Result) -> None:
    if isinstance(want, Failure):
        assert isinstance(got, Failure), (got, want)
        assert got.reason == want.reason, (got, want)
    else:
        assert got == want


class Watch:
    """A watcher and what it must still get: everything above `done`."""

    def __init__(self, watcher: Watcher, done: int, caught_up: bool) -> None:
        self.watcher = watcher
        self.done = done
        self.caught_up = caught_up


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = Store(LIMITS)
        self.model = Model(LIMITS.lease_ttl_min_ms)
        self.index = 0
        self.time_ms = 0
        self.sent: dict[int, dict[int, tuple[Command, Result]]] = {}  # session -> seq -> first run
        self.floors: dict[int, int] = {}
        self.seen_ms: dict[int, int] = {}
        self.watches: list[Watch] = []

    def apply(self, *envelopes: Envelope) -> list[list[Result]]:
        self.index += 1
        batch = decode_batch(encode_batch(Batch(1, self.time_ms, list(envelopes))))
        answers = self.store.apply(self.index, batch)
        self.model.time_ms = self.time_ms
        return answers

    def command(self, command: Command) -> None:
        [[got]] = self.apply(Envelope(1, 0, 0, [(1, command)]))
        same(got, self.model.run(command))

    def alive(self, session: int) -> bool:
        return session in self.sent and self.time_ms < self.seen_ms[session] + LIMITS.session_ttl_ms

    # ------------------------------------------------------------------------------------------------- commands

    @initialize(commands=st.lists(writes(), max_size=6))
    def start(self, commands: list[Command]) -> None:
        for command in commands:
            self.command(command)

    @rule(commands=st.lists(COMMANDS, min_size=1, max_size=4), passed_ms=st.sampled_from([0, 0, 1000, 2000]))
    def commands(self, commands: list[Command], passed_ms: int) -> None:
        self.time_ms += passed_ms
        [got] = self.apply(Envelope(1, 0, 0, list(enumerate(commands))))
        for one, command in zip(got, commands, strict=True):
            same(one, self.model.run(command))

    @rule(revision=REVISIONS)
    def compact(self, revision: int) -> None:
        self.command(Compact(revision))

    @rule(revisions=st.sampled_from([1, 2, 100]))
    def trim(self, revisions: int) -> None:
        before = self.store.snapshot()
        self.store.trim(revisions)
        assert self.store.snapshot() == before

    @rule()
    def skip(self) -> None:
        self.index += 1
        self.store.skip(self.index)

    @rule(ahead_ms=st.sampled_from([0, 1000, 2500]))
    def expire(self, ahead_ms: int) -> None:
        due = self.store.due_leases(self.time_ms + ahead_ms)
        late = [(end, one) for one, (_, end) in self.model.leases.items() if end <= self.time_ms + ahead_ms]
        assert due == [one for _, one in sorted(late)]
        self.time_ms += ahead_ms
        self.command(ExpireLeases(due))

    @rule(op=RANGES | st.builds(Txn, st.lists(COMPARES, max_size=2), st.lists(RANGES, max_size=2)))
    def read(self, op: Range | Txn) -> None:
        same(self.store.read(op), self.model.run(op))

    # ------------------------------------------------------------------------------------------------- sessions

    @precondition(lambda self: len(self.sent) < 3)
    @rule()
    def session_open(self) -> None:
        [[result]] = self.apply(Envelope(1, 0, 0, [(1, SessionOpen())]))
        assert isinstance(result, SessionResult)
        assert result.session not in self.sent
        self.sent[result.session] = {}
        self.floors[result.session] = 0
        self.seen_ms[result.session] = self.time_ms

    @precondition(lambda self: self.sent)
    @rule(
        pick=PICKS,
        calls=st.lists(st.tuples(st.integers(0, 12), COMMANDS), max_size=4),
        ahead=st.sampled_from([0, 0, 1, 3]),
        passed_ms=st.sampled_from([0, 0, 0, 1000, 6000]),
    )
    def session_commands(self, pick: int, calls: list[tuple[int, Command]], ahead: int, passed_ms: int) -> None:
        self.time_ms += passed_ms
        session = sorted(self.sent)[pick % len(self.sent)]
        ack = self.floors[session] + ahead
        got, *rest = self.apply(Envelope(1, session, ack, calls))
        assert not rest
        if not self.alive(session):
            del self.sent[session]
            assert all(isinstance(one, Failure) and one.unknown for one in got)
            assert {one.reason for one in got if isinstance(one, Failure)} <= {Reason.SESSION_EXPIRED}
            return
        self.seen_ms[session] = self.time_ms
        self.floors[session] = ack
        sent = self.sent[session]
        for one, (seq, command) in zip(got, calls, strict=True):
            if seq < ack:
                assert isinstance(one, Failure)
                assert one.unknown
            elif seq in sent:
                assert one == sent[seq][1]  # the first answer, whatever is asked now
            elif seq >= ack + LIMITS.session_window:
                assert isinstance(one, Failure)
                assert not one.unknown
            else:
                same(one, self.model.run(command))
                sent[seq] = (command, one)

    @precondition(lambda self: self.sent)
    @rule(pick=PICKS)
    def session_close(self, pick: int) -> None:
        session = sorted(self.sent)[pick % len(self.sent)]
        [[_, after]] = self.apply(Envelope(1, session, 100, [(100, SessionClose()), (101, Put(b"a", b"never"))]))
        assert isinstance(after, Failure)
        assert after.reason == Reason.SESSION_EXPIRED
        del self.sent[session]

    # -------------------------------------------------------------------------------------------------- watches

    @rule(key=KEYS | st.just(b"\0"), end=ENDS, start=REVISIONS, flags=st.tuples(*[st.booleans()] * 3))
    def watch(self, key: bytes, end: bytes, start: int, flags: tuple[bool, bool, bool]) -> None:
        watcher = self.store.watches.create(key, end, start, *flags)
        if 0 < start < self.model.compact_revision:
            assert isinstance(watcher, Failure)
            assert (watcher.reason, watcher.compact_revision) == (Reason.COMPACTED, self.model.compact_revision)
            return
        assert isinstance(watcher, Watcher)
        done = start - 1 if start else self.model.revision
        self.watches.append(Watch(watcher, done, done >= self.model.revision))

    @precondition(lambda self: self.watches)
    @rule(pick=PICKS, max_bytes=st.sampled_from([0, 60, 200, 10**9]))
    def poll(self, pick: int, max_bytes: int) -> None:
        watch = self.watches[pick % len(self.watches)]
        got = self.store.watches.poll(watch.watcher, max_bytes)
        if isinstance(got, Failure):
            assert got.reason == Reason.COMPACTED
            assert got.compact_revision == self.model.compact_revision > watch.done + 1
            assert self.touched(watch) or not watch.caught_up, "a watcher that missed nothing was cancelled"
            self.watches.remove(watch)
            return
        revision, events = got
        assert revision >= watch.done or not events
        assert events == self.wanted(watch, revision)
        if max_bytes == 10**9:
            assert revision == max(self.model.revision, watch.done)
        assert not self.wanted(watch, self.model.compact_revision - 1), "history was lost without a word"
        watch.done = max(revision, watch.done)
        watch.caught_up = watch.done >= self.model.revision

    def wanted(self, watch: Watch, last: int) -> list[Any]:
        one = watch.watcher
        flags = (one.prev_kv, one.no_put, one.no_delete)
        return self.model.wanted(one.key, one.range_end, *flags, max(watch.done + 1, 0), last)

    def touched(self, watch: Watch) -> bool:
        one = watch.watcher
        missed = range(watch.done + 1, self.model.compact_revision)
        return bool(missed) and bool(
            self.model.wanted(one.key, one.range_end, False, False, False, missed[0], missed[-1])
        )

    @precondition(lambda self: self.watches)
    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        watch = self.watches[pick % len(self.watches)]
        self.store.watches.cancel(watch.watcher)
        self.watches.remove(watch)
        assert watch.watcher not in self.store.watches.ready()
        assert isinstance(self.store.watches.poll(watch.watcher, 1), Failure)

    # ------------------------------------------------------------------------------------------------ snapshots

    @rule(in_place=st.booleans())
    def restore(self, in_place: bool) -> None:
        data = self.store.snapshot()
        other = Store(LIMITS)
        other.restore(data)
        assert other.snapshot() == data
        assert other.hash_kv() == self.store.hash_kv()
        assert (other.applied, other.time_ms) == (self.store.applied, self.store.time_ms)
        if in_place:
            self.store.restore(data)
            for watch in self.watches:
                watch.caught_up = False
        else:
            self.store = other
            self.watches.clear()

    # ----------------------------------------------------------------------------------------------- invariants

    @invariant()
    def agrees(self) -> None:
        store, model = self.store, self.model
        assert store.revision == model.revision
        assert store.compact_revision == model.compact_revision
        assert store.used_bytes == model.used_bytes(VERSION_BYTES)
        whole = Range(b"\0", b"\0")
        same(store.read(whole), model.run(whole))
        past = Range(b"\0", b"\0", max(model.compact_revision, 1))
        same(store.read(past), model.run(past))

    @invariant()
    def leases_agree(self) -> None:
        for lease_id, (ttl_ms, deadline_ms) in self.model.leases.items():
            keys = [key for key, kv in sorted(self.model.states[-1].items()) if kv.lease == lease_id]
            left_ms = max(deadline_ms - self.store.time_ms, 0)
            want = LeaseInfoResult(self.model.revision, lease_id, ttl_ms, left_ms, keys)
            assert self.store.read(LeaseInfo(lease_id, True)) == want

    @invariant()
    def who_has_something_is_ready(self) -> None:
        ready = self.store.watches.ready()
        assert len(self.store.watches) == len(self.watches)
        for watch in self.watches:
            if watch.watcher not in ready:
                assert not self.wanted(watch, self.model.revision)


StoreMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestStore = StoreMachine.TestCase


def step(machine: StoreMachine, make: Maker, random: Random) -> None:
    """One random step of a walk."""
    make.revision = machine.model.revision
    kind = random.random()
    pick = random.randrange(100)
    if kind < 0.35:
        machine.commands(make.commands(), random.choice([0, 0, 0, 1000]))
    elif kind < 0.45:
        machine.read(make.range())
    elif kind < 0.6 and machine.sent:
        calls = [(random.randint(0, 6) + machine.floors[min(machine.sent)], one) for one in make.commands()]
        machine.session_commands(pick, calls, random.choice([0, 0, 1, 3]), random.choice([0] * 9 + [6000]))
    elif kind < 0.65 and len(machine.sent) < 3:
        machine.session_open()
    elif kind < 0.73 and len(machine.watches) < 8:
        flags = (make.chance(0.5), make.chance(0.2), make.chance(0.2))
        machine.watch(
            random.choice([b"\0", b"a", b"b", b"ab"]), random.choice(ENDS_OF_WALK), make.some_revision(), flags
        )
    elif kind < 0.88 and machine.watches:
        machine.poll(pick, random.choice([0, 60, 200, 10**9, 10**9]))
    elif kind < 0.90:
        machine.expire(random.choice([0, 1000, 2500]))
    elif kind < 0.95:
        machine.compact(random.randint(max(0, machine.model.revision - 9), machine.model.revision + 1))
    elif kind < 0.96:
        machine.trim(random.choice([1, 2, 5]))
    elif kind < 0.97:
        machine.restore(make.chance(0.6))
    elif kind < 0.98 and machine.watches:
        machine.cancel(pick)
    elif kind < 0.985 and machine.sent:
        machine.session_close(pick)
    else:
        machine.skip()


@pytest.mark.parametrize("first_seed", range(0, 200, 50))
def test_walks(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 50):
        random = Random(seed)
        machine = StoreMachine()
        make = Maker(random)
        try:
            for _ in range(80):
                step(machine, make, random)
                machine.agrees()
                machine.leases_agree()
                if make.chance(0.5):  # looking changes what the hub knows, so not always
                    machine.who_has_something_is_ready()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
