"""What is too large for one frame: a revision still reaches those who watch, answers those who did not ask for much."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.wireclient import single
from ringleader import PutResult
from ringleader.client import connect
from ringleader.client.ops import LONGEST_KEY
from ringleader.errors import OutcomeUnknownError, Reason, UsageError
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


async def test_answers_that_do_not_fit_together_cost_the_small_ones_nothing(tmp_path: Path) -> None:
    async with Node(single(tmp_path / "data")) as node:
        await node.ready(60)
        async with connect(node.client_address, timeout=60) as db:
            for number in range(12):
                await db.kv.put(f"large/{number}", bytes(1_000_000))
            large = [db.kv.put(f"large/{number}", "", prev_kv=True) for number in range(12)]
            small = [db.kv.put(f"small/{number}", "x") for number in range(50)]
            told = await asyncio.gather(*large, *small, return_exceptions=True)
            assert len(await db.kv.range("small/", prefix=True)) == 50
            assert (await db.kv.range("large/", prefix=True, keys_only=True))[0].version == 2, (
                "none was carried out twice"
            )
    assert [type(each) for each in told[12:]] == [PutResult] * 50
    for answer in told[:12]:
        if isinstance(answer, PutResult):
            assert answer.previous is not None
            assert len(answer.previous.value) == 1_000_000
        else:
            assert isinstance(answer, OutcomeUnknownError)


async def test_a_key_that_no_node_would_read_breaks_no_connection(tmp_path: Path) -> None:
    async with Node(single(tmp_path / "data")) as node:
        await node.ready(60)
        async with connect(node.client_address, timeout=60) as db, db.kv.watch("a") as changes:
            large = "x" * 9_000_000
            reads = (
                lambda: db.kv.get(large), lambda: db.kv.range("a", range_end=large), lambda: db.kv.delete(large, prefix=True),
                lambda: db.kv.watch(large).ready(), lambda: db.auth.tokens(large), lambda: db.cache(large).open(),
            )  # fmt: skip
            for read in reads:
                with pytest.raises(UsageError) as refused:
                    await read()
                assert refused.value.reason is Reason.TOO_LARGE
            name = "x" * LONGEST_KEY
            many = await asyncio.gather(*(db.kv.range(name, range_end="y" * LONGEST_KEY) for _ in range(2_000)))
            assert not any(many)
            await db.kv.put("a", "1")
            assert (await anext(changes)).text == "1"
        with pytest.raises(UsageError):
            connect(node.client_address, name=large)
        assert node._callers.door.refused == 0
