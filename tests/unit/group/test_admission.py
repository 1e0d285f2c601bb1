"""As much may wait as is served within the time that one may wait; an outage is not overload."""

from __future__ import annotations

from ringleader.group.admission import Admission

KB = 1000


def busy(admission: Admission, seconds: float, rate: float, *, start: float = 0.0) -> float:
    """Serve `rate` bytes a second with writes always waiting; returns the time at the end."""
    now = start
    while now < start + seconds:
        now += 0.01
        admission.served(int(rate * 0.01))
        admission.turn(now, 1)
    return now


def test_before_anything_is_known_the_size_alone_bounds() -> None:
    admission = Admission(10 * KB, 1000 * KB, 1.0)
    assert admission.admits(999 * KB, 1 * KB)
    assert not admission.admits(999 * KB, 2 * KB)
    assert admission.admits(0, 5000 * KB), "the first one always may"


def test_the_limit_follows_the_rate() -> None:
    admission = Admission(10 * KB, 1000 * KB, 0.5)
    now = busy(admission, 2.0, 400 * KB)
    assert 190 * KB < admission.limit < 210 * KB
    busy(admission, 5.0, 60 * KB, start=now)
    assert 29 * KB < admission.limit < 31 * KB


def test_the_limit_stays_within_its_bounds() -> None:
    admission = Admission(10 * KB, 1000 * KB, 1.0)
    now = busy(admission, 2.0, 1 * KB)
    assert admission.limit == 10 * KB
    busy(admission, 5.0, 9000 * KB, start=now)
    assert admission.limit == 1000 * KB


def test_idle_and_stalled_times_say_nothing() -> None:
    admission = Admission(10 * KB, 1000 * KB, 1.0)
    now = busy(admission, 2.0, 400 * KB)
    known = admission.limit
    for _ in range(300):  # hardly anything to do: what is served says nothing of what could be
        now += 0.01
        admission.served(10)
        admission.turn(now, 0)
    assert admission.limit == known
    for _ in range(300):  # an election: writes wait, nothing is applied
        now += 0.01
        admission.turn(now, 50 * KB)
    assert admission.limit == known
