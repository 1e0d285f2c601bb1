"""Every history of three replicas with up to N operations, for every type: `python -m tools.explore_crdt --ops 5
[TYPE ...]`.

The tests do this with fewer operations; this goes as far as you have time (five operations of two kinds: seconds per
type; of all kinds: minutes to hours). Stops at the first history in which a value is not as specified.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import permutations
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; raises `AssertionError` with the steps of the history that went wrong."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from crdtkit.kinds import BY_NAME
    from crdtkit.world import explore

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*", default=list(BY_NAME))
    parser.add_argument("--ops", type=int, default=5)
    parser.add_argument("--kinds", type=int, default=99, help="how many kinds of operations of each type")
    parser.add_argument("--minutes", type=float, default=10, help="at most, for each type")
    options = parser.parse_args(arguments)
    for name in options.types:
        kind, end = BY_NAME[name], time.monotonic() + options.minutes * 60
        count, complete = 0, True
        for state in explore(kind, options.ops, kind.ops[: options.kinds]):
            results = set()
            for order in permutations(state.replicas):
                merged = kind.make(None)
                for root in order:
                    merged.merge(root)
                visible = [rec for rec in state.history if merged._doc.version.get(rec.replica, 0) >= rec.n]
                assert merged.value == kind.spec(visible), state.steps
                results.add(merged.encode())
            assert len(results) == 1, state.steps
            count += 1
            if time.monotonic() > end:
                complete = False
                break
        print(f"{name}: {count} histories{'' if complete else ', stopped by the clock'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
