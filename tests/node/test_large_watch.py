"""A revision that is too large for one frame still reaches those who watch: whole, once, and in order."""

from __future__ import annotations

from pathlib import Path

from node.wireclient import single
from ringleader.client import connect
from ringleader.node import Node


async def test_the_end_of_many_large_values_is_told_with_what_was_there(tmp_path: Path) -> None:
    values = {b"large/%02d" % number: bytes([number]) * 1_000_000 for number in range(12)}
    async with Node(single(tmp_path / "data")) as node:
        await node.ready(60)
        async with connect(node.client_address, timeout=60) as db, connect(node.client_address, timeout=60) as other:
            for name, value in values.items():
                await db.kv.put(name, value)
            async with db.kv.watch("large/", prefix=True, prev_kv=True) as changes:
                gone = await other.kv.delete("large/", prefix=True)
                after = await other.kv.put("large/after", "x")
                seen = []
                async for event in changes:
                    if event.revision == after.revision:
                        break
                    assert (event.deleted, event.revision) == (True, gone.revision)
                    assert event.previous is not None
                    seen.append((event.key, event.previous.value))
    assert seen == sorted(values.items())
