"""Any order of breaks, refusals, late frames and changes of leader: nothing runs twice, and what is said is true."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ringleader.client.options import ClientOptions
from ringleader.errors import NotAppliedError, OutcomeUnknownError, Reason, RingleaderError
from ringleader.store.commands import Failure, Put, Range, RangeResult
from ringleader.wire.frames import Submit, WatchEvents
from unit.client.fakes import Bench, FakeCluster

REFUSALS = (Reason.NO_LEADER, Reason.NOT_LEADER, Reason.OVERLOADED, Reason.DEADLINE, Reason.STOPPING)


class Ordeal:
    """A client under faults drawn from a seed, and what it has been told."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        options = ClientOptions(window=8, session_window=16, batch_commands=4, prefer_leader=self.dice.random() < 0.7)
        self.bench = Bench(FakeCluster(), seed, options)
        self.writes: dict[int, tuple[bytes, bool]] = {}
        self.reads: dict[int, bytes] = {}
        self.acknowledged: set[bytes] = set()
        self.watch = self.bench.core.watch(b"k", b"l", start_revision=1)
        self.cancelled: set[int] = set()

    def run(self, steps: int) -> None:
        acts = [self.call, self.call, self.move, self.move, self.move, self.move, self.fault, self.pause]
        for _ in range(steps):
            self.dice.choice(acts)()
            self.bench.flush()
            wakeup = self.bench.core.next_wakeup()
            assert wakeup >= 0
        bench = self.bench
        for _ in range(200):
            if not bench.late:
                break
            self.late()
        bench.settle(30.0)
        while bench.late:
            self.late()

    def call(self) -> None:
        core = self.bench.core
        key = b"k%d" % len(self.writes)
        kind = self.dice.random()
        if kind < 0.6:
            once = self.dice.random() < 0.8
            self.writes[core.submit([Put(key, b"v")], self.dice.uniform(0.05, 8.0), once=once)] = (key, once)
        elif kind < 0.85 and self.writes:
            read, _ = self.dice.choice(list(self.writes.values()))
            self.reads[core.query([Range(read)], self.dice.uniform(0.05, 8.0))] = read
        elif self.writes:
            call = self.dice.choice(list(self.writes))
            core.cancel(call)
            if call not in self.bench.done:
                self.cancelled.add(call)

    def move(self) -> None:
        """Something on its way arrives."""
        bench = self.bench
        ready = list(bench.pipes)
        if not ready:
            return
        link = self.dice.choice(ready)
        pipe = bench.pipes[link]
        if not pipe.made:
            bench.connect(link)
        elif pipe.there and self.dice.random() < 0.6:
            bench.deliver(link)
        elif pipe.back:
            bench.hand(link)
        else:
            pipe.back.extend(bench.cluster.poll(pipe.watches))

    def fault(self) -> None:
        bench, dice = self.bench, self.dice
        kind = dice.randrange(6)
        if kind == 0 and bench.pipes:
            bench.break_link(dice.choice(list(bench.pipes)), arrives=dice.random() < 0.5)
        elif kind == 1 and bench.pipes:
            unknown = dice.random() < 0.5
            link = dice.choice(list(bench.pipes))
            leader = dice.randrange(4)
            applied = unknown and dice.random() < 0.5
            bench.refuse(link, dice.choice(REFUSALS), unknown=unknown, leader=leader, apply=applied)
        elif kind == 2:
            bench.topology(dice.randrange(4))
        elif kind == 3:
            self.late()
        elif kind == 4 and dice.random() < 0.2:
            bench.cluster.expire_sessions()
        elif kind == 5 and dice.random() < 0.3:
            bench.deaf = set(dice.sample([1, 2, 3], dice.randrange(3)))

    def late(self) -> None:
        """A frame of a broken connection arrives after all."""
        bench = self.bench
        if bench.late:
            _, frame = bench.late.pop(self.dice.randrange(len(bench.late)))
            assert isinstance(frame, Submit)
            bench.cluster.apply(frame)

    def pause(self) -> None:
        self.bench.now += self.dice.choice((0.001, 0.02, 0.3, 1.5))
        self.bench.core.tick(self.bench.now)

    def check(self) -> None:
        bench, store = self.bench, self.bench.cluster.store
        for call, (key, once) in self.writes.items():
            found = store.read(Range(key))
            assert isinstance(found, RangeResult)
            version = found.kvs[0].version if found.kvs else 0
            if call in self.cancelled:
                assert version <= 1
                continue
            answer = bench.done[call]
            assert version <= 1, f"call {call} (once={once}) was applied {version} times"
            if isinstance(answer, RingleaderError):
                assert isinstance(answer, NotAppliedError | OutcomeUnknownError), answer
                if isinstance(answer, NotAppliedError):
                    assert version == 0, f"call {call} said not applied: {answer!r}"
            else:
                assert isinstance(answer, list)
                assert not isinstance(answer[0], Failure)
                assert version == 1
        for call in self.reads:
            assert isinstance(bench.done[call], NotAppliedError | list)
        seen = [
            event.kv.mod_revision
            for news in bench.events.get(self.watch, [])
            if isinstance(news, WatchEvents)
            for event in news.events
        ]
        everything = store.read(Range(b"k", b"l"))
        assert isinstance(everything, RangeResult)
        assert seen == sorted(kv.mod_revision for kv in everything.kvs), "every change once, in order"
        assert len(bench.pipes) == 1, "connections given up are closed"


@given(seed=st.integers(0, 2**32), steps=st.integers(10, 250))
@settings(max_examples=150, deadline=None)
def test_what_the_client_is_told_is_true(seed: int, steps: int) -> None:
    ordeal = Ordeal(seed)
    ordeal.run(steps)
    ordeal.bench.deaf = set()
    ordeal.bench.settle(30.0)
    ordeal.check()
