"""Pictures of placements as SVG text: the circle with its arcs, loads as bars, what moves. Pure: data in, a string out.

The same input gives the same bytes, so pictures in the documentation can be compared with freshly drawn ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import cos, pi, sin
from xml.sax.saxutils import escape

from ringleader.placement.base import Placement
from ringleader.placement.diff import sample_hashes
from ringleader.placement.ketama import KetamaRing
from ringleader.placement.keys import SPACE
from ringleader.placement.maglev import Maglev
from ringleader.placement.ring import Ring

__all__ = [
    "Arc",
    "bars",
    "circle",
    "colour",
    "compare_svg",
    "moved_arcs",
    "ring_arcs",
    "ring_svg",
    "samples_for",
    "shares_of",
]

#: Start and end as parts of the circle (0 to 1, clockwise from the top) and the label that owns them.
Arc = tuple[float, float, str]

_STYLE = 'font-family="system-ui, sans-serif" font-size="12"'
_GREY = "#d9d9de"


def colour(i: int) -> str:
    """The i-th of a series of colours that stay apart: golden-angle steps round the wheel, two lightnesses."""
    return f"hsl({round(i * 137.508 + 210) % 360} {60 if i % 2 else 68}% {46 if i % 2 else 58}%)"


def palette(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, in order."""
    return {label: colour(i) for i, label in enumerate(labels)}


def samples_for(placement: Placement) -> int:
    """How many hashes `shares_of` looks at: none where shares are exact, fewer for many nodes (they cost more)."""
    if isinstance(placement, Ring | KetamaRing | Maglev):
        return 0
    return 50_000 if len(placement) <= 50 else 20_000


def shares_of(placement: Placement) -> dict[str, float]:
    """Each node's part of all keys: exact where the algorithm has arcs or slots, else over a fixed sample."""
    if isinstance(placement, Ring):
        return placement.shares()
    counts = dict.fromkeys((n.name for n in placement.nodes), 0)
    total = 0
    if isinstance(placement, KetamaRing):
        for start, end, node in placement.arcs():
            counts[node.name] += end - start
        total = 1 << 32
    elif isinstance(placement, Maglev):
        for i in placement.table:
            counts[placement.nodes[i].name] += 1
        total = len(placement.table)
    else:
        total = samples_for(placement)
        for h in sample_hashes(total):
            counts[placement.nodes[placement.owner_index(h)].name] += 1
    return {name: c / total for name, c in counts.items()}


def ring_arcs(ring: Ring) -> list[Arc]:
    """A ring's arcs as parts of the circle."""
    return [(start / SPACE, end / SPACE, node.name) for start, end, node in ring.arcs()]


def moved_arcs(before: Ring, after: Ring) -> list[Arc]:
    """What changes hands between two rings, labelled with the new owner; the rest is left out."""
    return sorted((start / SPACE, end / SPACE, m.target) for m in before.diff(after).moves for start, end in m.ranges)


def circle(
    arcs: Sequence[Arc],
    colours: Mapping[str, str],
    *,
    centre: tuple[float, float] = (150.0, 150.0),
    radius: float = 110.0,
    width: float = 26.0,
    dots: Sequence[tuple[float, str]] = (),
    middle: str = "",
) -> str:
    """One circle as an SVG fragment; `dots` are places on it with a colour, `middle` a text in its centre."""
    cx, cy = centre
    parts = [f'<circle cx="{cx:g}" cy="{cy:g}" r="{radius:g}" fill="none" stroke="{_GREY}" stroke-width="{width:g}"/>']
    for start, end, label in arcs:
        tint = colours[label]
        if end - start >= 0.9999:
            parts.append(
                f'<circle cx="{cx:g}" cy="{cy:g}" r="{radius:g}" fill="none" stroke="{tint}" stroke-width="{width:g}"/>'
            )
            continue
        shape = _sector(start, end, centre, radius - width / 2, radius + width / 2)
        parts.append(f'<path d="{shape}" fill="{tint}"><title>{escape(label)}</title></path>')
    for place, tint in dots:
        x, y = _at(place, radius + width / 2 + 6, cx, cy)
        parts.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="3.5" fill="{tint}"/>')
    if middle:
        parts.append(f'<text x="{cx:g}" y="{cy + 4:g}" text-anchor="middle">{escape(middle)}</text>')
    return "\n".join(parts)


def _sector(start: float, end: float, centre: tuple[float, float], inner: float, outer: float) -> str:
    """A piece of a ring as a path: its four corners, joined by arcs, or by lines where nobody could see the difference.

    Not a broad stroke along an arc: of an arc so short that rounding turns its direction, that is a wedge elsewhere.
    """
    (ax, ay), (bx, by) = _at(start, outer, *centre), _at(end, outer, *centre)
    (cx, cy), (dx, dy) = _at(end, inner, *centre), _at(start, inner, *centre)
    large = 1 if end - start > 0.5 else 0
    short = end - start < 0.002
    out = "L" if short else f"A{outer:g} {outer:g} 0 {large} 1 "
    back = "L" if short else f"A{inner:g} {inner:g} 0 {large} 0 "
    return f"M{ax:.3f} {ay:.3f}{out}{bx:.3f} {by:.3f}L{cx:.3f} {cy:.3f}{back}{dx:.3f} {dy:.3f}Z"


def _at(place: float, radius: float, cx: float, cy: float) -> tuple[float, float]:
    return cx + radius * sin(2 * pi * place), cy - radius * cos(2 * pi * place)


def bars(
    shares: Mapping[str, float],
    colours: Mapping[str, str],
    *,
    corner: tuple[float, float],
    width: float = 260.0,
    row: float = 18.0,
    ideal: Mapping[str, float] | None = None,
) -> str:
    """Horizontal bars, one for each label, as an SVG fragment; a tick marks the ideal."""
    x, y = corner
    top = max([*shares.values(), *(ideal or {}).values(), 1e-12])
    parts = []
    for k, (label, share) in enumerate(shares.items()):
        at = y + k * row
        length = share / top * (width - 150)
        parts.append(f'<text x="{x:g}" y="{at + 11:g}">{escape(label[:14])}</text>')
        parts.append(
            f'<rect x="{x + 95:g}" y="{at:g}" width="{length:.2f}" height="{row - 5:g}" fill="{colours[label]}"/>'
        )
        parts.append(f'<text x="{x + 100 + length:.2f}" y="{at + 11:g}">{share:.1%}</text>')
        if ideal is not None:
            tick = x + 95 + ideal[label] / top * (width - 150)
            parts.append(f'<path d="M{tick:.2f} {at - 2:g}v{row - 1:g}" stroke="#222" stroke-width="1.5"/>')
    return "\n".join(parts)


def document(width: float, height: float, body: str, title: str) -> str:
    """A whole SVG file around fragments; white behind, so that it reads on dark pages too."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' height="{height:g}" {_STYLE} role="img">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def ideal_of(placement: Placement) -> dict[str, float]:
    """Each node's weight as a part of all weights."""
    total = sum(n.weight for n in placement.nodes)
    return {n.name: n.weight / total for n in placement.nodes}


def ring_svg(placement: Placement, after: Placement | None = None) -> str:
    """A placement's load, beside its circle if it is a ring; with `after`, what moves on the way there as well."""
    names = [n.name for n in placement.nodes]
    extra = [] if after is None else [n.name for n in after.nodes if n.name not in placement]
    colours = palette([*names, *extra])
    shown = after if after is not None else placement
    shares = shares_of(shown)
    body: list[str] = []
    x = 20.0
    if isinstance(shown, Ring):
        body.append(circle(ring_arcs(shown), colours, middle=f"{len(shown)} nodes"))
        x = 300.0
        if isinstance(placement, Ring) and after is not None:
            moved = placement.diff(shown)
            body.append(
                circle(moved_arcs(placement, shown), colours, centre=(440.0, 150.0), middle=f"{moved.share:.1%} moves")
            )
            x = 600.0
    body.append(bars(shares, colours, corner=(x, 30.0), ideal=ideal_of(shown)))
    height = max(300.0 if isinstance(shown, Ring) else 0.0, 50.0 + 18.0 * len(shares))
    return document(x + 290, height, "\n".join(body), f"{shown.kind} with {len(shown)} nodes")


def compare_svg(placements: Sequence[tuple[str, Placement]]) -> str:
    """Algorithms side by side: the load of every node relative to its ideal, one column of dots for each algorithm."""
    width, height = 120.0 * len(placements) + 80, 320.0
    ratios = []
    for label, p in placements:
        ideal = ideal_of(p)
        ratios.append((label, [s / ideal[n] for n, s in shares_of(p).items()]))
    low = min(0.8, *(min(r) for _, r in ratios))
    high = max(1.2, *(max(r) for _, r in ratios))

    def y(ratio: float) -> float:
        return 30 + (high - ratio) / (high - low) * (height - 80)

    body = [
        f'<path d="M60 {y(1):.2f}H{width - 10:g}" stroke="#222" stroke-dasharray="4 3"/>',
        f'<text x="8" y="{y(1) + 4:.2f}">average</text>',
    ]
    for k, (label, values) in enumerate(ratios):
        x = 120 + 120.0 * k
        body += [
            f'<circle cx="{x + 34 * sin(i * 2.4):.2f}" cy="{y(v):.2f}" r="3" fill="{colour(k)}" fill-opacity="0.7"/>'
            for i, v in enumerate(values)
        ]
        body.append(f'<text x="{x:g}" y="{height - 26:g}" text-anchor="middle">{escape(label)}</text>')
        body.append(f'<text x="{x:g}" y="{height - 10:g}" text-anchor="middle">peak {max(values):.3f}</text>')
    return document(width, height, "\n".join(body), "Load of each node relative to the average")
