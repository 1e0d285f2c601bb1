"""Hunt for failures of text, lists and documents until the time is up: `python -m tools.fuzz_text [seconds] [seed]`.

Each round is one seed: random concurrent editing against the naive Fugue, a random document, and damaged and lying
bytes for the decoders (with a bound on the memory that they may take). Stops at the first failure and prints its seed.
"""

from __future__ import annotations

import random
import sys
import tracemalloc
from pathlib import Path
from time import monotonic, time

import msgspec

from ringleader.crdt import Crdt, ReplicaContext
from ringleader.crdt.text import Text
from ringleader.crdt.wire import seal
from ringleader.errors import RingleaderError

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from unit.crdt_text.harness import Session
from unit.crdt_text.test_codec import mutated
from unit.crdt_text.test_sequence import document_session

MEMORY = 64 << 20  # bytes that reading one small message may take


def lie(data: bytes, kind: type[Crdt], rng: random.Random, rounds: int) -> None:
    """Feed changed copies of `data` to a reader of `kind`: our errors or a usable value, nothing else."""
    body = msgspec.msgpack.decode(data[4:-4])
    for _ in range(rounds):
        changed = body
        for _ in range(rng.randint(1, 3)):
            changed = mutated(changed, rng)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        reader = kind(ReplicaContext("reader"))
        try:
            reader.apply(seal(changed))
            str(reader.value)
            reader.encode()
            reader.explain()
        except RingleaderError:
            pass
        assert tracemalloc.get_traced_memory()[1] - before < MEMORY, "a small message took much memory"


def one(seed: int) -> None:
    """One round."""
    rng = random.Random(seed)
    running = Session(seed, rng.randint(2, 4))
    for _ in range(rng.choice((20, 60, 150))):
        running.step()
    running.settle()
    document = document_session(seed)
    tracemalloc.start()
    lie(running.texts[0].encode(), Text, rng, 60)
    lie(document.encode(), type(document), rng, 60)
    tracemalloc.stop()


def main() -> int:
    """Run for the time given; 0 when nothing was found."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1000 * int(time())
    end = monotonic() + seconds
    first = seed
    while monotonic() < end:
        try:
            one(seed)
        except Exception:
            print(f"seed {seed} fails: python -m tools.fuzz_text 1 {seed}")
            raise
        seed += 1
    print(f"text fuzz: {seed - first} rounds, nothing found; go on with seed {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
