"""Draws the pictures of `docs/learn/1-consistent-hashing.md` and puts measured figures into `docs/placement.md`.

`python -m tools.docs_placement` writes docs/learn/img/placement-*.svg, and, when `python -m bench.placement` has run
before, the tables between the `<!-- bench:... -->` marks of docs/placement.md.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from ringleader.placement import BoundedLoads, JumpHash, Maglev, MultiProbe, Node, Placement, Rendezvous, Ring, plan
from ringleader.placement.diff import sample_hashes
from ringleader.placement.draw import (
    bars,
    circle,
    colour,
    compare_svg,
    document,
    moved_arcs,
    palette,
    ring_arcs,
    ring_svg,
)
from ringleader.placement.keys import SPACE

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "learn" / "img"
PAGE = ROOT / "docs" / "placement.md"
RESULT = ROOT / ".bench" / "placement.json"
FOUR = ["ant", "bee", "cat", "dog"]


def moved_by_modulo() -> str:
    """How many keys move when a fifth node joins four: hash modulo n, and the ring."""
    hashes = list(sample_hashes(20_000))
    modulo = sum(h % 4 != h % 5 for h in hashes) / len(hashes)
    ring = Ring(FOUR).diff(Ring([*FOUR, "eel"])).share
    shares = {"hash % n": modulo, "hash ring": ring, "a fair share": 1 / 5}
    body = bars(shares, palette(shares), corner=(20, 40), width=420)
    return document(460, 110, f'<text x="20" y="22">Keys that move from 4 to 5 nodes</text>\n{body}', "What moves")


def more_points() -> str:
    """The same four nodes with 1, 8 and 100 points each."""
    colours = palette(FOUR)
    body = []
    for k, vnodes in enumerate((1, 8, 100)):
        ring = Ring(FOUR, vnodes=vnodes)
        at = 140.0 + 280 * k
        body.append(circle(ring_arcs(ring), colours, centre=(at, 150), radius=100, middle=f"{vnodes} per node"))
        body.append(bars(ring.shares(), colours, corner=(at - 120, 285)))
    return document(860, 375, "\n".join(body), "More points, more even shares")


def nearest_or_next() -> str:
    """One set of points, cut into arcs in two ways: the next point clockwise, and the nearest point."""
    ring = Ring(FOUR, vnodes=4)
    colours = palette(FOUR)
    points = [(p / SPACE, n.name) for p, n in ring.points()]
    clockwise = [(a, b, name) for (a, _), (b, name) in zip([(points[-1][0] - 1, ""), *points], points, strict=False)]
    dots = [(p, colours[n]) for p, n in points]
    left = circle(clockwise, colours, dots=dots, middle="next clockwise")
    right = circle(ring_arcs(ring), colours, centre=(450, 150), dots=dots, middle="nearest")
    return document(600, 300, f"{left}\n{right}", "Two ways to cut a circle")


def one_joins() -> str:
    """A ring before and after a node joins: only arcs of the newcomer change hands."""
    before = Ring(FOUR, vnodes=8)
    after = before.add("eel")
    colours = palette([*FOUR, "eel"])
    parts = [
        circle(ring_arcs(before), colours, middle="before"),
        circle(ring_arcs(after), colours, centre=(430, 150), middle="after"),
        circle(moved_arcs(before, after), colours, centre=(710, 150), middle="what moves"),
    ]
    return document(850, 300, "\n".join(parts), "A node joins")


def side_by_side() -> str:
    """Every algorithm's load for the same 40 nodes."""
    names = [f"n{i}" for i in range(40)]
    made: list[tuple[str, Placement]] = [
        ("ring, 20 points", Ring(names, vnodes=20)),
        ("ring", Ring(names)),
        ("rendezvous", Rendezvous(names)),
        ("jump", JumpHash(names)),
        ("maglev", Maglev(names)),
        ("multi-probe", MultiProbe(names)),
    ]
    return compare_svg(made)


def bounded() -> str:
    """2,000 requests, half of them for three hot keys, with and without a bound of 1.25 times the average."""
    nodes = [*FOUR, "eel", "fox"]
    ring = Ring(nodes)
    keys = [f"hot-{h % 3}" if h & 1024 else f"key-{h % 5000}" for h in sample_hashes(2000)]
    free = Counter(ring.owner(k).name for k in keys)
    limited = BoundedLoads(ring, 1.25)
    for k in keys:
        limited.acquire(k)
    colours = palette(nodes)
    parts = ['<text x="20" y="22">no bound</text>', '<text x="330" y="22">c = 1.25</text>']
    for x, loads in ((20.0, dict(free)), (330.0, limited.loads)):
        shares = {n: loads.get(n, 0) / len(keys) for n in nodes}
        parts.append(bars(shares, colours, corner=(x, 36), ideal=dict.fromkeys(nodes, 1.25 / len(nodes))))
    return document(620, 160, "\n".join(parts), "Bounded loads")


def partition_table() -> str:
    """A table of 32 partitions with 3 owners, before and after a node joins; what is new is framed."""
    old = plan(None, [Node(n) for n in FOUR], partitions=32)
    new = plan(old.table, [*FOUR, "eel"])
    names = [*FOUR, "eel"]
    tint = {n: colour(i) for i, n in enumerate(names)}
    moved = {(m.partition, m.target) for m in new.moves}
    parts = []
    for block, table in ((0, old.table), (1, new.table)):
        top = 20 + 90 * block
        parts.append(f'<text x="10" y="{top + 34}">{"after" if block else "before"}</text>')
        for p, row in enumerate(table.rows):
            for k, i in enumerate(row):
                name = table.nodes[i].name
                frame = ' stroke="#000" stroke-width="2.5"' if block and (p, name) in moved else ""
                parts.append(
                    f'<rect x="{60 + 21 * p}" y="{top + 21 * k}" width="18" height="18" fill="{tint[name]}"{frame}/>'
                )
    for k, name in enumerate(names):
        parts.append(f'<rect x="{60 + 90 * k}" y="204" width="14" height="14" fill="{tint[name]}"/>')
        parts.append(f'<text x="{80 + 90 * k}" y="216">{name}</text>')
    return document(745, 230, "\n".join(parts), "A partition table")


def pictures() -> dict[str, str]:
    """All pictures by file name."""
    return {
        "placement-modulo.svg": moved_by_modulo(),
        "placement-points.svg": more_points(),
        "placement-nearest.svg": nearest_or_next(),
        "placement-join.svg": one_joins(),
        "placement-weights.svg": ring_svg(Ring({"ant": 1, "bee": 2, "cat": 0.5, "dog": 1}, vnodes=60)),
        "placement-compare.svg": side_by_side(),
        "placement-bounded.svg": bounded(),
        "placement-table.svg": partition_table(),
    }


def tables(result: dict[str, Any]) -> dict[str, str]:
    """The measured figures as Markdown, by the mark they go to."""
    from bench.placement import format_rows

    batch = ["| batch, 100 nodes | pre-hashed keys/s | int keys/s |", "|---|---|---|"]
    batch += [
        f"| {r['what']} | {r['hashed_per_s'] / 1e6:,.1f}M | {r['ints_per_s'] / 1e6:,.1f}M |" for r in result["batches"]
    ]
    plans = ["| nodes | first table | join | moves (bound) | leave | moves (bound) |", "|---|---|---|---|---|---|"]
    plans += [
        f"| {r['nodes']} | {r['fresh_ms']:.0f} ms | {r['join_ms']:.0f} ms | {r['join_moves']} ({r['join_bound']})"
        f" | {r['leave_ms']:.0f} ms | {r['leave_moves']} ({r['leave_bound']}) |"
        for r in result["tables"]
    ]
    peaks = result["peaks_of_40_name_sets"]
    ratio = ["| in one run | figure |", "|---|---|", *(f"| {k} | {v:.2f} |" for k, v in result["ratios"].items())]
    ratio.append(f"| peak share over 40 sets of 100 names: median | {peaks[len(peaks) // 2]:.3f} |")
    ratio.append(f"| ... worst | {peaks[-1]:.3f} |")
    ratio.append(f"| ... sets above 1.12 | {sum(p > 1.12 for p in peaks)} of {len(peaks)} |")
    where = f"Python {result['python']}, {result['machine']}, {result['date']}"
    return {
        "where": f"Measured with {where}; CPU time of one process on a busy two-core machine, so read the ratios.",
        "lookups": format_rows(result["rows"]),
        "ratios": "\n".join(ratio),
        "batches": "\n".join(batch),
        "tables": "\n".join(plans),
    }


def _between(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{text}\n{marks[2]}"


def filled(page: str, found: dict[str, str]) -> str:
    """The page with every marked place filled anew."""
    for name, text in found.items():
        pattern = rf"(<!-- bench:{name} -->\n).*?(<!-- /bench -->)"
        page, count = re.subn(pattern, partial(_between, text), page, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"docs/placement.md has {count} marks for {name}, there must be one")
    return page


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures().items():
        (IMAGES / name).write_text(svg, encoding="utf-8")
    if RESULT.exists():
        result = json.loads(RESULT.read_text())
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables(result)), encoding="utf-8")
    print(f"{len(pictures())} pictures in {IMAGES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
