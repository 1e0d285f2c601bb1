"""Strangers get only what is left when the node has the descriptors it needs, and a shortage of them passes."""

from __future__ import annotations

import errno
import logging

import pytest

from ringleader.runtime import descriptors

resource = pytest.importorskip("resource")


def limited(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))


@pytest.mark.parametrize("limit", [64, 256, 1024, 4096, 20_000])
def test_clients_and_handshakes_leave_room(
    limit: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited(monkeypatch, limit)
    with caplog.at_level(logging.WARNING):
        clients, handshakes = descriptors.shares(10_000)
    assert clients >= 1
    assert handshakes >= 4
    assert clients + 2 * handshakes <= limit * 3 // 4 or clients + 2 * handshakes + descriptors.KEPT <= limit
    assert (clients < 10_000) == ("ulimit -n" in caplog.text)
    assert descriptors.shares(1)[0] == 1


def test_without_a_limit_all_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, resource.RLIM_INFINITY)
    assert descriptors.shares(10_000) == (10_000, descriptors.MAX_HANDSHAKES)


@pytest.mark.parametrize(
    ("soft", "hard", "grants", "becomes"),
    [
        (1024, 524_288, 1 << 30, 524_288),
        (256, resource.RLIM_INFINITY, 10_240, 10_240),
        (1024, 4096, 1 << 30, 4096),
        (1024, 1 << 30, 100, 1024),
        (4096, 4096, 1 << 30, 4096),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1 << 30, resource.RLIM_INFINITY),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    soft: int, hard: int, grants: int, becomes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [soft]

    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        assert limits[1] == hard
        if limits[0] > grants:
            raise ValueError("not allowed to raise it")
        now[0] = limits[0]

    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    descriptors.raise_limit()
    assert now[0] == becomes


def test_a_shortage_is_waited_out_and_other_errors_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "PAUSE", 0.0)
    tries = iter([errno.EMFILE, errno.ENFILE, 0])

    def action() -> int:
        if number := next(tries):
            raise OSError(number, "too many")
        return 7

    assert descriptors.patiently(action) == 7
    monkeypatch.setattr(descriptors, "PATIENCE", -1.0)
    for number in (errno.EMFILE, errno.EIO):
        tries = iter([number, 0])
        with pytest.raises(OSError, match="too many"):
            descriptors.patiently(action)
