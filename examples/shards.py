"""Work divided over all processes that run this: start it several times, stop one, and see its shards go to the others.

ringleader dev                      # in one terminal
python examples/shards.py alice     # in another
python examples/shards.py bob       # in a third
ringleader ring workers example     # who has what
"""

import asyncio
import contextlib
import sys

import ringleader
from ringleader import op


async def main(name: str) -> None:
    async with ringleader.connect() as db:

        async def work(shard: ringleader.Shard) -> None:
            """Works on one shard until it is cancelled. Here: counts, as whatever really is to be done would."""
            print(f"{name} has shard {shard.id} with token {shard.fencing_token}", flush=True)
            count = f"example/{shard.id}"
            while True:
                before = await db.kv.get(count)
                number = int(before.text) + 1 if before else 1
                # Written only if the shard is still ours, whatever has happened since the last line.
                await db.kv.txn(compare=[shard.condition], success=[op.put(count, str(number))])
                await asyncio.sleep(0.5)

        await db.shards("example", count=16, ttl=3, name=name).run(work)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
