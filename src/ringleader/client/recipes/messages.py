"""A message that a consumer has: acknowledge it, alone or together with what was done for it, or give it back.

Where a queue keeps what, and how it looks at one moment, stands here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, Operation, delete, key
from ringleader.client.recipes.names import QUEUES, quoted
from ringleader.client.types import RangeResult
from ringleader.errors import NotAppliedError, Reason, RingleaderError

__all__ = ["TOP_PRIORITY", "Message", "QueueKeys", "View", "view_of"]

TOP_PRIORITY = 255
_EFFECTS = 100  # with more effects an acknowledgement brings nothing along: a transaction has a limit


class QueueKeys:
    """Where a queue keeps what: messages, claims on them, how often each was handed out, and who waits."""

    __slots__ = ("base", "claims", "line", "messages", "tries")

    def __init__(self, name: str) -> None:
        self.base = QUEUES + quoted(name, "queue") + b"/"
        self.messages = self.base + b"q/m/"
        self.claims = self.base + b"q/c/"
        self.tries = self.base + b"tries/"
        self.line = self.base + b"line/"


class View(NamedTuple):
    """A queue at one moment: `taken`, what consumers have, and `free`, what nobody has, both first first.

    `whole`: there are no other messages.
    """

    revision: int
    taken: list[bytes]
    free: list[bytes]
    whole: bool


def view_of(keys: QueueKeys, claims: RangeResult, messages: RangeResult) -> View:
    taken = [each.key[len(keys.claims) :] for each in claims]
    known = set(taken)
    free = [id for each in messages if (id := each.key[len(keys.messages) :]) not in known]
    return View(min(claims.revision, messages.revision), taken, free, not messages.more and not claims.more)


class Message:
    """A message that was handed out. `deliveries`: how often, this time included. `async with message:` acknowledges it.

    `fencing_token`: grows each time that this message is handed out; pass it on to what you write to.
    """

    def __init__(
        self,
        kv: KV,
        lease: Lease,
        keys: QueueKeys,
        id: str,
        value: bytes,
        token: int,
        deliveries: int,
        ahead: Callable[[], list[Operation]],
        seen: Callable[[Sequence[object]], object],
    ) -> None:
        self._kv = kv
        self._lease = lease
        self._keys = keys
        self._ahead = ahead  # what an acknowledgement reads besides, and who is told
        self._seen = seen
        self._over = False
        self.id = id
        self.value = value
        self.fencing_token = token
        self.deliveries = deliveries

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self.value.decode()

    @property
    def priority(self) -> int:
        """The priority that it was put with."""
        return TOP_PRIORITY - int(self.id[:2], 16)

    @property
    def held(self) -> bool:
        """Whether it is certainly with this consumer alone at this moment, unless someone meddled with its keys."""
        return not self._over and self._lease.alive

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is with this consumer."""
        return key(self._claim).create_revision == self.fencing_token

    async def ack(self, *effects: Operation, timeout: float | None = None) -> None:
        """Done with it: it is handed out to nobody any more. `effects` happen in the same transaction, or not at all.

        Raises `NotAppliedError` (lock-lost) when it was handed out to another meanwhile; then nothing has happened.
        """
        name = self.id.encode()
        ends = [delete(self._keys.messages + name), delete(self._claim), delete(self._keys.tries + name)]
        ahead = self._ahead() if len(effects) <= _EFFECTS else []
        result = await self._kv.txn(compare=[self.condition], success=[*effects, *ends, *ahead], timeout=timeout)
        self._over = True
        if result.succeeded and ahead:
            self._seen(result.results)
        if not result.succeeded:
            message = f"message {self.id} is with this consumer no more: it may have been handed out again"
            raise NotAppliedError(message, reason=Reason.LOCK_LOST, hint="Undo or ignore what was done for it.")

    async def release(self, *, timeout: float | None = None) -> None:
        """Not done with it: it is handed out again at once, at its place. Harmless when it is not ours any more."""
        await self._kv.txn(compare=[self.condition], success=[delete(self._claim)], timeout=timeout)
        self._over = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._over:
            return
        if kind is None:
            await self.ack()
        else:
            with suppress(
                RingleaderError
            ):  # then it is handed out again when the lease ends; the block's error matters
                await self.release()

    @property
    def _claim(self) -> bytes:
        return self._keys.claims + self.id.encode()
