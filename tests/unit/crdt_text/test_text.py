"""`Text` as its users meet it: operators, errors, sync, undo, time travel, units, dropping history."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import pytest

from ringleader.clock.stability import Stability
from ringleader.crdt import DuplicateIdentityError, GapError, ReadOnlyCopyError, ReplicaContext
from ringleader.crdt.sequence import JsonDocument
from ringleader.crdt.text import Text
from ringleader.crdt.undo import UndoStack
from ringleader.crdt.watch import Change
from ringleader.errors import NotAppliedError, Reason, UsageError


def text(content: str = "", name: str = "a") -> Text:
    new = Text(ReplicaContext(name))
    if content:
        new.insert(0, content)
    return new


# -- reading and editing ------------------------------------------------------------------------------------------


def test_a_text_reads_and_edits_like_a_string() -> None:
    t = text("hello")
    t += " world"
    t[0] = "J"
    t[-5:] = "there"
    del t[5]
    assert str(t) == t.value == "Jellothere"
    assert (len(t), t[0], t[-1], t[1:3], t[::-1], "lot" in t, bool(t)) == (10, "J", "e", "el", "erehtolleJ", True, True)
    assert "".join(t) == "Jellothere"
    del t[2:4]
    t[3:1] = "|"  # like a list: an empty range, at 3
    t.append("!")
    assert str(t) == "Jeo|there!"
    t.clear()
    assert not t
    assert str(t) == ""
    assert len(t) == 0
    t.clear()


def test_local_edits_are_string_splices() -> None:
    """Single characters, runs, backspacing, at random: the open run must never show."""
    for seed in range(60):
        rng = random.Random(seed)
        t, plain = text(), ""
        at = 0
        for _ in range(120):
            if rng.random() < 0.2:
                at = rng.randint(0, len(plain))
            if rng.random() < 0.6:
                s = "".join(rng.choice("ab é😀") for _ in range(rng.choice((1, 1, 1, 3))))
                t.insert(at, s)
                plain = plain[:at] + s + plain[at:]
                at += len(s)
            elif rng.random() < 0.5 and at > 0:
                at -= 1
                t.delete(at)
                plain = plain[:at] + plain[at + 1 :]
            elif at < len(plain):
                count = min(rng.choice((1, 1, 2)), len(plain) - at)
                t.delete(at, count)
                plain = plain[:at] + plain[at + count :]
            assert len(t) == len(plain)
            if rng.random() < 0.1:
                assert str(t) == plain
        assert str(t) == plain
        assert t.verify()


def test_a_long_text_keeps_its_chunks_right() -> None:
    rng = random.Random(1)
    t, plain = text(), ""
    for _ in range(250):
        at = rng.randint(0, len(plain))
        if rng.random() < 0.7:
            s = "".join(rng.choices("abc", k=rng.choice((1, 500, 5000, 30_000 if len(plain) < 200_000 else 1))))
            t.insert(at, s)
            plain = plain[:at] + s + plain[at:]
        else:
            count = min(len(plain) - at, rng.choice((1, 700, 9000)))
            t.delete(at, count)
            plain = plain[:at] + plain[at + count :]
        assert t[at : at + 10] == plain[at : at + 10]
    assert str(t) == plain
    t.clear()
    t.insert(0, "x")
    assert str(t) == "x"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: t.insert(4, "x"), "4 is not within a text of 3"),
        (lambda t: t.insert(-1, "x"), "-1 is not within"),
        (lambda t: t.insert(True, "x"), "True is not within"),
        (lambda t: t.insert(0, b"x"), "made of str, not bytes"),
        (lambda t: t.insert(0, "a\ud800"), "half a surrogate pair"),
        (lambda t: t.delete(2, 2), "2, 2 characters is not within"),
        (lambda t: t.delete(0, -1), "is not within"),
        (lambda t: t.replace(2, 1, "x"), "[2:1] is not within"),
        (lambda t: t.__delitem__(slice(0, 3, 2)), "no steps"),
        (lambda t: t.utf16_position(9), "9 is not within"),
    ],
)
def test_a_wrong_call_names_the_culprit_and_changes_nothing(call: Any, says: str) -> None:
    t = text("abc")
    before = t.encode()
    with pytest.raises(UsageError) as caught:
        call(t)
    assert says in str(caught.value)
    assert t.encode() == before


def test_index_errors_are_pythons() -> None:
    with pytest.raises(IndexError):
        text("abc")[3]
    with pytest.raises(IndexError):
        text("abc")[-4] = "x"


def test_positions_in_utf16_and_utf8() -> None:
    t = text("aé漢😀b" * 700)
    plain = str(t)
    for index in (0, 1, 3, 4, 5, 1999, 2000, 2003, 2004, 3500):
        utf16, utf8 = len(plain[:index].encode("utf-16-le")) // 2, len(plain[:index].encode())
        assert (t.utf16_position(index), t.utf8_position(index)) == (utf16, utf8)
        assert (t.from_utf16_position(utf16), t.from_utf8_position(utf8)) == (index, index)
    with pytest.raises(UsageError):
        t.from_utf16_position(4)  # between the halves of the emoji
    with pytest.raises(UsageError):
        t.from_utf8_position(2)
    with pytest.raises(UsageError):
        t.from_utf8_position(10**6)
    assert Text().from_utf16_position(0) == 0


# -- identity and sync --------------------------------------------------------------------------------------------


def test_copies_are_read_only_until_given_an_identity() -> None:
    t = text("abc")
    for other in (copy.copy(t), copy.deepcopy(t), pickle.loads(pickle.dumps(t)), t.fork(), Text.decode(t.encode())):
        assert str(other) == "abc"
        with pytest.raises(ReadOnlyCopyError):
            other.insert(0, "x")
        with pytest.raises(ReadOnlyCopyError):
            other.delete(0)
        assert other.encode() == t.encode()
        other.adopt(ReplicaContext("b"))
        other.insert(3, "d")
        assert str(other) == "abcd"


def test_hazard_36_a_duplicate_identity_is_refused() -> None:
    t = text("abc")
    backup = t.encode()
    t.insert(3, "d")
    restored = Text.decode(backup)
    restored.resume(ReplicaContext("a"))  # wrong: that identity went on elsewhere
    with pytest.raises(DuplicateIdentityError):
        restored.apply(t.delta_since(restored.version))
    with pytest.raises(DuplicateIdentityError):
        t.merge(text("x"))


def test_hazard_42_a_gap_is_refused_and_names_what_to_ask_for() -> None:
    t = text("abc")
    reader = Text()
    reader.merge(t)
    seen = t.version
    t.insert(3, "d")
    middle = t.version
    t.insert(4, "e")
    late = t.delta_since(middle).encode()
    with pytest.raises(GapError) as caught:
        reader.apply(late)
    assert caught.value.missing == {b"a": (4, 4)}
    assert str(reader) == "abc"
    reader.apply(t.delta_since(seen))
    assert not reader.apply(late)
    assert str(reader) == "abcde"


def test_sync_takes_two_messages_whatever_was_lost() -> None:
    a, b = text("shared ", "a"), text("", "b")
    b.merge(a)
    a.append("ann")
    b.append("ben")
    answer = b.delta_since(a.version).encode()
    question = a.delta_since(b.version).encode()
    a.apply(answer)
    b.apply(question)
    assert str(a) == str(b)
    assert a.encode() == b.encode()
    assert a.version == b.version


def test_a_keystroke_costs_few_bytes() -> None:
    t = text("x" * 5000)
    before = t.version
    t.insert(2500, "y")
    assert len(t.delta_since(before).encode()) < 60


def test_observers_hear_of_local_and_remote_edits() -> None:
    a, b = text("abc", "a"), text("", "b")
    b.merge(a)
    heard: list[Change] = []
    end = b.observe(heard.append)
    before = b.version
    b.insert(0, "x")
    a.insert(3, "y")
    b.apply(a.delta_since(b.version), origin="ann")
    assert [(change.local, change.origin) for change in heard] == [(True, None), (False, "ann")]
    assert heard[0].node is b
    assert [tuple(edit) for edit in b.diff(before)] == [(0, "", "x"), (4, "", "y")]
    end()
    b.insert(0, "z")
    assert len(heard) == 2


def test_a_transaction_is_one_change_and_an_exception_takes_it_back() -> None:
    t = text("abc")
    heard: list[Change] = []
    t.observe(heard.append)
    with t.transaction():
        t.insert(0, "x")
        t.delete(1, 2)
    assert str(t) == "xc"
    assert len(heard) == 1

    def fail() -> None:
        with t.transaction():
            t.delete(0, 2)
            t.insert(0, "lost")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert str(t) == "xc"


# -- undo ---------------------------------------------------------------------------------------------------------


def test_undo_takes_back_ones_own_edits_and_leaves_those_of_others() -> None:
    a = text("the fox", "a")
    b = a.fork(ReplicaContext("b"))
    undo = UndoStack(a._doc)
    a.insert(4, "quick ")
    a.delete(0, 4)
    b.insert(7, "es")
    a.merge(b)
    assert str(a) == "quick foxes"
    b.merge(a)
    b.insert(2, "--")
    a.merge(b)
    assert undo.undo()
    assert str(a) == "the qu--ick foxes"
    assert undo.undo()
    assert str(a) == "the --foxes"
    assert not undo.undo()
    assert undo.redo()
    assert str(a) == "the qu--ick foxes"
    assert undo.redo()
    assert str(a) == "qu--ick foxes"
    b.merge(a)
    assert str(b) == str(a)


def test_undo_removes_what_an_undo_has_put_back() -> None:
    """Typed, removed, removal undone (the characters are new ones now), typing undone: nothing may be left."""
    a = text("[]")
    undo = UndoStack(a._doc)
    a.insert(1, "word")
    a.delete(2, 2)
    a.delete(1, 1)
    while undo.undo():
        pass
    assert str(a) == "[]"
    while undo.redo():
        pass
    assert str(a) == "[d]"
    while undo.undo():
        pass
    assert str(a) == "[]"


def test_undo_does_not_bring_back_what_somebody_else_removed_too() -> None:
    a = text("abcd", "a")
    b = a.fork(ReplicaContext("b"))
    undo = UndoStack(a._doc)
    a.delete(1, 2)
    b.delete(2, 2)
    a.merge(b)
    undo.undo()
    assert str(a) == "ab"


def test_undo_all_and_redo_all_alone_are_inverse() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        t = text("seed")
        undo = UndoStack(t._doc)
        states = [str(t)]
        for _ in range(12):
            if rng.random() < 0.55 or not t:
                t.insert(rng.randint(0, len(t)), rng.choice(("x", "yz", "é😀")))
            else:
                at = rng.randrange(len(t))
                t.delete(at, min(len(t) - at, rng.choice((1, 2, 4))))
            states.append(str(t))
        for state in reversed(states[:-1]):
            assert undo.undo()
            assert str(t) == state
        for state in states[1:]:
            assert undo.redo()
            assert str(t) == state
        for state in reversed(states[:-1]):
            undo.undo()
            assert str(t) == state
        assert t.verify()


# -- the past -----------------------------------------------------------------------------------------------------


def test_time_travel_and_diff() -> None:
    t = text("one")
    first = t.version
    t.append(" two")
    second = t.version
    t.delete(0, 4)
    assert (t.at(first), t.at(second), t.at(t.version)) == ("one", "one two", "two")
    assert [tuple(edit) for edit in t.diff(first)] == [(0, "one", "two")]
    assert [tuple(edit) for edit in t.diff(second, first)] == [(3, " two", "")]
    assert t.diff(second, second) == []
    with pytest.raises(UsageError) as caught:
        text("x", "b").at(first)
    assert caught.value.reason is Reason.FUTURE_REVISION


def test_history_is_kept_by_choice_and_dropped_by_stability() -> None:
    a = text("hello", "a")
    a.stabilize(a.version)
    assert a.at(type(a.version)()) == ""  # kept, as nobody chose otherwise
    a.keep_history = False
    b = a.fork(ReplicaContext("b"))
    old = a.version
    a.append(" world")
    stable = a.version
    b.merge(a)
    b.append("!")
    size = len(a.encode())
    a.stabilize(stable)
    assert str(a) == "hello world"
    assert len(a.encode()) < size
    a.insert(0, ">")
    a.merge(b)
    b.merge(a)
    assert str(a) == str(b) == ">hello world!"
    assert a.at(stable) == "hello world"
    with pytest.raises(UsageError) as caught:
        a.at(old)
    assert caught.value.reason is Reason.COMPACTED
    fresh = Text.decode(a.encode(), ReplicaContext("c"))
    assert str(fresh) == str(a)
    assert fresh.encode() == a.encode()
    fresh.append("?")
    b.merge(fresh)
    a.merge(fresh)
    assert str(a) == str(b) == ">hello world!?"
    assert a.verify()
    assert fresh.verify()


def test_a_replica_older_than_the_kept_history_gets_the_whole_state() -> None:
    a = text("hello", "a")
    reader = a.fork()
    a.keep_history = False
    a.append(" world")
    a.stabilize(a.version)
    a.append("!")
    reader.apply(a.delta_since(reader.version).encode())
    assert str(reader) == "hello world!"
    reader.merge(a)
    lost = Text(ReplicaContext("z"))
    lost.insert(0, "mine")
    with pytest.raises(NotAppliedError) as caught:
        lost.merge(a)
    assert caught.value.reason is Reason.COMPACTED
    assert str(lost) == "mine"


def test_dropping_history_at_random_moments_changes_no_text() -> None:
    dropped = 0
    for seed in range(80):
        rng = random.Random(seed)
        texts = [text("", name) for name in "abc"]
        names = {id(t): name for t, name in zip(texts, (b"a", b"b", b"c"), strict=True)}
        stability = {id(t): Stability(name for other, name in names.items() if other != id(t)) for t in texts}
        keeper = Text()
        for t in texts[1:]:
            t.keep_history = False
        for _ in range(100):
            t = rng.choice(texts)
            if rng.random() < 0.25:
                t.insert(rng.randint(0, len(t)), rng.choice(("x", "yz")))
            elif t and rng.random() < 0.15:
                t.delete(rng.randrange(len(t)))
            other = rng.choice(texts)
            if other is not t and rng.random() < 0.9:
                t.apply(other.delta_since(t.version).encode())
                stability[id(t)].acknowledge(names[id(other)], other.version)
            if rng.random() < 0.3:
                t.stabilize(stability[id(t)].stable(t.version))
            keeper.merge(texts[0])
        for t in texts:
            for other in texts:
                if t is not other:
                    t.merge(other)
        keeper.merge(texts[0])
        assert {str(t) for t in texts} == {str(keeper)}
        assert all(t.verify() for t in texts)
        dropped += sum(bool(t._base.heads) for t in texts)
    assert dropped > 80, "history was hardly ever dropped"


def test_explain_tells_the_last_edits() -> None:
    t = text("hello")
    t.delete(4)
    told = t.explain()
    assert "4 characters; history: 6 events in 2 runs" in told
    assert "insert 5 at 0 'hello'" in told


def test_a_new_identity_does_not_go_on_with_the_old_ones_run() -> None:
    """The event numbers may happen to fit: the run must still end where the identity changes."""
    doc = JsonDocument(ReplicaContext("old"))
    t = doc.text("t")
    t.insert(0, "abcde")
    doc.adopt(ReplicaContext("new"))
    while doc._doc.n < t._last:
        doc.counter("c").increment()
    t.insert(5, "f")
    t.insert(0, ">")
    loaded = JsonDocument.decode(doc.encode())
    assert loaded.value == doc.value == {"c": doc.value["c"], "t": ">abcdef"}
    assert t._log.graph.last_seq(b"old") < doc.version[b"new"]
    assert set(t._log.graph.names) == {b"old", b"new"}
    assert loaded.text("t").verify()
