"""A store with its log position and log time: tests say what to do, one line each."""

from __future__ import annotations

from ringleader.store.commands import (
    Batch,
    Command,
    Envelope,
    Event,
    Failure,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
)
from ringleader.store.limits import Limits
from ringleader.store.store import Store
from ringleader.store.watch import Watcher

ALL = b"\0"


class Log:
    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008  # it is immutable
        self.store = Store(limits)
        self.index = 0
        self.time_ms = 0

    def calls(self, session: int, ack: int, *calls: tuple[int, Command]) -> list[Result]:
        self.index += 1
        [results] = self.store.apply(self.index, Batch(1, self.time_ms, [Envelope(7, session, ack, list(calls))]))
        return results

    def do(self, command: Command) -> Result:
        [result] = self.calls(0, 0, (0, command))
        return result

    def put(self, key: bytes, value: bytes = b"v") -> int:
        result = self.do(Put(key, value))
        assert isinstance(result, PutResult)
        return result.revision

    def refused(self, command: Command) -> Failure:
        """The failure, having made sure that it changed nothing."""
        before = self.store.snapshot()
        result = self.do(command)
        assert isinstance(result, Failure), result
        self.store.applied -= 1
        self.index -= 1
        assert self.store.snapshot() == before
        return result

    def keys(self, revision: int = 0) -> list[bytes]:
        result = self.store.read(Range(b"\0", b"\0", revision, keys_only=True))
        assert isinstance(result, RangeResult), result
        return [kv.key for kv in result.kvs]

    def watch(self, key: bytes, range_end: bytes = b"", start: int = 0, prev_kv: bool = False) -> Watcher:
        watcher = self.store.watches.create(key, range_end, start, prev_kv, False, False)
        assert isinstance(watcher, Watcher), watcher
        return watcher

    def poll(self, watcher: Watcher, max_bytes: int = 10**9) -> tuple[int, list[Event]]:
        polled = self.store.watches.poll(watcher, max_bytes)
        assert isinstance(polled, tuple), polled
        return polled
