"""Attack every decoder of replicated data with hostile bytes, for as long as told: `python -m tools.fuzz_crdt
--minutes 10`.

Resumable: the seed moves on with every run (`--seed` to repeat one). Stops at the first crash and prints the bytes in
hex.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when nothing was found, 1 after a crash or when memory ran away."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from crdtkit.fuzz import attack, attack_sync, corpus, mutate, mutate_sync, sync_message

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--memory-mb", type=int, default=1024)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    end = time.monotonic() + options.minutes * 60
    tried = accepted = 0
    while time.monotonic() < end:
        messages = corpus(rng)
        for _ in range(5000):
            message = mutate(rng, rng.choice(messages))
            tried += 1
            try:
                accepted += attack(message)
                if tried % 4 == 0:
                    message = mutate_sync(rng, sync_message(rng))
                    attack_sync(rng, message)
            except BaseException as error:
                print(f"seed {options.seed}, attack {tried}: {type(error).__name__}: {error}\n{message.hex()}")
                return 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if peak > options.memory_mb:
            print(f"seed {options.seed}, attack {tried}: memory reached {peak} MB")
            return 1
    print(f"seed {options.seed}: {tried} attacks, {accepted} accepted as harmless, no crash, peak {peak} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
