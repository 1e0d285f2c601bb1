"""The causal graph against the vectors of diamond-types, and against brute force."""

from __future__ import annotations

import json
import random
from typing import Any

from ringleader.crdt.text.graph import CausalGraph, Side, merge_spans
from unit.crdt_text.harness import DATA

SIDES = {Side.ONLY_A: "OnlyA", Side.ONLY_B: "OnlyB", Side.SHARED: "Shared"}


def vectors(name: str) -> list[Any]:
    lines = (DATA / f"causal-graph-{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def graph_of(history: list[Any]) -> CausalGraph:
    graph = CausalGraph()
    for number, entry in enumerate(history):
        start, end = entry["span"]
        graph.add(b"%d" % number, 1, end - start, tuple(sorted(entry["parents"])))
    return graph


def test_find_conflicting_vectors() -> None:
    found = vectors("conflicting")
    assert len(found) == 26
    for vector in found:
        graph = graph_of(vector["hist"])
        common, spans = graph.find_conflicting(tuple(vector["a"]), tuple(vector["b"]))
        assert list(common) == vector["expect_common"]
        expected = [((span["start"], span["end"]), side) for span, side in vector["expect_spans"]]
        assert [((start, end), SIDES[side]) for start, end, side in spans] == expected


def test_diff_vectors() -> None:
    found = vectors("diff")
    assert len(found) == 14
    for vector in found:
        graph = graph_of(vector["hist"])
        a, b = tuple(sorted(vector["a"])), tuple(sorted(vector["b"]))
        expected = tuple(merge_spans([(s, e) for s, e in vector[key]]) for key in ("expect_a", "expect_b"))
        assert graph.diff(a, b) == expected
        assert graph.diff(b, a) == expected[::-1]


def test_version_contains_vectors() -> None:
    found = vectors("version_contains")
    assert len(found) == 61
    for vector in found:
        graph = graph_of(vector["hist"])
        assert graph.contains(tuple(vector["frontier"]), vector["target"]) is vector["expected"]


def random_graph(seed: int) -> tuple[CausalGraph, list[set[int]]]:
    """A graph, and for each event the set of its ancestors and itself, by brute force."""
    rng = random.Random(seed)
    graph = CausalGraph()
    pasts: list[set[int]] = []
    counts = [0, 0, 0]
    for _ in range(rng.randint(1, 12)):
        agent = rng.randrange(3)
        known = [lv for lv in range(len(pasts)) if rng.random() < 0.3]
        parents = graph.heads if rng.random() < 0.3 else graph.dominators(known)
        count = rng.randint(1, 4)
        counts[agent] += rng.choice((0, 0, 3))  # numbers may be left out: another part of the document took them
        graph.add(b"%d" % agent, counts[agent] + 1, count, parents)
        counts[agent] += count
        past = set().union(*(pasts[parent] for parent in parents))
        for _ in range(count):
            past = past | {len(pasts)}
            pasts.append(past)
    return graph, pasts


def test_graph_against_brute_force() -> None:
    for seed in range(300):
        graph, pasts = random_graph(seed)
        rng = random.Random(seed)
        everything = set(range(len(pasts)))
        assert len(graph) == len(pasts)
        for _ in range(6):
            a, b = (graph.dominators(rng.sample(sorted(everything), min(2, len(pasts)))) for _ in range(2))
            in_a: set[int] = set().union(*(pasts[lv] for lv in a))
            in_b: set[int] = set().union(*(pasts[lv] for lv in b))
            only_a, only_b = graph.diff(a, b)
            assert {lv for start, end in only_a for lv in range(start, end)} == in_a - in_b
            assert {lv for start, end in only_b for lv in range(start, end)} == in_b - in_a
            assert all(graph.contains(a, lv) is (lv in in_a) for lv in everything)
            assert not any(x in pasts[y] for x in a for y in a if x != y)
            common, spans = graph.find_conflicting(a, b)
            base: set[int] = set().union(*(pasts[lv] for lv in common))
            above = {lv: side for start, end, side in spans for lv in range(start, end)}
            assert set(above) == (in_a | in_b) - base
            assert base <= in_a & in_b
            assert all(base <= pasts[lv] for lv in above), "an event above the common version has not seen all of it"
            for lv, side in above.items():
                assert side == (Side.SHARED if lv in in_a & in_b else Side.ONLY_A if lv in in_a else Side.ONLY_B)


def test_ids_and_local_versions() -> None:
    for seed in range(50):
        graph, _ = random_graph(seed)
        for lv in range(len(graph)):
            assert graph.lv_of(*graph.id_of(lv)) == lv
            assert all(parent < lv for parent in graph.parents_of(lv))
        for name in graph.names:
            assert graph.lv_of(name, graph.last_seq(name) + 1) == -1
            assert graph.lv_of(name, 0) == -1
        assert graph.lv_of(b"stranger", 1) == -1
        vector = {name: graph.last_seq(name) // 2 for name in graph.names}
        beyond = {lv for start, end in graph.spans_beyond(vector) for lv in range(start, end)}
        expected = {lv for lv in range(len(graph)) if graph.id_of(lv)[1] > vector[graph.id_of(lv)[0]]}
        assert beyond == expected


def test_truncate_takes_back_exactly_what_came_after() -> None:
    for seed in range(50):
        graph, _ = random_graph(seed)
        heads, end = graph.heads, len(graph)
        before = (list(graph.starts), list(graph.ends), list(graph.seqs), list(graph.parents))
        name = graph.id_of(end - 1)[0]
        graph.add(name, graph.last_seq(name) + 1, 3, (end - 1,))
        graph.add(b"new", 1, 2, ())
        graph.truncate(end, heads)
        assert before == (list(graph.starts), list(graph.ends), list(graph.seqs), list(graph.parents))
        assert graph.heads == heads
        assert graph.lv_of(b"new", 1) == -1
