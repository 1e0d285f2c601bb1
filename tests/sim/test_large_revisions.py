"""Revisions too large for one frame, under faults: whoever watches gets each of them whole, once, whatever breaks between."""

from __future__ import annotations

import pytest

from ringleader.client.watches import Watch
from ringleader.group.parts import Parts
from ringleader.sim.options import draw
from ringleader.sim.run import run_seed
from ringleader.store.commands import Event
from ringleader.store.watch import Watcher
from ringleader.wire.frames import WatchEvents

SEEDS = (880_001, 880_002, 880_003)


def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on a few events are too many for one frame; the number of events in each such revision."""
    begun: list[int] = []
    make, begin = Parts.__init__, Parts.begin

    def counted(self: Parts, watcher: Watcher, revision: int, events: list[Event]) -> bool:
        large = begin(self, watcher, revision, events)
        if large:
            begun.append(len(events))
        return large

    monkeypatch.setattr(Parts, "__init__", lambda self, most: make(self, 60))
    monkeypatch.setattr(Parts, "begin", counted)
    return begun


def test_watches_miss_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = in_small_parts(monkeypatch)
    for seed in SEEDS:
        report = run_seed(seed, draw(seed))
        assert report.ok, report.line()
    assert len(begun) > 20


def test_the_check_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes a part for the whole is found out."""
    in_small_parts(monkeypatch)
    take = Watch.take

    def hasty(self: Watch, frame: WatchEvents) -> WatchEvents | None:
        return take(self, WatchEvents(frame.watch, frame.revision, frame.events))

    monkeypatch.setattr(Watch, "take", hasty)
    assert not all(run_seed(seed, draw(seed)).ok for seed in SEEDS)
