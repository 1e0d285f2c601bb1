"""Every history of three replicas with up to N operations, for every type: `python -m tools.explore_crdt --ops 5
--minutes 60 [TYPE ...]`.

The tests do this with fewer operations. Here the work is cut into pieces, one for each beginning of two operations; the
pieces that are done are noted in `.soak/explored-N.txt`, so that the next run goes on with the others. Where the names
of the replicas make no difference, only one of the histories that differ by them is checked. Stops at the first history
in which a value is not as specified.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HEAD = 2  # operations by which the work is cut into pieces


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; raises `AssertionError` with the steps of the history that went wrong."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from crdtkit.kinds import BY_NAME
    from crdtkit.world import check, explore

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*", default=list(BY_NAME))
    parser.add_argument("--ops", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10, help="at most, for all types together")
    parser.add_argument("--folder", type=Path, default=Path(".soak"), help="where to note what is done")
    options = parser.parse_args(arguments)
    end = time.monotonic() + options.minutes * 60
    options.folder.mkdir(exist_ok=True)
    notes = options.folder / f"explored-{options.ops}.txt"
    done = notes.read_text().splitlines() if notes.exists() else []
    for name in options.types:
        kind = BY_NAME[name]
        pieces = [state.steps for state in explore(kind, HEAD, kind.ops) if len(state.steps) == HEAD]
        known = {tuple(line.rsplit(" ", 2)[:2]): int(line.rsplit(" ", 1)[1]) for line in done}
        count = 0
        for state in explore(kind, HEAD, kind.ops, alike=kind.alike):
            check(kind, state)
            count += 1
        finished = 0
        for number, piece in enumerate(pieces):
            found = known.get((name, str(number)))
            if found is None:
                if time.monotonic() > end:
                    continue
                found = 0
                for state in explore(kind, options.ops, kind.ops, below=piece, alike=kind.alike):
                    check(kind, state)
                    found += 1
                with notes.open("a") as file:
                    file.write(f"{name} {number} {found}\n")
            count += found
            finished += 1
        whole = "complete" if finished == len(pieces) else f"{finished} of {len(pieces)} pieces done"
        print(f"{name}: {count} histories of up to {options.ops} operations, {whole}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
