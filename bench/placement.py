"""Placement beside its peers: look-ups, balance, build, change, memory; `python -m bench.placement` prints the tables.

One process, one core, a million distinct str keys, CPU time, best of a few rounds, peers in the same run; where the
issue is a ratio, the two sides take turns slice by slice, so that a busy machine cannot favour one. Results also go to
`.bench/placement.json`; `python -m tools.docs_placement` puts them into `docs/placement.md`.
"""

from __future__ import annotations

import gc
import json
import platform
import random
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ringleader.placement import (
    JumpHash,
    KetamaRing,
    Maglev,
    Memento,
    MultiProbe,
    Node,
    Placement,
    Rendezvous,
    Ring,
    plan,
)
from ringleader.placement.cells import make_index

KEYS = 1_000_000
OUT = Path(".bench/placement.json")
Row = dict[str, Any]


def names(count: int) -> list[str]:
    return [f"node-{i}" for i in range(count)]


def best(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest round, with the collector off as timeit does."""
    fastest = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            start = time.process_time()
            work()
            fastest = min(fastest, time.process_time() - start)
    finally:
        gc.enable()
    return fastest


def memory(make: Callable[[], object]) -> int:
    """Bytes that are held by what `make` gives."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return size


def each(find: Callable[[str], object], keys: Iterable[str]) -> Callable[[], None]:
    def go() -> None:
        for k in keys:
            find(k)

    return go


def lookup_rate(find: Callable[[str], object], keys: list[str]) -> float:
    """Look-ups per second: all keys twice, in slices of 50,000; the fastest slice counts (shared machine)."""
    size = min(50_000, len(keys))
    slices = [keys[i : i + size] for i in range(0, len(keys), size)]
    return size / min(best(each(find, part), 2) for part in slices)


def find_of(ring: Any) -> Callable[[str], object]:
    """The look-up of one of ours, or of uhashring's."""
    found: Callable[[str], object] = ring.owner if isinstance(ring, Placement) else ring.get_node
    return found


def used(ring: Any, keys: Iterable[str]) -> Any:
    """The ring after these look-ups: builds are timed together with them, because a ring makes its index under way."""
    each(find_of(ring), keys)()
    return ring


def steady(placement: Placement) -> Placement:
    """With the index that a ring of ours makes after some look-ups."""
    if isinstance(placement, Ring):
        placement.cells.make_index()
    return placement


def builds(make: Callable[[], Any], keys: list[str], rounds: int) -> Row:
    """Milliseconds of a build alone, up to the first answer, and up to the thousandth."""
    return {
        "build_ms": 1e3 * best(make, rounds),
        "first_ms": 1e3 * best(lambda: used(make(), keys[:1]), rounds),
        "thousand_ms": 1e3 * best(lambda: used(make(), keys[:1000]), rounds),
    }


def peak(counts: Counter[Any], nodes: int) -> float:
    return max(counts.values()) / (sum(counts.values()) / nodes)


def row_of_ours(label: str, make: Callable[[list[str]], Placement], count: int, keys: list[str], lookups: int) -> Row:
    placement = steady(make(names(count)))
    moved = placement.diff(placement.add("one-more")).share
    loads = Counter(placement.owner_batch(keys[: max(lookups, 200_000)]).tolist())
    return {
        "what": label,
        "nodes": count,
        "lookups_per_s": lookup_rate(placement.owner, keys[:lookups]),
        "peak": peak(loads, count),
        "keys_for_peak": sum(loads.values()),
        **builds(lambda: make(names(count)), keys, 9 if count < 1000 else 4),
        "add_ms": 1e3 * best(lambda: placement.add("one-more"), 10),
        "memory": memory(lambda: steady(make(names(count)))),
        "moved": moved,
    }


def row_of_uhashring(label: str, count: int, keys: list[str], **options: Any) -> Row:
    from uhashring import HashRing

    ring = HashRing(names(count), **options)
    loads = Counter(ring.get_node(k) for k in keys)

    def add_one() -> float:
        fresh = HashRing(names(count), **options)
        start = time.process_time()
        fresh.add_node("one-more")
        return time.process_time() - start

    grown = HashRing([*names(count), "one-more"], **options)
    sample = keys[:50_000]
    return {
        "what": label,
        "nodes": count,
        "lookups_per_s": lookup_rate(ring.get_node, keys),
        "peak": peak(loads, count),
        "keys_for_peak": len(keys),
        **builds(lambda: HashRing(names(count), **options), keys, 9 if count < 1000 else 4),
        "add_ms": 1e3 * min(add_one() for _ in range(7)),
        "memory": memory(lambda: HashRing(names(count), **options)),
        "moved": sum(ring.get_node(k) != grown.get_node(k) for k in sample) / len(sample),
    }


def row_of_c_jump(count: int, keys: list[str]) -> Row:
    import jump
    import xxhash

    digest, find = xxhash.xxh3_64_intdigest, jump.hash

    def owner(key: str) -> int:
        return int(find(digest(key.encode()), count))

    loads = Counter(owner(k) for k in keys)
    return {
        "what": "jump-consistent-hash (C) + xxh3",
        "nodes": count,
        "lookups_per_s": lookup_rate(owner, keys),
        "peak": peak(loads, count),
        "keys_for_peak": len(keys),
        "build_ms": 0.0,
        "first_ms": 0.0,
        "thousand_ms": 1e3 * best(each(owner, keys[:1000]), 5),
        "add_ms": 0.0,
        "memory": 0,
        "moved": 1 / (count + 1),
    }


ALGORITHMS: list[tuple[str, Callable[[list[str]], Placement], int]] = [
    ("Ring (default)", Ring, KEYS),
    ("Ring, 100 vnodes", lambda n: Ring(n, vnodes=100), KEYS),
    ("KetamaRing", KetamaRing, 200_000),
    ("JumpHash", JumpHash, 200_000),
    ("Memento", Memento, 200_000),
    ("Maglev", Maglev, KEYS),
    ("MultiProbe", MultiProbe, 50_000),
    ("Rendezvous", Rendezvous, 50_000),
]


def batches() -> list[Row]:
    hashes = np.frombuffer(random.Random(1).randbytes(8 * KEYS), dtype=np.uint64)
    ints = np.arange(KEYS)
    rows = []
    for label, make in [("Ring", Ring), ("Maglev", Maglev), ("JumpHash", JumpHash), ("Rendezvous", Rendezvous)]:
        placement: Placement = make(names(100))
        placement.owner_batch_hashed(hashes)
        rows.append(
            {
                "what": label,
                "nodes": 100,
                "hashed_per_s": KEYS / best(partial(placement.owner_batch_hashed, hashes), 5),
                "ints_per_s": KEYS / best(partial(placement.owner_batch, ints), 5),
            }
        )
    return rows


def tables() -> list[Row]:
    rng = random.Random(1)
    rows = []
    for count in (3, 10, 50, 200):
        members = [Node(n, rng.uniform(0.5, 2.0), f"zone-{i % 5}") for i, n in enumerate(names(count + 1))]
        first = plan(None, members[:-1])
        join, leave = plan(first.table, members), plan(first.table, members[1:-1])
        rows.append(
            {
                "nodes": count,
                "fresh_ms": 1e3 * best(partial(plan, None, members[:-1]), 3),
                "join_ms": 1e3 * best(partial(plan, first.table, members), 3),
                "join_moves": len(join.moves),
                "join_bound": join.lower_bound,
                "leave_ms": 1e3 * best(partial(plan, first.table, members[1:-1]), 3),
                "leave_moves": len(leave.moves),
                "leave_bound": leave.lower_bound,
            }
        )
    return rows


def many_names() -> list[float]:
    """Exact peak share of the default ring for 40 different sets of 100 names: the one set above is not a lucky one."""
    return sorted(100 * max(Ring([f"set{s}-{i}" for i in range(100)]).shares().values()) for s in range(40))


def lookup_rows(keys: list[str]) -> list[Row]:
    rows = []
    for count in (10, 100, 1000):
        rows.append(row_of_uhashring("uhashring (default)", count, keys))
        if count == 100:
            rows.append(row_of_uhashring("uhashring, 100 vnodes", count, keys, vnodes=100))
            rows.append(row_of_uhashring("uhashring, ketama", count, keys, hash_fn="ketama"))
            rows.append(row_of_c_jump(count, keys))
        for label, make, lookups in ALGORITHMS:
            if count == 100 or label == "Ring (default)":
                rows.append(row_of_ours(label, make, count, keys, lookups))
    return rows


def format_rows(rows: list[Row]) -> str:
    """The look-up table as text (also Markdown)."""
    lines = [
        "| what | nodes | look-ups/s | peak/average | moved by one more | build | + 1 look-up | + 1,000 | add one | memory |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        ideal = 1 / (r["nodes"] + 1)
        lines.append(
            f"| {r['what']} | {r['nodes']} | {r['lookups_per_s'] / 1e3:,.0f}k | {r['peak']:.3f}"
            f" | {r['moved'] / ideal:.2f} of ideal | {r['build_ms']:.2f} ms | {r['first_ms']:.2f} ms"
            f" | {r['thousand_ms']:.2f} ms | {r['add_ms']:.2f} ms | {r['memory'] / 1e3:,.0f} kB |"
        )
    return "\n".join(lines)


def take_turns(keys: list[str], rows: list[Row]) -> None:
    """Measures look-ups and builds of the pairs that are compared again, alternating, and puts that into their rows."""
    from uhashring import HashRing

    makers: dict[tuple[str, int], Callable[[], Any]] = {
        ("Ring (default)", 100): lambda: Ring(names(100)),
        ("uhashring (default)", 100): lambda: HashRing(names(100)),
        ("Ring, 100 vnodes", 100): lambda: Ring(names(100), vnodes=100),
        ("uhashring, 100 vnodes", 100): lambda: HashRing(names(100), vnodes=100),
        ("Ring (default)", 1000): lambda: Ring(names(1000)),
        ("uhashring (default)", 1000): lambda: HashRing(names(1000)),
    }
    at = {(r["what"], r["nodes"]): r for r in rows}
    made = {who: make() for who, make in makers.items()}
    fastest: dict[tuple[str, int, str], float] = {}

    def note(who: tuple[str, int], what: str, seconds: float) -> None:
        fastest[(*who, what)] = min(fastest.get((*who, what), seconds), seconds)

    for start in range(50_000, len(keys), 50_000):
        part = keys[start : start + 50_000]
        for who, ring in made.items():
            used(ring, keys[start - 20_000 : start])  # or the one before it would have the caches still
            note(who, "look-ups", best(each(find_of(ring), part), 1))
    for turn in range(24):
        for who, make in makers.items():
            if who[1] < 1000 or turn < 6:
                for what, milliseconds in builds(make, keys, 1).items():
                    note(who, what, milliseconds)
    for who in makers:
        at[who]["lookups_per_s"] = 50_000 / fastest[(*who, "look-ups")]
        at[who].update({what: fastest[(*who, what)] for what in ("build_ms", "first_ms", "thousand_ms")})
    for who, ring in made.items():
        if isinstance(ring, Ring):
            bounds, shift = ring.cells.bounds, ring.cells.shift
            at[who]["index_ms"] = 1e3 * best(partial(make_index, bounds, shift), 9)


STAGES = {"build_ms": "", "first_ms": " and the first look-up", "thousand_ms": " and 1,000 look-ups"}


def ratios(rows: list[Row]) -> Row:
    """What the issue asks for, as ratios within one run."""
    at = {(r["what"], r["nodes"]): r for r in rows}
    ours, theirs = at["Ring (default)", 100], at["uhashring (default)", 100]
    ours_100, theirs_100 = at["Ring, 100 vnodes", 100], at["uhashring, 100 vnodes", 100]
    big, their_big = at["Ring (default)", 1000], at["uhashring (default)", 1000]
    return {
        "look-ups, default ring / uhashring default": ours["lookups_per_s"] / theirs["lookups_per_s"],
        "peak/average, default ring": ours["peak"],
        "peak/average, uhashring default": theirs["peak"],
        **{f"build of 1,000 nodes{w}, uhashring / ours": their_big[k] / big[k] for k, w in STAGES.items()},
        "adding one to 100 nodes, ms": ours["add_ms"],
        "100 vnodes: look-ups, ours / uhashring": ours_100["lookups_per_s"] / theirs_100["lookups_per_s"],
        **{f"100 vnodes: build{w}, uhashring / ours": theirs_100[k] / ours_100[k] for k, w in STAGES.items()},
        "100 vnodes: the index, made after some 2,500 look-ups, ms": ours_100["index_ms"],
        "100 vnodes: memory, ours / uhashring": ours_100["memory"] / theirs_100["memory"],
    }


def main() -> None:
    keys = [f"key-{i}" for i in range(KEYS)]
    rows = lookup_rows(keys)
    take_turns(keys, rows)
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "platform": sys.platform,
        "date": time.strftime("%Y-%m-%d"),
        "rows": rows,
        "ratios": ratios(rows),
        "batches": batches(),
        "tables": tables(),
        "peaks_of_40_name_sets": many_names(),
    }
    print(format_rows(rows))
    for name, value in result["ratios"].items():
        print(f"{name}: {value:.2f}")
    for r in result["batches"]:
        print(f"batch {r['what']}: {r['hashed_per_s'] / 1e6:.1f}M hashed/s, {r['ints_per_s'] / 1e6:.1f}M ints/s")
    for r in result["tables"]:
        print("partition table", {k: round(v, 1) for k, v in r.items()})
    peaks = many_names()
    print(f"peak share of 40 name sets: median {peaks[20]:.3f}, worst {peaks[-1]:.3f}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
