"""Each safeguard is there for a reason: without it, some test fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from unit.paxos import test_catch_up, test_leading, test_members, test_phases
from unit.paxos.bugs import BUGS
from unit.paxos.walk import walk
from unit.paxos.world import World


def wander(seeds: range) -> None:
    """Hostile worlds, one after the other: small clusters, elections in quick succession, members that change."""
    for seed in seeds:
        election = [1.0, 0.2][seed // 2 % 2]
        if seed % 2:
            size = [3, 1, 5][seed % 3]
            phase2 = [0, 0, 2][seed % 3]
            world = World(seed, size, [5, 4, 6][seed % 3], 1.0, election, phase2=phase2)
            world.run(10, changes=True, founders=size)
        else:
            World(seed, [3, 5, 4][seed % 3], 0, 1.0, election).run(10)


def walks(seeds: range) -> None:
    """Anything at any time, over and over."""
    for seed in seeds:
        walk(seed)


FOUND_BY: dict[str, Callable[[], object]] = {
    "not_the_highest_ballot": test_phases.test_a_new_leader_proposes_the_value_of_the_highest_ballot,
    "promise_forgotten_at_a_crash": lambda: wander(range(60)),
    "quorums_that_do_not_meet": lambda: wander(range(60)),
    "open_slots_skipped": lambda: wander(range(60)),
    "read_without_confirming": test_leading.test_a_leader_that_slept_through_its_fall_serves_no_read,
    "births_in_any_order": lambda: walks(range(200)),
    "counted_before_durable": test_phases.test_the_leaders_own_copy_counts_once_it_is_on_disk,
    "acknowledged_before_durable": test_phases.test_a_promise_leaves_only_after_it_is_on_disk,
    "accepted_against_a_promise": test_phases.test_who_promised_accepts_nothing_lower_and_says_so,
    "chosen_by_an_older_ballot": test_phases.test_a_value_is_known_to_be_chosen_only_in_the_ballot_that_says_so,
    "promised_while_a_lease_runs": test_leading.test_nobody_is_promised_while_a_leader_is_heard_after_a_restart_too,
    "snapshot_takes_what_is_above": test_catch_up.test_what_is_accepted_above_a_snapshot_stays,
    "log_not_sealed": test_members.test_a_change_of_members_seals_the_log,
}


@pytest.mark.parametrize("name", list(BUGS))
def test_without_a_safeguard_something_breaks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def patch(where: Any, what: str, replacement: Any) -> None:
        monkeypatch.setattr(where, what, replacement)

    BUGS[name](patch)
    with pytest.raises(AssertionError):
        FOUND_BY[name]()
