"""Replicated types beside pycrdt and loro, through their Python APIs, in one run: counters, sets, maps, nested maps.

One process, one core, no disk. Text has a benchmark of its own. Peers have no OR-Set; a map with the elements as
keys stands in.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringleader.crdt import HyperLogLog, LWWMap, ORMap, ORSet, PNCounter, ReplicaContext, SortedSet

N = 100_000
INCREMENTS = 1_000_000
NESTED = 10_000
ROUNDS = 3


def wall() -> int:
    """Milliseconds since the epoch, as the façade supplies them."""
    return time.time_ns() // 1_000_000


def context(name: str) -> ReplicaContext:
    """A replica with a real clock."""
    return ReplicaContext(name, wall)


def best(prepare: Callable[[], Callable[[], object]], rounds: int = ROUNDS) -> float:
    """The best of some rounds, in seconds; `prepare` is not timed and returns what is."""
    times = []
    for _ in range(rounds):
        run = prepare()
        gc.collect()
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def peer_doc(loro: Any) -> Any:
    """An empty loro document (its stubs leave the constructor untyped)."""
    return loro.LoroDoc()


def counters() -> dict[str, float]:
    """Seconds for a million increments."""

    def ours() -> Callable[[], object]:
        counter = PNCounter(context("a"))

        def run() -> None:
            increment = counter.increment
            for _ in range(INCREMENTS):
                increment(1)

        return run

    def operator() -> Callable[[], object]:
        def run() -> None:
            counter = PNCounter(context("a"))
            for _ in range(INCREMENTS):
                counter += 1

        return run

    def plain() -> Callable[[], object]:
        def run() -> None:
            counts = {"a": 0}
            for _ in range(INCREMENTS):
                counts["a"] += 1

        return run

    found = {"ringleader increment()": best(ours), "ringleader +=": best(operator), "floor: a dict": best(plain)}
    try:
        import loro
    except ImportError:
        return found

    def peer() -> Callable[[], object]:
        doc = peer_doc(loro)
        counter = doc.get_counter("c")

        def run() -> None:
            for _ in range(INCREMENTS):
                counter.increment(1)
            doc.commit()

        return run

    return {**found, "loro, one commit": best(peer, 1)}


def maps() -> dict[str, float]:
    """Seconds for 100,000 sets of a last-write-wins map, each a change of its own."""
    keys = [f"key:{i}" for i in range(N)]

    def ours() -> Callable[[], object]:
        table = LWWMap[str, int](context("a"))

        def run() -> None:
            for i, key in enumerate(keys):
                table[key] = i

        return run

    found = {"ringleader": best(ours)}
    try:
        import loro
        import pycrdt
    except ImportError:
        return found

    def with_pycrdt() -> Callable[[], object]:
        doc: Any = pycrdt.Doc()
        table = doc.get("m", type=pycrdt.Map)

        def run() -> None:
            for i, key in enumerate(keys):
                table[key] = i

        return run

    def with_loro() -> Callable[[], object]:
        doc = peer_doc(loro)
        table = doc.get_map("m")

        def run() -> None:
            for i, key in enumerate(keys):
                table.insert(key, i)
                doc.commit()

        return run

    return {
        **found,
        "pycrdt, a transaction each": best(with_pycrdt, 2),
        "loro, a commit each": best(with_loro, 2),
    }


def sets() -> dict[str, float]:
    """Seconds for adding to and merging OR-Sets of 100,000 elements each; saving and loading."""
    one = [f"one:{i}" for i in range(N)]
    two = [f"two:{i}" for i in range(N)]

    def filled(name: str, items: list[str]) -> ORSet[str]:
        made = ORSet[str](context(name))
        for item in items:
            made.add(item)
        return made

    def adding() -> Callable[[], object]:
        return lambda: filled("a", one)

    def merging() -> Callable[[], object]:
        a, b = filled("a", one), filled("b", two)
        return lambda: a.merge(b)

    def merging_bytes() -> Callable[[], object]:
        a, data = filled("a", one), filled("b", two).encode()
        return lambda: a.apply(data)

    both = filled("a", one)
    both.merge(filled("b", two))
    data = both.encode()
    found = {
        "ringleader add": best(adding),
        "ringleader merge, in memory": best(merging),
        "ringleader merge, from bytes": best(merging_bytes),
        "ringleader encode, 200,000": best(lambda: both.encode),
        "ringleader decode, 200,000": best(lambda: lambda: ORSet.decode(data)),
    }
    try:
        import loro
    except ImportError:
        return found

    def peer() -> Callable[[], object]:
        docs = []
        for items in (one, two):
            doc = peer_doc(loro)
            table = doc.get_map("s")
            for item in items:
                table.insert(item, True)
            doc.commit()
            docs.append(doc)
        update = docs[1].export(loro.ExportMode.Snapshot())
        return lambda: docs[0].import_(update)

    return {**found, "loro import of a map, from bytes": best(peer, 2)}


def nested() -> dict[str, float]:
    """Seconds for merging 10,000 updates of nested counters, each at a key of its own or repeatedly at few keys."""

    def scene(keys: int) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            a: ORMap[str, ORMap[str, PNCounter]] = ORMap(context("a"), ORMap[str, PNCounter])
            b: ORMap[str, ORMap[str, PNCounter]] = ORMap(context("b"), ORMap[str, PNCounter])
            for i in range(NESTED):
                a[f"cart {i % keys % 100}"][f"item {i % keys}"] += 1
            b.merge(a)
            for i in range(NESTED):
                b[f"cart {i % keys % 100}"][f"item {i % keys}"] += 1
            return lambda: a.merge(b)

        return prepare

    return {"10,000 updates of 10,000 places": best(scene(NESTED)), "10,000 updates of 1,000 places": best(scene(1000))}


def other() -> dict[str, float]:
    """Seconds for 100,000 operations of other types."""

    def board() -> Callable[[], object]:
        scores = SortedSet[int](context("a"))

        def run() -> None:
            for i in range(N):
                scores.add(i, i)

        return run

    def sketch() -> Callable[[], object]:
        seen = HyperLogLog(context("a"))
        return lambda: [seen.add(i) for i in range(N)]

    return {"SortedSet.add": best(board), "HyperLogLog.add": best(sketch)}


def footprint() -> dict[str, float]:
    """Bytes per element: in memory (elements themselves left out) and saved."""
    items = [f"item:{i}" for i in range(N)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    made = ORSet[str](context("a"))
    for item in items:
        made.add(item)
    after, _ = tracemalloc.get_traced_memory()
    made._doc.journal.forget(made.version)
    made._doc.journal.restart(made.version)
    lean, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for item in items:
        made.discard(item)
    return {
        "OR-Set, memory per element, journal included": (after - before) / N,
        "OR-Set, memory per element, journal forgotten": (lean - before) / N,
        "OR-Set, saved bytes after removing all 100,000": len(made.encode()),
    }


LINES: dict[str, tuple[int, Callable[[], dict[str, float]]]] = {
    "counter: 1,000,000 increments": (INCREMENTS, counters),
    "LWW-map: 100,000 sets": (N, maps),
    "OR-Set: 2 x 100,000 elements": (N, sets),
    "nested map: merge": (NESTED, nested),
    "other types: 100,000 operations": (N, other),
}


def main() -> None:
    """Print a table; write `.bench/crdt.json`."""
    results: dict[str, Any] = {}
    for title, (count, run) in LINES.items():
        found = run()
        results[title] = found
        print(title)
        for name, seconds in found.items():
            print(f"  {name:36} {seconds * 1e3:9.1f} ms {seconds / count * 1e6:8.2f} us each")
    results["footprint, bytes"] = sizes = footprint()
    print("footprint")
    for name, size in sizes.items():
        print(f"  {name:50} {size:8.0f} bytes")
    folder = Path(".bench")
    folder.mkdir(exist_ok=True)
    (folder / "crdt.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
