"""A place in a line that is held: with a lease of its own, a guard that notices the loss, and a clear end."""

from __future__ import annotations

import asyncio

from ringleader.client.recipes.line import Line
from ringleader.client.recipes.patience import changed
from ringleader.errors import DeadlineError, NotAppliedError, Reason, RingleaderError, UsageError

__all__ = ["Place"]


class Place:
    """One place in a line, taken at most once. `lost` is set as soon as it may be gone without having been left."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lease = line.lease
        self._what = line.what
        self._guard: asyncio.Task[None] | None = None
        self._entered = False
        self._deleted = False
        self._held = False
        self.lost = asyncio.Event()

    @property
    def token(self) -> int:
        """Its fencing token, 0 before it was taken."""
        return self._line.token

    @property
    def key(self) -> bytes:
        """The key that stands for it, b"" before it was taken."""
        return self._line.key

    async def enter(self, timeout: float | None) -> None:
        """Queue up and wait for the turn; `timeout` in seconds, `None`: as long as it takes, 0: only if nobody is in the way.

        Raises `DeadlineError`, or `NotAppliedError` when the lease was lost meanwhile. Whoever waits no longer, also
        because of a cancellation, leaves no place behind.
        """
        if self._entered:
            hint = "Make a new one for each time."
            raise UsageError(f"{self._what} was asked for before", reason=Reason.INVALID_ARGUMENT, hint=hint)
        self._entered = True
        self._line.patient = timeout is None or timeout > 0
        try:
            # Who does not wait for others still has to ask whether there are any.
            async with asyncio.timeout(timeout if self._line.patient else self._lease._timeout):
                await self._lease.grant()
                await self._line.join()
                await self._line.wait()
        except BaseException as error:
            await self._lease.revoke()
            if isinstance(error, TimeoutError) and not isinstance(error, RingleaderError):
                raise self._too_late(max(timeout or 0.0, 0.0)) from None
            raise
        self._held = True
        self._guard = asyncio.get_running_loop().create_task(self._watch_own_key(), name=self._what)

    def _too_late(self, timeout: float) -> DeadlineError:
        trouble = self._line.trouble
        if trouble is not None:
            message = f"{self._what}: not got within {timeout or self._lease._timeout:g} s: {trouble.message}"
            return DeadlineError(message, reason=Reason.DEADLINE, hint=trouble.hint)
        if not self._line.patient:
            message = f"{self._what}: others hold it"
            return DeadlineError(message, reason=Reason.DEADLINE, hint="Wait for it, or find out who holds it.")
        message = f"{self._what}: others held it for all of {timeout:g} s"
        return DeadlineError(message, reason=Reason.DEADLINE, hint="Wait longer, or find out who holds it.")

    async def leave(self) -> None:
        """Give the place up; whoever is next has its turn then."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.cancel()
        await self._lease.revoke()

    @property
    def held(self) -> bool:
        """Whether the place is certainly still there at this moment."""
        return self._held and not self._deleted and self._lease.alive

    def check(self) -> None:
        """Raise `NotAppliedError` unless the place is certainly still there."""
        if not self._held:
            raise UsageError(f"{self._what} is not held", reason=Reason.INVALID_ARGUMENT, hint="Acquire it first.")
        if not self.held:
            why = "its key was deleted" if self._deleted else self._lease.error().message
            hint = "Stop what depended on it; pass the fencing token on to what you write to."
            raise NotAppliedError(f"{self._what} is lost: {why}", reason=self._line.gone, hint=hint)

    async def _watch_own_key(self) -> None:
        """Tell of the loss, whether the lease ended or someone deleted the key."""
        line = self._line
        revision = line.token + 1
        try:
            while await changed(line.kv, line.key, revision, puts=False, lost=self._lease.lost):
                found = await line.insist(lambda: line.kv.range(line.key))
                if not found or found[0].create_revision != line.token:
                    self._deleted = True
                    break
                revision = found.revision + 1
        except RingleaderError:
            pass  # the lease is lost, or the client was closed: nothing can be known any more
        self.lost.set()
