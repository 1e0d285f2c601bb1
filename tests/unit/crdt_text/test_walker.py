"""The walker against published histories and against an independent Fugue."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringleader.crdt import ReplicaContext
from ringleader.crdt.text import Text, replay
from ringleader.crdt.text.graph import Frontier
from ringleader.crdt.text.history import text_at
from ringleader.crdt.text.oplog import OpLog
from ringleader.crdt.text.walker import Walker
from unit.crdt_text.harness import Session, live, load_json, load_log, session


def test_all_conformance_histories() -> None:
    histories = load_json("text-conformance.json.gz")
    assert len(histories) == 500
    for history in histories:
        log = load_log(history)
        assert str(text_at(log, "", log.graph.heads)) == history["endContent"]


def test_a_real_concurrent_trace() -> None:
    history = load_json("text-trace-friendsforever.json.gz")
    log = load_log(history)
    assert str(text_at(log, "", log.graph.heads)) == history["endContent"]


def test_a_real_trace_typed_key_by_key_and_loaded_again() -> None:
    trace = load_json("text-trace-automerge-paper.json.gz")
    text = Text(ReplicaContext("kleppmann"))
    for change in trace["txns"]:
        for position, removed, inserted in change["patches"]:
            if removed:
                text.delete(position, removed)
            if inserted:
                text.insert(position, inserted)
    assert str(text) == trace["endContent"]
    loaded = Text.decode(text.encode())
    assert str(loaded) == trace["endContent"]
    assert loaded.verify()
    assert loaded.version == {b"kleppmann": 259_778}


@pytest.mark.parametrize("start", range(0, 300, 50))
def test_random_editing_equals_the_naive_fugue(start: int) -> None:
    for seed in range(start, start + 50):
        session(seed, steps=(15, 40, 80)[seed % 3], replicas=2 + seed % 3)


@pytest.mark.parametrize("start", [0, 60])
def test_live_typing_heard_key_by_key_equals_the_naive_fugue(start: int) -> None:
    for seed in range(start, start + 60):
        live(seed, steps=(40, 90)[seed % 2], writers=1 + seed % 3)


def test_hearing_two_live_typists_costs_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener walks the stretch once; each further key neither walks it again nor takes the other's keys back."""
    made: list[int] = []
    shifted: list[int] = []
    shift = Walker._shift_items

    class Counting(Walker):
        __slots__ = ()

        def __init__(self, log: OpLog, base: Frontier, length: int | None) -> None:
            made.append(1)
            super().__init__(log, base, length)

        def _shift_items(self, low: int, high: int, by: int) -> None:
            shifted.append(high - low)
            shift(self, low, high, by)

    monkeypatch.setattr(replay, "Walker", Counting)
    base = Text(ReplicaContext("base"))
    base.insert(0, "one two")
    ann, ben = base.fork(ReplicaContext("ann")), base.fork(ReplicaContext("ben"))
    listener = base.fork()
    for i in range(300):
        for text, at in ((ann, 3 + i), (ben, 7 + i)):
            before = text.version
            text.insert(at, "x")
            listener.apply(text.delta_since(before))
    assert len(made) < 10
    assert sum(shifted) < 1000
    ann.merge(ben)
    assert str(listener) == str(ann)
    assert listener.verify()


def keeps(text: Text) -> bool:
    return text._zone is not None


def test_what_is_kept_of_a_stretch_is_thrown_away_when_it_ends_or_fails() -> None:
    base = Text(ReplicaContext("base"))
    base.insert(0, "one two")
    ann, ben = base.fork(ReplicaContext("ann")), base.fork(ReplicaContext("ben"))
    ann.insert(0, "a")
    ben.insert(7, "b")
    base.merge(ann)
    base.merge(ben)
    assert keeps(base)
    ann.merge(ben)
    ann.insert(0, "c")
    base.merge(ann)
    assert not keeps(base)
    assert str(base) == str(ann)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 6)), max_size=14))
@settings(max_examples=150, deadline=None)
def test_chosen_editing_equals_the_naive_fugue(script: list[tuple[int, int, int]]) -> None:
    running = Session(0, 3)
    for who, what, where in script:
        text, tree = running.texts[who], running.trees[who]
        if what == 0:
            other = where % 3
            if other != who:
                text.merge(running.texts[other])
                tree.merge(running.trees[other])
        elif what == 1 and text:
            text.delete(where % len(text))
            tree.delete(where % tree_length(tree.text()))
        else:
            at = where % (len(text) + 1)
            for char in "xy"[: what - 1] or "z":
                text.insert(at, char)
                tree.insert(at, char)
        assert str(text) == tree.text()
    running.settle()


def tree_length(text: str) -> int:
    return len(text)


def test_every_delivery_order_of_concurrent_edits_gives_one_text() -> None:
    base = Text(ReplicaContext("base"))
    base.insert(0, "one two")
    writers = [base.fork(ReplicaContext(name)) for name in ("a", "b", "c", "d")]
    writers[0].insert(3, " and")
    writers[1].delete(2, 3)
    writers[2].replace(0, 3, "1")
    writers[3].insert(3, "!?")
    results = set()
    for order in itertools.permutations(writers):
        reader = base.fork()
        for writer in order:
            reader.apply(writer.delta_since(base.version))
        results.add((str(reader), reader.encode()))
    assert len(results) == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_hazard_41_words_typed_at_one_place_are_not_mixed(backwards: bool) -> None:
    """Both type a word at the same place, forwards or (cursor staying put) backwards: the words stay whole."""
    base = Text(ReplicaContext("base"))
    base.insert(0, "[]")
    words = {"ann": "milk", "ben": "eggs", "eve": "bread"}
    writers = {name: base.fork(ReplicaContext(name)) for name in words}
    for name, word in words.items():
        for i, char in enumerate(reversed(word) if backwards else word):
            writers[name].insert(1 if backwards else 1 + i, char)
    merged = base.fork()
    for writer in writers.values():
        merged.merge(writer)
    assert str(merged) in {f"[{''.join(order)}]" for order in itertools.permutations(words.values())}


def test_a_removal_by_two_counts_once_and_history_before_it_is_seen_right() -> None:
    a = Text(ReplicaContext("a"))
    a.insert(0, "abc")
    b = a.fork(ReplicaContext("b"))
    a.delete(1)
    b.delete(1)
    b.insert(1, "X")
    a.merge(b)
    b.merge(a)
    assert str(a) == str(b) == "aXc"
