"""Known ways to get CRDTs wrong, brought back one by one: the laws must find each of them.

If one of these stops being found, the laws have lost their teeth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from crdtkit.kinds import BY_NAME
from crdtkit.laws import broken_laws
from ringleader.clock import Stability, VersionVector
from ringleader.crdt import bounded, cells, counters, entries, flags, places, registers, sortedset, tally
from ringleader.crdt.delta import Incoming
from ringleader.crdt.document import Document
from ringleader.crdt.hyperloglog import HyperLogLog
from ringleader.crdt.journal import Journal
from ringleader.crdt.sets import ORSet, RWSet

Patch = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, tuple[str, Patch]] = {}


def bug(kind: str) -> Callable[[Patch], Patch]:
    def note(patch: Patch) -> Patch:
        BUGS[patch.__name__] = (kind, patch)
        return patch

    return note


def patch_join(mp: pytest.MonkeyPatch, join: Any) -> None:
    for module in (cells, places, sortedset):
        mp.setattr(module, "join_entries", join)


Version = Mapping[bytes, int]


@bug("ORSet")
def present_on_both_sides_so_keep_everything(mp: pytest.MonkeyPatch) -> None:
    def join(a: Any, b: Any, mine: Version, theirs: Version, duplicates: Any) -> Any:
        if a and b:
            return tuple(sorted({(e[0], e[1]): e for e in (*a, *b)}.values()))
        return entries.join_entries(a, b, mine, theirs, duplicates)

    patch_join(mp, join)


@bug("EWFlag")
def the_same_dance_for_flags(mp: pytest.MonkeyPatch) -> None:
    present_on_both_sides_so_keep_everything(mp)


@bug("ORSet")
def removals_never_arrive(mp: pytest.MonkeyPatch) -> None:
    patch_join(mp, lambda a, b, mine, theirs, dup: entries.join_entries(a, b, mine, {}, dup))


@bug("ORSet")
def what_the_other_side_lacks_is_removed_although_it_never_saw_it(mp: pytest.MonkeyPatch) -> None:
    def join(a: Any, b: Any, mine: Version, theirs: Version, dup: Any) -> Any:
        return entries.join_entries(a, b, mine, dict.fromkeys(mine, 1 << 40), dup)

    patch_join(mp, join)


@bug("MVRegister")
def off_by_one_in_the_version_test(mp: pytest.MonkeyPatch) -> None:
    def join(a: Any, b: Any, mine: Version, theirs: Version, dup: Any) -> Any:
        return entries.join_entries(a, b, mine, {r: n - 1 for r, n in theirs.items()}, dup)

    patch_join(mp, join)


@bug("MVRegister")
def the_loser_of_a_race_is_dropped(mp: pytest.MonkeyPatch) -> None:
    patch_join(mp, lambda a, b, mine, theirs, dup: entries.join_entries(a, b, mine, theirs, dup)[-1:])


@bug("LWWRegister")
def a_tie_is_won_by_whoever_was_there_first(mp: pytest.MonkeyPatch) -> None:
    def join(a: Any, b: Any, mine: Version, theirs: Version, dup: Any) -> Any:
        kept = entries.join_entries(a, b, mine, theirs, dup)
        return kept if len(kept) < 2 else tuple(e for e in kept if e in a)[:1] or kept[:1]

    patch_join(mp, join)


@bug("LWWRegister")
def stamps_are_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(registers, "latest", lambda cell: cell[-1])


@bug("LWWMap")
def the_oldest_write_wins(mp: pytest.MonkeyPatch) -> None:
    mp.setattr("ringleader.crdt.lwwmap.latest", lambda cell: min(cell, key=lambda e: (e[2], e[0])))


@bug("ORSet")
def a_removal_is_no_event(mp: pytest.MonkeyPatch) -> None:
    def discard(self: Any, item: Any) -> None:
        self._cells.pop(item, None)

    mp.setattr(ORSet, "discard", discard)


@bug("ORSet")
def a_delta_leaves_out_what_is_empty(mp: pytest.MonkeyPatch) -> None:
    def part(self: Any, keys: Any, out: Any) -> Any:
        if keys is None:
            return True, self._cells.copy()
        return False, {key: self._cells[key] for key in keys if key in self._cells}

    mp.setattr(cells.Cells, "_part", part)


@bug("RWSet")
def tombstones_go_before_everybody_has_seen_them(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(RWSet, "_stabilize", lambda self, stable: self._drop_hidden(self._doc.version))


@bug("GCounter")
def a_row_is_dropped_before_its_reset_is_stable(mp: pytest.MonkeyPatch) -> None:
    original = tally.Tally.stabilize
    mp.setattr(counters._Counter, "_stabilize", lambda self, stable: original(self._tally, self._doc.version))


@bug("PNCounter")
def totals_are_added_up_on_merging(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(tally, "_join_rows", lambda r, one, two, dup: (max(one[0], two[0]), one[1] + two[1], *one[2:]))


@bug("PNCounter")
def the_greater_total_wins_not_the_later(mp: pytest.MonkeyPatch) -> None:
    original = tally._join_rows

    def join(replica: bytes, one: Any, two: Any, dup: Any) -> Any:
        joined = original(replica, one, two, dup)
        return (joined[0], max(one[1], two[1]), *joined[2:])

    mp.setattr(tally, "_join_rows", join)


@bug("ORMap")
def a_reset_forgets_its_baseline_on_merging(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(tally, "_join_rows", lambda r, one, two, dup: max(one[:3], two[:3]))


@bug("ORMap")
def a_reset_throws_the_whole_total_away(mp: pytest.MonkeyPatch) -> None:
    def reset(self: tally.Tally, dot: Any) -> list[bytes]:
        gone = list(self.rows)
        self.rows.clear()
        return gone

    mp.setattr(tally.Tally, "reset", reset)


@bug("GCounter")
def a_baseline_from_before_a_restart_is_used(mp: pytest.MonkeyPatch) -> None:
    def join(replica: bytes, one: Any, two: Any, dup: Any) -> Any:
        return (*max(one[:3], two[:3]), *max(one[3:], two[3:]))

    mp.setattr(tally, "_join_rows", join)


@bug("GCounter")
def a_gap_is_joined_anyway(mp: pytest.MonkeyPatch) -> None:
    original = Document.apply

    def apply(self: Document, delta: Any, origin: object = None) -> bool:
        if delta.since is not None and not self.version.covers(delta.since):
            delta.since = VersionVector()
        return original(self, delta, origin)

    mp.setattr(Document, "apply", apply)


@bug("ORSet")
def what_is_no_news_to_us_is_not_passed_on(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Incoming, "relay", lambda self, node, keys: None)


@bug("ORSet")
def a_state_taken_for_a_full_account_of_its_past(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Journal, "restart", lambda self, version: self.batch([], [], version))


@bug("ORMap of ORSet")
def a_removed_place_keeps_its_content(mp: pytest.MonkeyPatch) -> None:
    def clear_node(self: Any, node: Any, dot: Any) -> None:
        node._presence = ()

    mp.setattr(places.Places, "_clear_node", clear_node)


@bug("ORMap of ORMap")
def a_hidden_place_is_not_created_again(mp: pytest.MonkeyPatch) -> None:
    original = places.Places._clear_node

    def clear_node(self: Any, node: Any, dot: Any) -> None:
        original(self, node, dot)
        node._attached = self._holds(node)

    mp.setattr(places.Places, "_clear_node", clear_node)


@bug("ORMap of ORSet")
def a_place_outlives_its_last_content(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(places.Places, "_child_faded", lambda self, child: None)


@bug("ORMap of ORSet")
def presence_is_never_removed(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(places, "join_entries", lambda a, b, mine, theirs, dup: entries.join_entries(a, b, mine, {}, dup))


@bug("BoundedCounter")
def rights_of_others_are_used(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(bounded.BoundedCounter, "rights", lambda self, replica=None: self._value())


@bug("BoundedCounter")
def rights_given_away_are_kept(mp: pytest.MonkeyPatch) -> None:
    def rights(self: Any, replica: Any = None) -> int:
        row = self._rows.get(self._doc.me, bounded.NOTHING)
        got = sum(amount for other in self._rows.values() for to, amount in other[3] if to == self._doc.me)
        return int(row[1] - row[2] + got)

    mp.setattr(bounded.BoundedCounter, "rights", rights)


@bug("HyperLogLog")
def clearing_loses_against_additions(mp: pytest.MonkeyPatch) -> None:
    def join(self: Any, part: Any, incoming: Any) -> None:
        self._epoch = max(self._epoch, part[0])
        for index, rank in part[1].items():
            self._registers[index] = max(rank, self._registers.get(index, 0))
            incoming.touch(self, index)

    mp.setattr(HyperLogLog, "_join", join)


@bug("ORSet")
def bytes_in_order_of_arrival(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(cells, "sort_keys", list)


@bug("DWFlag")
def the_wrong_side_wins(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(flags.DWFlag, "_value", lambda self: any(e[2] for e in self._cell))


@bug("SortedSet")
def setting_a_score_keeps_old_increments(mp: pytest.MonkeyPatch) -> None:
    original = sortedset.SortedSet.add

    def add(self: Any, member: Any, score: Any) -> None:
        found = self._members.get(member)
        rows = dict(found.tally.rows) if found is not None else {}
        original(self, member, score)
        self._members[member].tally.rows = rows

    mp.setattr(sortedset.SortedSet, "add", add)


@bug("RWSet")
def a_member_counts_as_informed_though_its_older_messages_are_on_their_way(mp: pytest.MonkeyPatch) -> None:
    def stable(self: Stability, own: VersionVector) -> VersionVector:
        frontier = own
        for version in self._waiting.values():
            frontier = frontier.meet(version)
        return frontier.copy() if len(self._waiting) == len(self._acknowledged) else VersionVector()

    mp.setattr(Stability, "stable", stable)


def test_there_are_enough() -> None:
    assert len(BUGS) >= 15


@pytest.mark.parametrize("name", list(BUGS))
def test_the_laws_find_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, patch = BUGS[name]
    patch(monkeypatch)
    assert broken_laws(BY_NAME[kind], 1500) is not None, f"nobody noticed: {name}"


def test_without_a_bug_the_laws_hold() -> None:
    for kind in sorted({kind for kind, _ in BUGS.values()}):
        assert broken_laws(BY_NAME[kind], 40) is None
