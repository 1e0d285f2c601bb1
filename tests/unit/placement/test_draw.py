"""Pictures: what is drawn lies where the arcs lie, however short they are."""

from __future__ import annotations

import re
from math import atan2, hypot, pi

import pytest

from ringleader.placement import Ring
from ringleader.placement.draw import circle, ring_arcs

PIECE = re.compile(
    r'<path d="M(\S+) (\S+)[AL](?:\S+ \S+ 0 [01] 1 )?(\S+) (\S+)L(\S+) (\S+)[AL](?:.*? 0 [01] 0 )?(\S+) (\S+)Z"'
)


@pytest.mark.parametrize("vnodes", [1, 7, 640])
def test_each_arc_is_drawn_where_it_is(vnodes: int) -> None:
    """Found by looking: strokes along very short arcs pointed anywhere, and made wedges over their neighbours."""
    arcs = ring_arcs(Ring(["a", "b", "c"], vnodes=vnodes))
    drawn = circle(arcs, {"a": "red", "b": "green", "c": "blue"}, centre=(150, 150), radius=110, width=26)
    pieces = PIECE.findall(drawn)
    assert len(pieces) == len(arcs) == drawn.count("<path")
    for (start, end, _), piece in zip(arcs, pieces, strict=True):
        numbers = [float(x) for x in piece]
        corners = list(zip(numbers[::2], numbers[1::2], strict=True))
        for (x, y), place, far in zip(corners, (start, end, end, start), (123, 123, 97, 97), strict=True):
            assert hypot(x - 150, y - 150) == pytest.approx(far, abs=0.002)
            off = atan2(x - 150, 150 - y) / (2 * pi) - place
            assert abs(off - round(off)) < 2e-6
