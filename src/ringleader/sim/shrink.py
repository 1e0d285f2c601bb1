"""From a failing run to a small one: fewer faults, nodes, calls and seconds, with the same invariant broken at the end.

Three ways to make a world smaller are tried in turns until none helps: end it right after the failure, set one of its knobs to
the plain value, and leave out faults and calls by halves, quarters and so on (Zeller & Hildebrandt, "Simplifying and isolating
failure-inducing input", 2002). Every fault and every call draws from a stream of its own, so what stays is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from ringleader.sim.disk import DiskHabits
from ringleader.sim.options import ClockOptions, NetOptions, Options
from ringleader.sim.run import Report, run_seed
from ringleader.sim.trace import Trace
from ringleader.sim.world import World

__all__ = ["Replay", "Shrunk", "load_replay", "save_replay", "shrink"]

_T = TypeVar("_T")

FORMAT = 1


class Replay(msgspec.Struct, frozen=True):
    """A failing run on file: what it was like, and which invariant broke. `text`: how, for people."""

    invariant: str
    text: str
    options: Options
    format: int = FORMAT


def save_replay(path: Path, report: Report, options: Options) -> None:
    """Write a failing run to a file, as JSON."""
    assert report.failure is not None
    found = Replay(report.failure.invariant, report.failure.text, options)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


def load_replay(path: Path) -> Replay:
    """Read what `save_replay` wrote. Raises `OSError`, or `ValueError` saying what is wrong with the file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Replay)
    except ValueError as error:
        raise ValueError(f"{path} is not a replay file of the simulator: {error}") from error
    if found.format != FORMAT:
        raise ValueError(f"{path} has format {found.format}, this release reads format {FORMAT}")
    return found


class Shrunk(msgspec.Struct):
    """A failing run and how large it is: events up to the failure, faults and calls that happened."""

    options: Options
    report: Report
    strikes: list[int]
    calls: list[tuple[int, int]]

    @property
    def size(self) -> tuple[int, int, int]:
        """(faults, calls, events)."""
        return len(self.strikes), len(self.calls), self.report.steps

    def line(self) -> str:
        """How large it is, in words."""
        options = self.options
        return (
            f"{self.report.steps} events, {options.nodes} nodes, {options.load.clients} clients, {len(self.strikes)} faults, "
            f"{len(self.calls)} calls, {self.report.simulated:.2f} s"
        )


def shrink(
    options: Options, tries: int = 300, told: Callable[[str], None] = lambda text: None
) -> tuple[Shrunk, Shrunk] | None:
    """The failing run that `options` make, and the smallest that at most `tries` runs lead to; None: it does not fail.

    `told` hears a line whenever a smaller one was found.
    """
    shrinker = _Shrinker(tries, told)
    first = shrinker.fails(options)
    if first is None:
        return None
    return first, shrinker.shrink(first)


class _Shrinker:
    def __init__(self, tries: int, told: Callable[[str], None]) -> None:
        self.left = tries
        self.told = told
        self.invariant = ""

    def fails(self, options: Options) -> Shrunk | None:
        """The run of `options` if it breaks the invariant that the first one broke."""
        self.left -= 1
        worlds: list[World] = []
        report = run_seed(options.seed, options, Trace(), worlds.append)
        failure = report.failure
        if failure is None or (self.invariant and failure.invariant != self.invariant):
            return None
        self.invariant = failure.invariant
        return Shrunk(options, report, list(worlds[0].nemesis.struck), list(worlds[0].made))

    def shrink(self, best: Shrunk) -> Shrunk:
        """Try all ways in turns until none helps or the tries are used up."""
        while self.left > 0:
            before = best.size
            for way in (self._sooner, self._plainer, self._fewer_faults, self._fewer_calls):
                best = way(best)
            if best.size == before:
                break
        return best

    def _try(self, best: Shrunk, options: Options) -> Shrunk | None:
        if self.left <= 0 or options == best.options:
            return None
        found = self.fails(options)
        if found is not None:
            self.told(found.line())
        return found

    def _sooner(self, best: Shrunk) -> Shrunk:
        """End the faults and the load earlier."""
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            options = best.options
            duration = min(options.duration, best.report.simulated) * share
            until = min(options.faults_until, duration)
            found = self._try(best, replace(options, duration=duration, faults_until=until))
            if found is not None:
                return found
        return best

    def _plainer(self, best: Shrunk) -> Shrunk:
        """Set one knob after the other to its plain value."""
        for change in _plain_knobs():
            found = self._try(best, change(best.options))
            if found is not None and found.report.steps <= best.report.steps * 1.2:
                best = found
        return best

    def _fewer_faults(self, best: Shrunk) -> Shrunk:
        def with_only(options: Options, kept: list[int]) -> Options:
            return replace(options, strikes=tuple(kept))

        return self._fewer(best, lambda found: found.strikes, with_only)

    def _fewer_calls(self, best: Shrunk) -> Shrunk:
        def with_only(options: Options, kept: list[tuple[int, int]]) -> Options:
            return replace(options, calls=tuple(kept))

        return self._fewer(best, lambda found: found.calls, with_only)

    def _fewer(
        self,
        best: Shrunk,
        items: Callable[[Shrunk], list[_T]],
        with_only: Callable[[Options, list[_T]], Options],
    ) -> Shrunk:
        """Leave out all, then half, a quarter ... of `items`, as long as it still fails."""
        size = max(len(items(best)), 1)
        while size >= 1 and self.left > 0:
            place = 0
            while place < len(items(best)) and self.left > 0:
                kept = items(best)
                found = self._try(best, with_only(best.options, kept[:place] + kept[place + size :]))
                if found is not None and len(items(found)) < len(kept):
                    best = found
                else:
                    place += size
            size = size // 2
        return best


def _plain_knobs() -> Iterator[Callable[[Options], Options]]:
    """Changes that each make a world plainer."""

    def part(name: str, **values: Any) -> Callable[[Options], Options]:
        return lambda options: replace(options, **{name: replace(getattr(options, name), **values)})

    yield lambda options: replace(options, nodes=3)
    yield part("load", leases=0)
    yield part("load", watches=0.0)
    yield part("load", clients=1)
    yield part("load", clients=2)
    yield part("load", padding=0, compactions=0.0)
    yield part("load", reads=0.0)
    yield part("load", keys=1)
    yield lambda options: replace(options, net=NetOptions())
    yield part("net", again=0.0)
    yield part("net", duplicate=0.0, reorder=0.0, loss=0.0)
    yield lambda options: replace(options, clock=ClockOptions())
    yield lambda options: replace(options, disk=replace(options.disk, habits=DiskHabits(keep=0.0, tear=0.0)))
    yield lambda options: replace(options, image_checks=0)
    yield lambda options: replace(options, recode=False)
    yield lambda options: replace(options, snapshot_every=100_000)
    yield lambda options: replace(options, session_ttl=60.0)
    yield lambda options: replace(options, append_bytes=1 << 20, window_messages=256)
