"""`List` and `JsonDocument`: against Python's list, a naive Fugue, and each other under random editing."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from ringleader.crdt import PNCounter, ReplicaContext
from ringleader.crdt.sequence import JsonDocument, List
from ringleader.crdt.text import Text
from ringleader.crdt.wire import seal
from ringleader.errors import RingleaderError, UsageError
from unit.crdt_text.fugue_oracle import FugueTree
from unit.crdt_text.test_codec import mutated


def test_a_list_reads_and_edits_like_a_list() -> None:
    rng = random.Random(0)
    items, plain = List(ReplicaContext("a")), list[Any]()
    for step in range(300):
        at = rng.randint(0, len(plain))
        choice = rng.random()
        if choice < 0.5 or not plain:
            items.insert(at, step)
            plain.insert(at, step)
        elif choice < 0.7:
            at = rng.randrange(len(plain))
            assert items.pop(at) == plain.pop(at)
        elif choice < 0.85:
            at = rng.randrange(len(plain))
            items[at] = plain[at] = -step
        else:
            at, to = rng.randrange(len(plain)), rng.randrange(len(plain))
            items.move(at, to)
            plain.insert(to, plain.pop(at))
        assert items.value == plain
    items += ["x", "y"]
    del items[1:3]
    plain = plain[:1] + plain[3:] + ["x", "y"]
    assert (list(items), len(items), items[-1], items[1:4], "x" in items) == (plain, len(plain), "y", plain[1:4], True)
    items.remove("x")
    assert items[-2:] == [plain[-3], "y"]
    for call in (lambda: items[99], lambda: items.insert(99, 1), lambda: items.move(0, 99), lambda: items.pop(-99)):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(ValueError, match="not in the list"):
        items.remove("nowhere")
    with pytest.raises(UsageError, match="no keys"):
        items.create("key")
    items.clear()
    assert items.value == []


def test_list_order_equals_the_naive_fugue() -> None:
    for seed in range(120):
        rng = random.Random(seed)
        lists = [List(ReplicaContext(name)) for name in "abc"]
        trees = [FugueTree(name.encode()) for name in "abc"]
        for _ in range(40):
            i = rng.randrange(3)
            if rng.random() < 0.5 or not lists[i]:
                at = rng.randint(0, len(lists[i]))
                for char in rng.choice(("x", "yz", "pqr")):
                    lists[i].insert(at, char)
                    trees[i].insert(at, char)
                    at += rng.random() < 0.7
            elif rng.random() < 0.4:
                at = rng.randrange(len(lists[i]))
                del lists[i][at]
                trees[i].delete(at)
            else:
                j = rng.randrange(3)
                if i != j:
                    lists[i].apply(lists[j].delta_since(lists[i].version).encode())
                    trees[i].merge(trees[j])
            assert "".join(lists[i]) == trees[i].text()


def test_a_long_list_arriving_at_once_is_ordered_like_one_arriving_bit_by_bit() -> None:
    rng = random.Random(4)
    source, slow = List(ReplicaContext("a")), List()
    for step in range(150):
        source.insert(rng.randint(0, len(source)), step)
        slow.merge(source)
    fast = List.decode(source.encode())
    assert fast.value == slow.value == source.value
    assert fast.encode() == slow.encode() == source.encode()


def test_concurrent_set_remove_and_move() -> None:
    a = List(ReplicaContext("a"))
    a.extend(["one", "two", "three"])
    b = a.fork(ReplicaContext("b"))
    a[0] = "ONE"
    del b[0]  # the removal had not seen the change: the element survives
    a.move(1, 2)
    b.move(0, 1)  # b sees [two, three]: both moved "two"; it must not be there twice
    a.merge(b)
    b.merge(a)
    assert a.value == b.value
    assert sorted(a.value) == ["ONE", "three", "two"]
    assert a.encode() == b.encode()
    a[0] = "left"
    b[0] = "right"
    a.merge(b)
    b.merge(a)
    assert a.value == b.value
    assert len(a.conflicts(0)) == 2


def test_undo_of_list_changes() -> None:
    a = List(ReplicaContext("a"))
    a.extend(["x", "y", "z"])
    undo = a.undo_stack()
    a.move(0, 2)
    a[0] = "Y"
    a.insert(1, "new")
    for expected in (["Y", "z", "x"], ["y", "z", "x"], ["x", "y", "z"]):
        assert undo.undo()
        assert a.value == expected


def test_concurrently_created_children_merge() -> None:
    """Hazard 43's friendlier half: same key, same type, created twice: nothing is lost."""
    a, b = JsonDocument(ReplicaContext("a")), JsonDocument(ReplicaContext("b"))
    for doc, word in ((a, "milk"), (b, "eggs")):
        doc["todos"] = []
        doc["todos"].append({"what": word, "done": False})
        doc.text("notes").insert(0, word)
        doc.counter("edits").increment()
        doc["by"] = {word: {"at": 1}}
    a.merge(b)
    b.apply(a.delta_since(b.version).encode())
    assert a.value == b.value
    assert a.encode() == b.encode()
    assert sorted(item["what"] for item in a.value["todos"]) == ["eggs", "milk"]
    assert a.value["notes"] in ("milkeggs", "eggsmilk")
    assert (a.value["edits"], sorted(a.value["by"])) == (2, ["eggs", "milk"])


def test_hazard_43_one_key_two_types_shows_one_and_keeps_the_other() -> None:
    a, b = JsonDocument(ReplicaContext("a")), JsonDocument(ReplicaContext("b"))
    a["x"] = [1]
    b["x"] = {"k": 2}
    a.merge(b)
    b.merge(a)
    assert a.value == b.value
    shown, hidden = a.value["x"], [node.value for node in a.conflicts("x")]
    assert [shown, *hidden] in ([[1], {"k": 2}], [{"k": 2}, [1]])


def test_removal_takes_what_it_saw_and_leaves_what_it_did_not() -> None:
    a = JsonDocument(ReplicaContext("a"))
    a["list"] = ["old"]
    a.text("text").insert(0, "old")
    b = a.fork(ReplicaContext("b"))
    del a["list"]
    del a["text"]
    b["list"].append("new")
    b.text("text").append(" new")
    a.merge(b)
    b.merge(a)
    assert a.value == b.value == {"list": ["new"], "text": " new"}
    a["list"].clear()
    a.text("text").clear()
    b.merge(a)
    assert a.value == b.value == {}, "a place that lived by its content alone goes with it"
    a.text("text").append("again")
    b.merge(a)
    assert b.value == {"text": "again"}
    assert a.encode() == b.encode()


def test_a_document_refuses_what_it_cannot_hold() -> None:
    doc = JsonDocument(ReplicaContext("a"))
    with pytest.raises(UsageError, match="from elsewhere"):
        doc["x"] = Text(ReplicaContext("b"))
    with pytest.raises(UsageError):
        doc["x"] = object()
    assert doc.value == {}, "a refused assignment leaves nothing behind"
    doc["t"] = Text
    assert doc["t"].value == ""


def edit(doc: JsonDocument, rng: random.Random) -> None:
    """One random change somewhere in the document."""
    key = rng.choice("abc")
    choice = rng.randrange(9)
    if choice == 0:
        doc[key] = rng.randrange(100)
    elif choice == 1:
        doc.map("m")[key] = rng.choice((1, {"n": 2}, [3], "four"))
    elif choice == 2:
        doc.counter("n").increment(rng.randint(1, 3))
    elif choice == 3:
        text = doc.text("t")
        text.insert(rng.randint(0, len(text)), rng.choice(("x", "yz", "😀")))
    elif choice == 4 and doc.text("t"):
        doc.text("t").delete(rng.randrange(len(doc.text("t"))))
    elif choice == 5:
        items = doc.list("l")
        items.insert(rng.randint(0, len(items)), rng.choice((1, {"k": key}, [key], Text, PNCounter)))
    elif choice == 6 and doc.list("l"):
        items = doc.list("l")
        at = rng.randrange(len(items))
        element = items.get(at)
        if isinstance(element, Text):
            element.append("w")
        elif isinstance(element, JsonDocument):
            element[key] = 5
        elif rng.random() < 0.5:
            items[at] = key
        else:
            items.move(at, rng.randrange(len(items)))
    elif choice == 7 and doc.list("l"):
        del doc.list("l")[rng.randrange(len(doc.list("l")))]
    elif choice == 8:
        doc.discard(rng.choice("abcmntl"))


def document_session(seed: int) -> JsonDocument:
    rng = random.Random(seed)
    docs = [JsonDocument(ReplicaContext(name)) for name in "abc"]
    reader = JsonDocument()
    for _ in range(60):
        i, j = rng.randrange(3), rng.randrange(3)
        if rng.random() < 0.65:
            edit(docs[i], rng)
        elif i != j:
            if rng.random() < 0.5:
                docs[i].merge(docs[j])
            else:
                docs[i].apply(docs[j].delta_since(docs[i].version).encode())
        if rng.random() < 0.1:
            reader.apply(docs[i].delta_since(reader.version))
    for one in docs:
        for other in docs:
            if one is not other:
                one.merge(other)
    reader.apply(docs[0].delta_since(reader.version).encode())
    values = [doc.value for doc in (*docs, reader)]
    assert all(value == values[0] for value in values)
    encoded = {doc.encode() for doc in (*docs, reader)}
    assert len(encoded) == 1, "equal versions, different bytes"
    loaded = JsonDocument.decode(encoded.pop())
    assert loaded.value == values[0]
    assert loaded.encode() == docs[0].encode()
    return docs[0]


def test_documents_converge_to_the_byte() -> None:
    for seed in range(150):
        document_session(seed)


def test_well_formed_lies_about_documents_are_refused_or_harmless() -> None:
    doc = document_session(11)
    body = msgspec.msgpack.decode(doc.encode()[4:-4])
    rng = random.Random(2)
    refused = 0
    for _ in range(1500):
        reader = JsonDocument(ReplicaContext("z"))
        try:
            reader.apply(seal(mutated(body, rng)))
            str(reader.value)
            reader.encode()
            reader.list("l").append(1)
            reader.explain()
        except RingleaderError:
            refused += 1
    assert refused > 300


def test_explain_of_a_list() -> None:
    items = List(ReplicaContext("ann"))
    items.extend(["x", "y"])
    items.move(0, 1)
    assert "2 elements" in items.explain() or "3 places" in items.explain()
    assert "moved 1 times" in items.explain()
