"""The loop waits for a disk that has been fast lately, never for long, and not at all for a slow one."""

from __future__ import annotations

from ringleader.runtime.patience import MOST, Patience


def taught(*spans: tuple[int, float]) -> Patience:
    patience = Patience()
    for count, seconds in spans:
        for _ in range(count):
            patience.learn(seconds)
    return patience


def test_a_disk_is_slow_until_it_has_been_seen() -> None:
    assert Patience().seconds == 0
    assert taught((100, 0.0001)).seconds > 0.0001


def test_it_never_waits_for_longer_than_the_bound() -> None:
    for time in (1e-6, 1e-5, 1e-4, 2e-4, 4e-4, 1e-3, 1e-2, 1.0):
        assert 0 <= taught((500, time)).seconds <= MOST
    assert taught((500, 0.002)).seconds == 0


def test_a_stall_ends_the_waiting_for_a_while_and_not_for_ever() -> None:
    assert taught((100, 0.0001), (1, 3.0)).seconds == 0
    assert taught((100, 0.0001), (1, 3.0), (5, 0.0001)).seconds == 0
    assert taught((100, 0.0001), (1, 3.0), (100, 0.0001)).seconds > 0


def test_a_disk_that_is_slow_now_and_then_is_not_waited_for() -> None:
    assert taught(*[(9, 0.0001), (1, 0.02)] * 20).seconds == 0
