"""A diagram as SVG text: where everything stands on the page, and what it looks like in light and in dark mode.

Every event gets a row of its own, so no two labels ever lie on each other; a long silence is shortened to a few rows. The
picture needs no script and no font of ours, and equal diagrams give equal bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from html import escape

from ringleader.sim.picture.diagram import Arrow, Diagram, Mark, Sign

__all__ = ["draw"]

_COLUMN = 190  # pixels between lifelines
_LEFT = 84  # left margin, with the time axis
_TOP = 78
_ROW = 21  # least pixels between events
_SILENCE = 46  # most pixels between events
_TEXT = 30  # most letters of a label; the rest shows when the pointer rests on it

_STYLE = """
text { font: 12px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; fill: #1f2328; stroke: #ffffff; stroke-width: 3px;
  paint-order: stroke; stroke-linejoin: round; }
.page { fill: #ffffff; } .title { font-size: 15px; font-weight: 600; } .name { font-weight: 600; font-size: 13px; }
.life { stroke: #8c959f; stroke-width: 1.5; } .down { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 2 6; }
.reign { stroke: #1a7f37; stroke-width: 6; stroke-linecap: round; opacity: 0.55; }
.arrow { stroke: #0969da; stroke-width: 1.3; fill: none; } .head { fill: #0969da; } .of-arrow { fill: #0a53a8; }
.lost { stroke: #cf222e; stroke-width: 1.3; stroke-dasharray: 5 4; fill: none; } .of-lost { fill: #a40e26; }
.cross { stroke: #cf222e; stroke-width: 2.4; fill: none; } .time { fill: #656d76; font-size: 11px; }
.rule { stroke: #9a6700; stroke-width: 1; stroke-dasharray: 1 4; } .of-note { fill: #7d4e00; font-style: italic; }
.good { fill: #1a7f37; stroke: #ffffff; } .busy { fill: #bf8700; stroke: #ffffff; }
.plain { fill: #ffffff; stroke: #57606a; stroke-width: 1.6; } .disk { fill: #8250df; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; stroke: #0d1117; } .page { fill: #0d1117; } .life, .down { stroke: #6e7681; }
.reign { stroke: #3fb950; } .arrow { stroke: #58a6ff; } .head { fill: #58a6ff; } .of-arrow { fill: #8cc4ff; }
.lost, .cross { stroke: #ff7b72; } .of-lost { fill: #ffa198; } .time { fill: #9198a1; }
.rule { stroke: #d29922; } .of-note { fill: #e3b341; } .good { fill: #3fb950; stroke: #0d1117; }
.busy { fill: #d29922; stroke: #0d1117; } .plain { fill: #0d1117; stroke: #9198a1; } .disk { fill: #bc8cff; }
}"""


class _Page:
    """Where things are."""

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.x = {actor: 1.0 * _LEFT + 60 + place * _COLUMN for place, actor in enumerate(sorted(diagram.names))}
        self.rows: list[float] = []
        self.times: list[float] = []
        events = diagram.events
        span = (events[-1].time - events[0].time) if len(events) > 1 else 1.0
        scale = (len(events) * _ROW * 1.2) / span if span > 0 else 0.0
        y = float(_TOP)
        for place, event in enumerate(events):
            if place:
                y += min(max((event.time - events[place - 1].time) * scale, _ROW), _SILENCE)
            self.rows.append(y)
            self.times.append(event.time)
        self.width = max(_LEFT + 60 + max(len(self.x) - 1, 0) * _COLUMN + 210, 40 + 9 * len(diagram.title))
        self.height = y + 40

    def y_at(self, time: float) -> float:
        """Where a moment that may lie between two rows is: after all rows that are earlier."""
        after = bisect_right(self.times, time)
        if after == 0:
            return _TOP - _ROW / 2
        low_time, low = self.times[after - 1], self.rows[after - 1]
        if after == len(self.times) or low_time == time:
            return low
        high_time, high = self.times[after], self.rows[after]
        return low + (high - low) * (time - low_time) / (high_time - low_time)


def draw(diagram: Diagram) -> str:
    """The picture as a whole SVG document, UTF-8. Raises `ValueError` when the events are not in the order of time."""
    times = [event.time for event in diagram.events]
    if times != sorted(times):
        raise ValueError("the events of a diagram must be in the order of time")
    page = _Page(diagram)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(page.width)}" height="{_n(page.height)}" '
        f'viewBox="0 0 {_n(page.width)} {_n(page.height)}" role="img" aria-label="{escape(diagram.title)}">',
        f"<title>{escape(diagram.title)}</title><style>{_STYLE}</style>",
        f'<rect class="page" width="{_n(page.width)}" height="{_n(page.height)}" rx="6"/>',
        _label(16, 26, diagram.title, "title", limit=1000),
    ]
    parts += _lifelines(page)
    parts += [
        line
        for place, event in enumerate(diagram.events)
        if isinstance(event, Arrow)
        for line in _arrow(page, place, event)
    ]
    parts += [
        line
        for place, event in enumerate(diagram.events)
        if isinstance(event, Mark)
        for line in _mark(page, place, event)
    ]
    parts += _axis(page)
    return "\n".join([*parts, "</svg>", ""])


def _lifelines(page: _Page) -> Iterator[str]:
    """Names, lines, gaps while an actor is down, and the time in which a node led."""
    bottom = page.height - 18
    for actor, x in page.x.items():
        yield _label(x, _TOP - 26, page.diagram.names[actor], "name", anchor="middle")
        since, up = _TOP - 16.0, True
        reign: float | None = None
        spans: list[tuple[str, float, float]] = []
        for place, event in enumerate(page.diagram.events):
            if not isinstance(event, Mark) or event.actor != actor:
                continue
            y = page.rows[place]
            if reign is not None and event.sign in (Sign.CRASH, Sign.FOLLOWS, Sign.STANDS):
                spans.append(("reign", reign, y))
                reign = None
            if event.sign is Sign.LEADS and reign is None:
                reign = y
            if event.sign is Sign.CRASH or (event.sign is Sign.START and not up):
                spans.append(("life" if up else "down", since, y))
                since, up = y, event.sign is Sign.START
        spans.append(("life" if up else "down", since, bottom))
        if reign is not None:
            spans.append(("reign", reign, bottom))
        yield from (_line(style, x, top, x, low) for style, top, low in spans)


def _arrow(page: _Page, place: int, arrow: Arrow) -> Iterator[str]:
    """From where it was sent to where it arrived; a lost one ends in a cross on the way."""
    x1, x2 = float(page.x[arrow.sender]), float(page.x[arrow.receiver])
    y1, y2 = min(page.y_at(arrow.sent), page.rows[place]), page.rows[place]
    side = 1 if x2 > x1 else -1
    if arrow.received is None:
        x2 = x1 + (x2 - x1) * 0.55
        yield _line("lost", x1, y1, x2, y2)
        yield f'<path class="cross" d="M{_n(x2 - 5)} {_n(y2 - 5)}l10 10m0 -10l-10 10"/>'
        yield _label(x2 + side * 9, y2 - 5, arrow.text, "of-lost", anchor="start" if side > 0 else "end", limit=18)
        return
    x2 -= side * 4
    yield _line("arrow", x1, y1, x2, y2)
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    ux, uy = (x2 - x1) / length * 8, (y2 - y1) / length * 8
    points = ((x2, y2), (x2 - ux - uy * 0.45, y2 - uy + ux * 0.45), (x2 - ux + uy * 0.45, y2 - uy - ux * 0.45))
    yield f'<path class="head" d="M{" L".join(f"{_n(x)} {_n(y)}" for x, y in points)}Z"/>'
    yield _label(x2 - side * 12, y2 + 12, arrow.text, "of-arrow", anchor="end" if side > 0 else "start", limit=24)


def _mark(page: _Page, place: int, mark: Mark) -> Iterator[str]:
    """A sign on a lifeline with its words to the right; what the world does goes across the page."""
    y = page.rows[place]
    if mark.actor not in page.x:
        yield _line("rule", _LEFT - 10, y, page.width - 14, y)
        yield _label(_LEFT - 6, y - 4, mark.text, "of-note", limit=110)
        return
    x = page.x[mark.actor]
    yield _sign(mark.sign, x, y)
    if mark.text:
        yield _label(x + 13, y + 4, mark.text, "of-lost" if mark.sign in (Sign.CRASH, Sign.VIOLATION) else "of-mark")


def _sign(sign: Sign, x: float, y: float) -> str:
    at = f"M{_n(x)} {_n(y)}"
    match sign:
        case Sign.LEADS:
            return f'<path class="good" d="{at}m-8 6v-11l4 4 4 -6 4 6 4 -4v11z"/>'
        case Sign.STANDS:
            return f'<path class="busy" d="{at}m-7 6l7 -13 7 13z"/>'
        case Sign.COMMIT:
            return f'<path class="good" d="{at}m0 -7l7 7 -7 7 -7 -7z"/>'
        case Sign.SYNC:
            return f'<path class="disk" d="{at}m-4 -4h8v8h-8z"/>'
        case Sign.CRASH | Sign.VIOLATION:
            return f'<path class="cross" d="{at}m-7 -7l14 14m0 -14l-14 14"/>'
        case Sign.CALL:
            return f'<path class="plain" d="{at}m-5 -5l10 5 -10 5z"/>'
        case Sign.RETURN:
            return f'<path class="plain" d="{at}m5 -5l-10 5 10 5z"/>'
    return f'<circle class="plain" cx="{_n(x)}" cy="{_n(y)}" r="5"/>'


def _axis(page: _Page) -> Iterator[str]:
    """The time of some rows, at the left edge, never closer than they can be read."""
    last = -100.0
    for time, y in zip(page.times, page.rows, strict=True):
        if page.diagram.unit and y >= last + 34:
            yield _label(8, y + 4, f"{time:.3f} {page.diagram.unit}", "time")
            last = y


def _label(x: float, y: float, text: str, style: str, anchor: str = "start", limit: int = _TEXT) -> str:
    short = text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    whole = "" if short == text else f"<title>{escape(text)}</title>"
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{style}" x="{_n(x)}" y="{_n(y)}"{where}>{escape(short)}{whole}</text>'


def _line(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _n(value: float) -> str:
    """A coordinate: one decimal, no more, so that pictures stay small and equal."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
