"""Model checking beyond what the tests have time for, going on where the last hunt ended.

    python -m tools.explore_cores --minutes 10

First the scopes that the tests leave out, then every scope with larger bounds, one bound at a time. What was exhausted is
remembered in .soak/explore_cores.json and not searched again; remove the file after a change of the cores. A counterexample
is saved beside it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ringleader.sim.check import SCOPES, Counterexample, Limits, Scope, text_of

FOLDER = Path(".soak")
DONE = FOLDER / "explore_cores.json"


def larger() -> Iterator[Scope]:
    """What to search, the smallest first."""
    yield from (scope for scope in SCOPES if not scope.quick)
    for scope in SCOPES:
        bounds = scope.bounds
        yield replace(scope, bounds=replace(bounds, term=bounds.term + 1))
        yield replace(scope, bounds=replace(bounds, commands=bounds.commands + 1))
        if bounds.standing:
            yield replace(scope, bounds=replace(bounds, standing=()))
        if not bounds.crashes:
            yield replace(scope, bounds=replace(bounds, crashes=True, slow_disk=True))
        if not bounds.reads:
            yield replace(scope, bounds=replace(bounds, reads=True, rounds=bounds.rounds + 1))


def main() -> int:
    """Search until the time is over; 1 when an invariant broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    until = time.monotonic() + 60.0 * minutes
    FOLDER.mkdir(exist_ok=True)
    done: list[str] = msgspec.json.decode(DONE.read_bytes(), type=list[str]) if DONE.exists() else []
    for scope in larger():
        name = f"{scope.protocol} {scope.name}: {scope.bounds.words()}"
        left = until - time.monotonic()
        if name in done or left <= 0:
            continue
        result = scope.check(Limits(seconds=left, bytes=2 << 30))
        print(f"{name}\n  {result.line()}", flush=True)
        if result.violation:
            path = FOLDER / f"check-{scope.protocol}-{scope.name}.txt"
            path.write_text(text_of(Counterexample(scope, result.violation, result.lines)), encoding="utf-8")
            print(f"  {result.violation}\n  replay it with: ringleader sim check --replay {path}", flush=True)
            return 1
        if result.complete or "MiB" in result.cut:  # searching it again would end in the same place
            done.append(name)
            DONE.write_bytes(msgspec.json.encode(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
