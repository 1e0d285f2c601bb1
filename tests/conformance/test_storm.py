"""Random runs of every protocol: what is decided stays decided, by one leader a term, whatever the network and disks do."""

from __future__ import annotations

import pytest

from conformance.kinds import KINDS, Kind
from conformance.storm import Storm

SEEDS = 12
EVENTS = 2500


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_comes_right_after_any_storm(kind: Kind) -> None:
    counts: dict[str, int] = {}
    for seed in range(SEEDS):
        storm = Storm(kind, seed)
        try:
            storm.run(EVENTS)
            storm.calm()
        except Exception as error:
            raise AssertionError(f"seed {seed} of {kind}: {error}") from error
        storm.counts["answered"] = storm.world.answered
        storm.counts["decided"] = len(storm.world.ledger)
        for name, count in storm.counts.items():
            counts[name] = counts.get(name, 0) + count
    wanted = {"proposed", "read", "answered", "crash", "cut", "compacted", "snapshot installed", "change", "transfer"}
    assert wanted <= counts.keys(), f"storms without {wanted - counts.keys()}"
    # Where an election needs four of five, a storm often leaves nobody to lead.
    assert counts["decided"] > (15 if kind.choice.phase2 == 2 else 25) * SEEDS, counts
