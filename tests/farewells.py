"""A fixture for tests with real sockets: no connection outlives the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

PATIENCE = 30.0
"""Seconds until a connection that does not end is left to the warning that CPython gives."""

TURNS = 10
"""Of the loop, in which one that was just accepted becomes a connection."""


@pytest.fixture(autouse=True)
async def farewells() -> AsyncIterator[None]:
    """Let what was said last leave before the loop ends.

    A connection that is refused sends its reason and closes, in later turns of the loop; of one that is still on its way
    when the loop ends, CPython complains in whatever test runs then.
    """
    yield
    loop: Any = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    quiet = 0
    while quiet < TURNS and loop.time() < end:
        still = any(_open(transport) for transport in list(loop._transports.values()))
        quiet = 0 if still else quiet + 1
        await asyncio.sleep(0.005 if still else 0)


def _open(transport: Any) -> bool:
    return transport is not None and transport._sock is not None
