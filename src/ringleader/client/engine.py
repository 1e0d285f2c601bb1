"""The way from a client's calls to the core that belongs where they are made: each process and each event loop has its own.

Two of them must never share sequence numbers, and so no session. Loops may be used in turns, or at the same time in threads:
what was asked in one goes on there.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

from ringleader.client.options import ClientOptions
from ringleader.client.shell import Shell, Sink
from ringleader.client.transport import Dialer
from ringleader.errors import DeadlineError, NotAppliedError, Reason
from ringleader.ports import Entropy
from ringleader.store.commands import Command, Read, Result
from ringleader.wire.frames import NodeInfo, StatusReply

__all__ = ["Engine", "Sink"]

_ABANDONED: list[object] = []  # what a fork inherited: must neither be used nor be closed by the collector


class Engine:
    """Hands calls to the `Shell` of the running event loop; makes one where there is none yet.

    `check`: raises when there is no way to connect from here and now. `entropy`: the system's, unless one is given.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        dialer: Dialer,
        options: ClientOptions,
        check: Callable[[], None] | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.entropy = entropy if entropy is not None else random.SystemRandom()
        self._check = check
        self._endpoints = list(endpoints)
        self._dialer = dialer
        self._options = options
        self._closed = False
        self._numbers = itertools.count(1)
        self._shells: dict[int, Shell] = {}  # all that are not given up, by number
        self._shell: Shell | None = None  # the one that was used last

    # ------------------------------------------------------------------------------------------------ for the API

    @property
    def revision(self) -> int:
        """The newest revision of the store that any answer has told of; 0: none yet."""
        return self._shell.core.revision if self._shell is not None else 0

    def submit(
        self, commands: Sequence[Command], timeout: float, *, once: bool = True
    ) -> tuple[int, asyncio.Future[list[Result]]]:
        """Start a call that writes; see `ClientCore.submit`. Await it with `wait`."""
        shell = self._here()
        return shell.expect(shell.begin().submit(commands, timeout, once=once))

    def query(
        self, reads: Sequence[Read], timeout: float, consistency: str, max_staleness_ms: int
    ) -> tuple[int, asyncio.Future[list[Result]]]:
        """Start a call that reads; see `ClientCore.query`. Await it with `wait`."""
        shell = self._here()
        return shell.expect(shell.begin().query(reads, timeout, consistency, max_staleness_ms))

    async def status(self, timeout: float) -> StatusReply:
        """How the node at the other end stands."""
        shell = self._here()
        number, future = shell.expect(shell.begin().status(timeout))
        answer: Any = await self.wait(number, future)
        assert isinstance(answer, StatusReply)
        return answer

    async def wait(self, number: int, future: asyncio.Future[list[Result]]) -> list[Result]:
        """The answer of a call; when the waiter is cancelled, the call is too and the connection stays usable."""
        try:
            return await future
        except asyncio.CancelledError:
            self.cancel(number)
            raise

    def watch(self, sink: Sink, key: bytes, range_end: bytes, start_revision: int, prev_kv: bool,
              no_put: bool, no_delete: bool) -> tuple[int, int]:  # fmt: skip
        """Start a watch whose news go to `sink`; ends with `end_watch` or with an error delivered.

        Returns the `generation` that it belongs to, and its number there.
        """
        shell = self._here()
        number = shell.begin().watch(
            key, range_end, start_revision=start_revision, prev_kv=prev_kv, no_put=no_put, no_delete=no_delete
        )
        shell.attach(number, sink)
        return shell.number, number

    def cancel(self, number: int) -> None:
        """Nobody waits any more for this call, which was made on the loop that runs."""
        shell = self._known()
        if shell is not None:
            shell.cancel(number)

    def end_watch(self, generation: int, number: int) -> None:
        """Nobody waits for this watch any more, wherever it was made."""
        shell = self._shells.get(generation)
        if shell is not None and shell.place.here:
            shell.cancel(number)
        else:
            self.end_watch_soon(generation, number)

    def end_watch_soon(self, generation: int, number: int) -> None:
        """As `end_watch`, from wherever the collector happens to run."""
        shell = self._shells.get(generation)
        if shell is not None:
            shell.cancel_soon(number)

    async def ready(self, timeout: float) -> None:
        """Wait until some node has welcomed us. Raises `DeadlineError` saying what went wrong at the endpoints."""
        shell = self._here()
        core = shell.begin()
        if core.node:
            return
        try:
            async with asyncio.timeout(timeout):
                await shell.connected()
        except TimeoutError:
            message = f"connect to {', '.join(self._endpoints)}: no node within {timeout:g} s ({core.trouble})"
            hint = "Check that the nodes run and that the endpoints are right; `ringleader dev` starts a local cluster."
            raise DeadlineError(message, reason=Reason.UNREACHABLE, hint=hint) from None

    async def close(self) -> None:
        """End all calls and watches with `CLOSED` and let go of the connections. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        here = False
        for shell in list(self._shells.values()):
            if shell.place.here:
                here = True
                shell.close()
            elif shell.usable:
                shell.close_soon()
        self._give_up_shells()
        if here:
            await asyncio.sleep(0)  # lets the transports see their closing

    @property
    def generation(self) -> int:
        """The number of the core that calls reach from this process and loop, 0 if it is still to be made.

        Numbers of calls and watches belong to one core: in another process or loop they mean nothing.
        """
        shell = self._known()
        return shell.number if shell is not None else 0

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def node(self) -> str:
        """The name of the node at the other end, "" when there is none."""
        return self._shell.core.node if self._shell is not None else ""

    @property
    def cluster(self) -> str:
        """The cluster's id, "" before the first connection."""
        return self._shell.core.cluster if self._shell is not None else ""

    @property
    def leader(self) -> int:
        """The id of the leading node as far as known, else 0."""
        return self._shell.core.leader if self._shell is not None else 0

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes of the cluster as far as known."""
        return self._shell.core.nodes if self._shell is not None else []

    # ------------------------------------------------------------------------------------------------- the shells

    def _here(self) -> Shell:
        """The shell of the loop that runs, made if there is none. Raises `RuntimeError` where no loop runs."""
        shell = self._shell
        if shell is not None and shell.place.here:
            return shell
        found = self._known()
        self._shell = shell = found if found is not None else self._start()
        return shell

    def _known(self) -> Shell | None:
        """The shell of the loop that runs, if there is one."""
        shell = self._shell
        if shell is not None and shell.place.here:
            return shell
        return next((each for each in list(self._shells.values()) if each.place.here), None)

    def _start(self) -> Shell:
        if self._closed:
            raise NotAppliedError("the client is closed", reason=Reason.CLOSED, hint="Open a new one with connect().")
        asyncio.get_running_loop()
        if self._check is not None:
            self._check()
        self._give_up_shells()
        shell = Shell(next(self._numbers), self._endpoints, self._dialer, self._options, self.entropy)
        self._shells[shell.number] = shell
        return shell

    def _give_up_shells(self) -> None:
        """Forget those of other processes, and of loops that are no more."""
        for number, shell in list(self._shells.items()):
            if not shell.usable and self._shells.pop(number, None) is not None:
                if shell.place.same_process:
                    shell.abandon()
                else:
                    _ABANDONED.append(shell)
