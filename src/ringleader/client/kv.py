"""Keys and values: put, get, range, delete, transactions, watches."""

from __future__ import annotations

from asyncio import CancelledError, Future
from collections.abc import Sequence
from typing import Literal

from ringleader.client import types
from ringleader.client.engine import Engine
from ringleader.client.ops import LONGEST_KEY, Condition, Operation, check, span
from ringleader.client.types import DeleteResult, KeyValue, PutResult, RangeResult, TxnResult, to_bytes, to_text, whole
from ringleader.client.watching import WatchStream
from ringleader.store import commands as wire

__all__ = ["KV", "Consistency"]

Consistency = Literal["linearizable", "leader_lease", "stale"]


class KV:
    """The store. Keys and values are str (as UTF-8) or bytes; `timeout` in seconds, `None` means the client's.

    Every call raises `RingleaderError`: `NotAppliedError` (safe to repeat), `OutcomeUnknownError` (the answer to a write
    was lost), `UsageError` (the call is at fault). Writes are repeated within a session until the deadline, and never
    run twice.
    """

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout

    async def put(
        self,
        key: str | bytes,
        value: str | bytes,
        *,
        lease: int = 0,
        prev_kv: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Set `key` to `value`, attached to a lease by its id if given. `prev_kv`: tell what was there before."""
        if not key:
            span(key, None, False)
        command = wire.Put(to_bytes(key, "key"), to_bytes(value, "value"), whole(lease, "lease"), prev_kv)
        number, future = self._engine.submit((command,), self._timeout if timeout is None else timeout)
        try:
            (result,) = await future
        except CancelledError:  # as in `Engine.wait`, without the coroutine: here and in `get` its cost is felt
            self._engine.cancel(number)
            raise
        assert isinstance(result, wire.PutResult)
        return types.put_result(result)

    async def get(
        self,
        key: str | bytes,
        *,
        revision: int = 0,
        consistency: Consistency = "linearizable",
        max_staleness: float | None = None,
        timeout: float | None = None,
    ) -> KeyValue | None:
        """The key as it is now (or was at `revision`), `None` when it does not exist.

        `consistency`: "linearizable" sees every write that was answered before the call; "leader_lease" trusts the
        leader's clock; "stale" may answer from the past, by at most `max_staleness` seconds (`None`: however far).
        """
        name = to_bytes(key, "key")
        if not name or len(name) > LONGEST_KEY:
            span(name, None, False)
        read = wire.Range(name, b"", whole(revision, "revision"))
        number, future = self._ask(read, consistency, max_staleness, timeout)
        try:
            (found,) = await future
        except CancelledError:
            self._engine.cancel(number)
            raise
        assert isinstance(found, wire.RangeResult)
        return types.key_value(found.kvs[0]) if found.kvs else None

    async def range(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        revision: int = 0,
        limit: int = 0,
        sort_by: Literal["key", "version", "create", "mod", "value"] = "key",
        descending: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
        consistency: Consistency = "linearizable",
        max_staleness: float | None = None,
        timeout: float | None = None,
    ) -> RangeResult:
        """All keys in [key, range_end), or that begin with `key` (`prefix=True`; "" for all).

        `limit` 0: no limit. The bounds on revisions (0: none) choose by when a key was last put or created.
        """
        first, end = span(key, range_end, prefix)
        order = "descend" if descending else "ascend"
        to_text(sort_by, "sort_by")
        for what, value in (
            ("revision", revision), ("limit", limit), ("min_mod_revision", min_mod_revision),
            ("max_mod_revision", max_mod_revision), ("min_create_revision", min_create_revision),
            ("max_create_revision", max_create_revision),
        ):  # fmt: skip
            whole(value, what)
        read = wire.Range(first, end, revision, limit, order, sort_by, keys_only, count_only,
                          min_mod_revision, max_mod_revision, min_create_revision, max_create_revision)  # fmt: skip
        (found,) = await self._engine.wait(*self._ask(read, consistency, max_staleness, timeout))
        assert isinstance(found, wire.RangeResult)
        return types.range_result(found)

    async def delete(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        prev_kv: bool = False,
        timeout: float | None = None,
    ) -> DeleteResult:
        """Delete a key, a range, or all keys that begin with `key` (`prefix=True`); says how many there were."""
        command = wire.Delete(*span(key, range_end, prefix), prev_kv)
        call = self._engine.submit((command,), self._timeout if timeout is None else timeout)
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.DeleteResult)
        return types.delete_result(result)

    async def txn(
        self,
        *,
        compare: Sequence[Condition] = (),
        success: Sequence[Operation] = (),
        failure: Sequence[Operation] = (),
        timeout: float | None = None,
    ) -> TxnResult:
        """If all of `compare` hold do `success`, else `failure`: everything at one revision, or nothing.

        Conditions come from `ringleader.key("a").version == 0`, operations from `ringleader.op.put("a", "1")`.
        """
        command = wire.Txn(list(compare), list(success), list(failure))
        check(compare, success, failure)
        call = self._engine.submit((command,), self._timeout if timeout is None else timeout)
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.TxnResult)
        return types.txn_result(result)

    def watch(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        puts: bool = True,
        deletes: bool = True,
        buffer: int = 1024,
    ) -> WatchStream:
        """The changes of a key or range, from `start_revision` (0: from now) on: `async for event in db.kv.watch("a")`.

        Survives failovers: no event twice, none left out. `buffer`: how many events may wait for a slow reader; beyond
        that the watch pauses, and goes on where it stopped.
        """
        first, end = span(key, range_end, prefix)
        return WatchStream(
            self._engine,
            self._timeout,
            first,
            end,
            whole(start_revision, "start_revision"),
            prev_kv,
            not puts,
            not deletes,
            whole(buffer, "buffer"),
        )

    async def compact(self, revision: int, *, timeout: float | None = None) -> int:
        """Forget history below `revision`; returns the store's revision."""
        call = self._engine.submit(
            (wire.Compact(whole(revision, "revision")),), self._timeout if timeout is None else timeout
        )
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.CompactResult)
        return result.revision

    def _ask(
        self, read: wire.Range, consistency: str, max_staleness: float | None, timeout: float | None
    ) -> tuple[int, Future[list[wire.Result]]]:
        staleness = 0 if max_staleness is None else types.to_timeout_ms(max_staleness, "max_staleness")
        return self._engine.query((read,), self._timeout if timeout is None else timeout, consistency, staleness)
