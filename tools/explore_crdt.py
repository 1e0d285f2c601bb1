"""Every history of three replicas with up to N operations, for every type: `python -m tools.explore_crdt --ops 5
--minutes 60 [TYPE ...]`.

The tests do this with fewer operations. Here the work is cut into pieces, one for each history of two operations; the
pieces that are done are noted in `.soak/searched-N.txt`, so that the next run goes on with the others (`--again` forgets
them). Stops at the first history that does not end as specified.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crdtkit.kinds import Kind
    from crdtkit.search import History

HEAD = 2  # operations by which the work is cut into pieces
Done = dict[tuple[str, int], tuple[int, int, float]]  # (type, piece) -> histories, deliveries, seconds


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; raises `AssertionError` with the history that went wrong."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from crdtkit.kinds import BY_NAME
    from crdtkit.sequences import SEQUENCES

    kinds = {**BY_NAME, **{kind.name: kind for kind in SEQUENCES}}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*", default=list(kinds), metavar="TYPE")
    parser.add_argument("--ops", type=int, default=5)
    parser.add_argument("--letters", type=int, default=99, help="of each type's operations only the first so many")
    parser.add_argument("--minutes", type=float, default=10, help="at most, for all types together")
    parser.add_argument("--folder", type=Path, default=Path(".soak"), help="where to note what is done")
    parser.add_argument("--again", action="store_true", help="begin anew")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.types if name not in kinds]:
        parser.error(f"no such type: {', '.join(unknown)}; there are {', '.join(kinds)}")
    end = time.monotonic() + options.minutes * 60
    options.folder.mkdir(exist_ok=True)
    letters = f"-{options.letters}" if options.letters < 99 else ""
    notes = options.folder / f"searched-{options.ops}{letters}.txt"
    if options.again:
        notes.unlink(missing_ok=True)
    done = _read(notes)
    for name in options.types:
        kind = kinds[name]
        _explore(kind._replace(ops=kind.ops[: options.letters]), options.ops, end, notes, done)
    return 0


def _read(notes: Path) -> Done:
    done: Done = {}
    for line in notes.read_text().splitlines() if notes.exists() else []:
        name, piece, histories, deliveries, seconds = line.rsplit(" ", 4)
        done[name, int(piece)] = (int(histories), int(deliveries), float(seconds))
    return done


def _explore(kind: Kind, ops: int, end: float, notes: Path, done: Done) -> None:
    """Search what is left of one type, as far as time goes, and say how far that is."""
    from crdtkit.search import Counts, check, explore

    began = time.perf_counter()
    head = Counts()
    pieces: list[History] = []
    for history in explore(kind, HEAD):
        check(history, head)
        if len(history.events) == HEAD:
            pieces.append(history)
    total = [head.histories, head.deliveries, time.perf_counter() - began]
    finished = 0
    for number, piece in enumerate(pieces):
        found = done.get((kind.name, number))
        if found is None:
            if time.monotonic() > end:
                continue
            began, counts = time.perf_counter(), Counts()
            for history in explore(kind, ops, start=piece):
                check(history, counts)
            found = (counts.histories, counts.deliveries, time.perf_counter() - began)
            with notes.open("a") as file:
                file.write(f"{kind.name} {number} {found[0]} {found[1]} {found[2]:.1f}\n")
        total = [a + b for a, b in zip(total, found, strict=True)]
        finished += 1
    whole = "complete" if finished == len(pieces) else f"{finished} of {len(pieces)} pieces done"
    print(
        f"{kind.name}: {total[0]:.0f} histories of up to {ops} operations, {total[1]:.0f} deliveries, {total[2]:.0f} s, "
        f"{whole}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
