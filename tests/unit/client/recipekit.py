"""What tests of recipes wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ringleader import Client
from ringleader.client.engine import Engine
from ringleader.client.options import ClientOptions
from ringleader.client.types import KeyValue
from unit.client.fakes import FakeCluster
from unit.client.server import DirectDialer


def direct(cluster: FakeCluster) -> Client:
    return Client(Engine(["n1:1"], DirectDialer(cluster), ClientOptions()))


async def settled(cluster: FakeCluster) -> None:
    """Wait until nobody asks the nodes for anything any more: they answer at once, so that is when many turns are quiet."""
    quiet = 0
    while quiet < 100:
        before = len(cluster.queries), len(cluster.submits), len(cluster.store.watches)
        await asyncio.sleep(0)
        quiet = quiet + 1 if before == (len(cluster.queries), len(cluster.submits), len(cluster.store.watches)) else 0


async def keys(db: Client) -> list[KeyValue]:
    return (await db.kv.range("", prefix=True, sort_by="create")).items


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nothing tells of."""
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


async def queued(db: Client, count: int) -> None:
    """Wait until so many keys are there."""
    async with asyncio.timeout(60):
        while True:
            if len(await keys(db)) >= count:
                return
            await asyncio.sleep(0)


async def no_leases(db: Client) -> None:
    """Wait until what was given back in the background is gone."""
    async with asyncio.timeout(60):
        while await db.leases.list():
            await asyncio.sleep(0.005)
