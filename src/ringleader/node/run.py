"""A node as a process: set up logging, run until a signal or a failure, say how it ended by the exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

from ringleader.errors import RingleaderError
from ringleader.node.config import NodeConfig
from ringleader.node.node import Node
from ringleader.runtime import collector
from ringleader.runtime.descriptors import raise_limit

__all__ = ["run", "serve", "setup_logging"]

logger = logging.getLogger("ringleader.node")


def setup_logging(level: str = "info") -> None:
    """Lines with time, level, part and text on standard error."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )


async def serve(config: NodeConfig, on_up: Callable[[Node], None] | None = None) -> RingleaderError | None:
    """Run a node until SIGINT or SIGTERM, or until it fails; returns the failure. `on_up` is called once it serves.

    Raises `RingleaderError` when it cannot start.
    """
    node = Node(config)
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    try:
        if not await _started(node, asked):
            return None
        collector.settle()
        if on_up is not None:
            on_up(node)
        waiting = asyncio.ensure_future(asked.wait())
        either: set[asyncio.Future[Any]] = {waiting, node.failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await node.stop()
        return node.failed.result() if node.failed.done() else None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _started(node: Node, asked: asyncio.Event) -> bool:
    """Start it; False when it is asked to stop before it serves: recovery and joining may take long."""
    waiting = asyncio.ensure_future(asked.wait())
    starting = asyncio.ensure_future(node.start())
    try:
        await asyncio.wait({waiting, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()  # it frees what it has taken
            await asyncio.wait({starting})
            if starting.cancelled():
                logger.info("node %s was asked to stop before it was up", node.config.name)
                return False
        await starting
        return True
    finally:
        waiting.cancel()
        starting.cancel()


def run(config: NodeConfig, on_up: Callable[[Node], None] | None = None) -> RingleaderError | None:
    """`serve` in a loop of its own, on uvloop where it exists. Raises `RingleaderError` when the node cannot start."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    raise_limit()
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(serve(config, on_up))
