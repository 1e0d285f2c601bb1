"""Who should own what: the decisions of a group's workers, over a small model of the store and boards that lag behind."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from tools.shards_chaos import Journal, Recorder, Word, judge_owners, minimal_moves

from ringleader.client.ops import Condition, Operation
from ringleader.client.shardplan import BATCH, MAX_WORKERS, Board, ShardWorker, checked_count, steps
from ringleader.client.types import Event, KeyValue
from ringleader.errors import UsageError
from ringleader.store.commands import Compare, Delete, Put, Txn


class Model:
    """Transactions over a dict; every change is an event of its revision."""

    def __init__(self) -> None:
        self.revision = 1
        self.keys: dict[bytes, KeyValue] = {}
        self.log: list[Event] = []

    def txn(self, compare: Sequence[Condition], success: Sequence[Operation]) -> list[bool] | None:
        """Which of the operations were done (a nested one: whether its conditions held), `None`: the conditions failed."""
        assert len(compare) <= 128
        assert sum(1 + (len(each.success) if isinstance(each, Txn) else 0) for each in success) <= 128
        if not all(map(self._holds, compare)):
            return None
        revision, before = self.revision + 1, len(self.log)
        done = [self._do(each, revision) for each in success]
        self.revision += len(self.log) > before
        return done

    def end_lease(self, lease: int) -> None:
        """All its keys go at one revision."""
        self.revision += 1
        for kv in [kv for kv in self.keys.values() if kv.lease == lease]:
            self._delete(kv.key, self.revision)

    def _holds(self, condition: Compare) -> bool:
        end = condition.range_end
        found = [kv for name, kv in self.keys.items() if condition.key <= name < end] if end else []
        if not end and condition.key in self.keys:
            found = [self.keys[condition.key]]
        target = {"mod": "mod_revision", "create": "create_revision"}[condition.target]
        assert isinstance(condition.value, int)
        wanted = condition.value
        test = {"=": int.__eq__, "<": int.__lt__, ">": int.__gt__}[condition.op]
        return all(test(getattr(kv, target), wanted) for kv in found) if found else test(0, wanted)

    def _do(self, op: Operation, revision: int) -> bool:
        if isinstance(op, Txn):
            holds = all(map(self._holds, op.compares))
            return holds and all(self._do(each, revision) for each in op.success)
        if isinstance(op, Put):
            old = self.keys.get(op.key)
            created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
            self.keys[op.key] = KeyValue(op.key, op.value, created, revision, version, op.lease)
            self.log.append(Event("put", op.key, op.value, revision, version, created, op.lease))
            return True
        assert isinstance(op, Delete)
        return self._delete(op.key, revision)

    def _delete(self, name: bytes, revision: int) -> bool:
        self.log.append(Event("delete", name, b"", revision, 0, 0))
        return self.keys.pop(name, None) is not None


class Worker:
    """A worker whose board lags behind the model's log. `held`: what it works on, with the tokens."""

    def __init__(self, model: Model, lease: int, count: int, weight: float = 1.0) -> None:
        self.model = model
        self.lease = lease
        self.me = f"{lease:016x}"
        self.board = Board("g")
        self.board.load(list(model.keys.values()), model.revision)
        compare, success = self.board.join(self.me, lease, f"w{lease}", weight, count)
        assert model.txn(compare, success) is not None
        self.board.load(list(model.keys.values()), model.revision)
        self.read = len(model.log)
        self.held: dict[int, int] = {}
        self.stopping: set[int] = set()

    def see(self, events: int) -> None:
        """Learn of the next so many changes."""
        for event in self.model.log[self.read : self.read + events]:
            self.board.apply(event)
            self.read += 1

    def act(self, dice: random.Random) -> None:
        """Any of the things that a worker may do now."""
        todo = steps(self.board, self.me, self.held, self.held)
        assert not todo.gone
        self.held.update(dict(todo.gained))
        self.stopping |= set(todo.moving)
        choice = dice.randrange(3)
        back = [(s, self.held[s]) for s in sorted(self.stopping) if dice.random() < 0.7][:BATCH] + todo.returned[:BATCH]
        if choice == 0 and back[:BATCH]:
            done = self.model.txn([], self.board.write_releases(back[:BATCH]))
            assert done is not None
            for shard, _ in back[:BATCH]:
                self.board.released(shard, self.model.revision)
                self.held.pop(shard, None)
                self.stopping.discard(shard)
        elif choice == 1 and not self.board.fits:
            self.model.txn(*self.board.write_table(self.board.next_table()))
        elif choice == 2 and todo.claim:
            shards = todo.claim[:BATCH]
            done = self.model.txn(*self.board.write_claims(self.me, self.lease, shards))
            for shard, ok in zip(shards, done or [], strict=False):
                if ok:
                    self.board.claimed(shard, self.me, self.model.revision)


def judged(model: Model) -> Journal:
    """The whole history as the judge of `tools.shards_chaos` sees it."""
    journal = Journal(64)
    for event in model.log:
        name = event.key_text.replace("/shards/g/", "/shards/chaos/")
        if event.deleted:
            journal.delete(name)
        else:
            journal.put(name, event.text, event.create_revision)
    return journal


@pytest.mark.parametrize("seed", range(30))
def test_workers_come_and_go_with_boards_that_lag(seed: int) -> None:
    """Never two who work on one shard; tokens rise; every table moves the minimum; in the end all is owned, evenly."""
    dice = random.Random(seed)
    model, workers, leases = Model(), list[Worker](), 0
    tokens: dict[int, int] = {}
    for _ in range(600):
        if len(workers) < 2 or (len(workers) < 7 and dice.random() < 0.02):
            leases += 1
            workers.append(Worker(model, leases, 64))
        elif dice.random() < 0.015:
            gone = workers.pop(dice.randrange(len(workers)))
            gone.held.clear()  # by its own clock it stops first, then its lease ends
            model.end_lease(gone.lease)
        worker = dice.choice(workers)
        worker.see(dice.randrange(8))
        known = dict(worker.held)
        worker.act(dice)
        for shard, token in worker.held.items():
            if shard not in known:
                assert token > tokens.get(shard, 0), "a token that does not rise"
                tokens[shard] = token
        working = [shard for each in workers for shard in each.held]
        assert len(working) == len(set(working)), "two work on one shard"
    for _ in range(200):
        for worker in workers:
            worker.see(10_000)
            worker.act(dice)
    counts = sorted(len(worker.held) for worker in workers)
    assert sum(counts) == 64
    assert counts[-1] - counts[0] <= 1
    found = [p for p in judged(model).problems if "given back" not in p]  # a move that is taken back does that
    assert found == []
    seen = workers[0].board.describe()
    assert (seen.unowned, seen.moving) == ([], [])
    assert [len(w.shards) for w in seen.workers] == [len(w.assigned) for w in seen.workers]


def test_weights() -> None:
    model = Model()
    light, heavy = Worker(model, 1, 64), Worker(model, 2, 64, weight=3.0)
    for worker in (light, heavy):
        worker.see(100)
    model.txn(*light.board.write_table(light.board.next_table()))
    heavy.see(100)
    assert (len(heavy.board.assigned(light.me)), len(heavy.board.assigned(heavy.me))) == (16, 48)


def test_a_table_from_an_old_view_is_not_written() -> None:
    model = Model()
    a, b = Worker(model, 1, 64), Worker(model, 2, 64)
    assert model.txn(*a.board.write_table(a.board.next_table())) is None, "a has not seen b"
    a.see(100)
    assert model.txn(*a.board.write_table(a.board.next_table())) is not None
    assert model.txn(*b.board.write_table(b.board.next_table())) is None, "b has not seen the table"
    for worker in (a, b):
        worker.see(100)
    assert a.board.fits
    c = Worker(model, 3, 64)
    for worker in (a, c):
        worker.see(100)
    model.end_lease(2)
    assert model.txn(*c.board.write_table(c.board.next_table())) is None, "c has not seen that b is gone"
    claims = c.board.write_claims(c.me, 3, [1, 2])
    a.see(100)
    assert model.txn(*a.board.write_table(a.board.next_table())) is not None
    assert model.txn(*claims) is None, "c has not seen the new table"


def test_the_number_of_shards_belongs_to_the_group() -> None:
    model = Model()
    Worker(model, 1, 64)
    with pytest.raises(UsageError, match="there are 64, not 32"):
        Worker(model, 2, 32)
    model.end_lease(1)
    late = Worker(model, 3, 32)
    assert late.board.count == 32
    assert model.txn(*late.board.write_table(late.board.next_table())) is not None
    late.see(100)
    assert len(late.board.assigned(late.me)) == 32


def test_many_workers_fit_into_one_transaction() -> None:
    board = Board("g")
    board.count = 1024
    for number in range(MAX_WORKERS):
        board.workers[f"{number:016x}"] = ShardWorker(f"{number:016x}", "w", 1.0, number + 1)

    def size(compare: Sequence[Condition], success: Sequence[Operation], depth: int = 1) -> int:
        assert len(compare) <= 128
        assert depth <= 16
        nested = sum(size(each.compares, each.success, depth + 1) for each in success if isinstance(each, Txn))
        return len(compare) + len(success) + nested

    assert size(*board.write_table(board.next_table())) <= 1024
    with pytest.raises(UsageError, match="800 workers already"):
        board.join("more", 1, "more", 1.0, 1024)


@pytest.mark.parametrize("count", [0, -1, 3, 100, 8192, True, 2.0, "256", None])
def test_bad_counts(count: object) -> None:
    with pytest.raises(UsageError, match="power of two") as caught:
        checked_count(count)
    assert repr(count) in str(caught.value)


def test_a_foreign_value_is_named() -> None:
    board = Board("g")
    for name in (b"config", b"table", b"members/x"):
        with pytest.raises(UsageError, match=r"ringleader/shards/g/"):
            board.load([KeyValue(board.prefix + name, b"garbage", 1, 1, 1)], 1)
    with pytest.raises(UsageError, match="needs a name"):
        Board("")
    assert Board("a/b").prefix == b"ringleader/shards/a%2Fb/", "no group lies within another"


def test_the_judge_of_owners_finds_an_overlap() -> None:
    fine = [Word("a", 1, 5, 0.0), Word("a", 1, 5, 1.0), Word("b", 1, 7, 1.5), Word("c", 2, 6, 0.5)]
    assert judge_owners(fine) == ([], [0.5])
    assert judge_owners([*fine, Word("a", 1, 5, 1.6)])[0], "a goes on after b began"
    assert judge_owners([*fine, Word("b", 1, 5, 0.2)])[0], "one token, two workers"
    recorder = Recorder(4)
    recorder.expect(1.0, {"a", "b"})
    for word in [*fine, Word("a", 1, 5, 2.0)]:
        recorder.hear(word)
    assert (recorder.refused, recorder.first) == (1, {1: 1.0})


def test_the_judge_of_moves() -> None:
    assert minimal_moves([""] * 8, {"a", "b"}) == 8
    assert minimal_moves(["a"] * 8, {"a", "b"}) == 4
    assert minimal_moves(["a", "a", "a", "b", "b", "b", "c", "c"], {"a", "b", "c"}) == 0
    assert minimal_moves(["a", "a", "a", "b", "b", "b", "c", "c"], {"a", "b"}) == 2

    def table(epoch: int, rows: list[int]) -> str:
        nodes = ", ".join(f'["{name}", 1.0, null]' for name in "ab")
        return f'{{"epoch": {epoch}, "table": {{"nodes": [{nodes}], "rows": {[[r] for r in rows]}}}}}'

    def journal(*changes: tuple[str, str]) -> list[str]:
        found = Journal(4)
        for revision, (name, value) in enumerate(
            [("members/a", '{"name": "a"}'), ("members/b", '{"name": "b"}'), *changes]
        ):
            found.put("ringleader/shards/chaos/" + name, value, revision)
        return found.problems

    good = ("table", table(1, [0, 0, 1, 1]))
    assert journal(good, ("claims/0", "a"), ("claims/2", "b")) == []
    assert "moves 4, needed are 0" in journal(good, ("table", table(2, [1, 1, 0, 0])))[0]
    assert "not balanced" in journal(("table", table(1, [0, 0, 0, 1])))[0]
    assert "follows" in journal(("table", table(2, [0, 0, 1, 1])))[0]
    assert "while" in journal(good, ("claims/0", "a"), ("claims/0", "b"))[0]
    assert "whose it is not" in journal(good, ("claims/0", "b"))[0]
