"""What a new leader makes of contradictory leftovers: the claim of `recovery`, tried on histories without any time in them.

Leaders of many ballots work at once and stop anywhere; their accepts reach anybody, in any order, or nobody. Whatever is
chosen, in whichever ballot, must be the same; births must not decrease; no slot is decided but by its own configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator

import pytest

from ringleader.consensus.paxos import recovery
from ringleader.consensus.paxos.ballot import ballot
from ringleader.consensus.paxos.quorum import has_phase1, has_phase2
from ringleader.consensus.paxos.recovery import Found, gather, recovered
from ringleader.consensus.paxos.slots import SlotLog
from ringleader.consensus.shape import Config, Entry, EntryKind, decode_config, encode_config

START = Entry(0, int(EntryKind.NOOP), b"")


class Voter:
    """An acceptor, and how much it knows to be chosen."""

    def __init__(self) -> None:
        self.promised = self.told = self.commit = 0
        self.log = SlotLog()


class History:
    """Members 1 to `members`; the first `founders` vote at the beginning. `changes`: configurations change too."""

    def __init__(self, seed: int, members: int, founders: int, phase2: int, *, changes: bool) -> None:
        self.random = random.Random(seed)
        self.voters = {id: Voter() for id in range(1, members + 1)}
        self.founders = Config(tuple(range(1, founders + 1)))
        self.phase2 = phase2
        self.changes = changes
        self.chosen = [START]
        self.dropped = 0

    def config(self, commit: int) -> Config:
        """The one that decides about the slot after `commit`."""
        for entry in reversed(self.chosen[1 : commit + 1]):
            if entry.kind == EntryKind.CONFIG:
                return decode_config(entry.data)
        return self.founders

    def lead(self, round: int, id: int) -> Generator[None]:
        """One leadership; each step may be its last."""
        number, me = ballot(round, id), self.voters[id]
        commit, promised, found, told = me.commit, set[int](), Found(), me.told
        while True:
            config, best = self.config(commit), commit
            while not has_phase1(config.voters, promised, self.phase2):
                yield
                asked = self.random.choice(config.voters)
                voter = self.voters[asked]
                if voter.promised > number:
                    return
                voter.promised = number
                gather(found, voter.log.runs(voter.commit + 1, 1 << 30)[0], number)
                best, told = max(best, voter.commit), max(told, voter.told)
                promised.add(asked)
            if best > commit:
                commit = best
                if self.chosen[commit].term > number:
                    return
                continue
            entries = recovered(found, commit, self.chosen[commit].term, told)
            self.dropped += sum(slot > commit for slot in found) > len(entries)
            if not entries or entries[-1].kind != EntryKind.CONFIG:
                entries += self.own(number)
            commit = yield from self.phase2_of(number, commit, entries, config)

    def own(self, number: int) -> list[Entry]:
        """What a leader that has recovered proposes of its own."""
        entries = [Entry(number, int(EntryKind.NOOP), b"")]
        for count in range(self.random.randint(0, 3)):
            entries.append(Entry(number, int(EntryKind.COMMAND), b"%d.%d" % (number, count)))
        if self.changes and self.random.random() < 0.6:
            ids = self.random.sample(list(self.voters), self.random.randint(1, len(self.voters)))
            entries.append(Entry(number, int(EntryKind.CONFIG), encode_config(Config(tuple(sorted(ids))))))
        return entries

    def phase2_of(self, number: int, commit: int, entries: list[Entry], config: Config) -> Generator[None, None, int]:
        """Have `entries` accepted, here and there, until all are chosen."""
        first, have = commit + 1, [set[int]() for _ in entries]
        while True:
            yield
            place = self.random.randrange(len(entries))
            for id, voter in self.voters.items():
                if voter.promised <= number and self.random.random() < 0.5:
                    voter.promised, voter.told = number, max(voter.told, commit)
                    voter.commit = max(voter.commit, self.knows(voter, number))
                    if first + place > voter.commit:
                        voter.log.put(number, first + place, [entries[place]])
                    have[place].add(id)
            while commit - first + 1 < len(entries) and has_phase2(
                config.voters, have[commit - first + 1], self.phase2
            ):
                self.choose(commit + 1, entries[commit - first + 1])
                commit += 1
            if commit - first + 1 == len(entries):
                return commit

    def knows(self, voter: Voter, number: int) -> int:
        """As an acceptor learns: what is accepted in the ballot of who tells is what is chosen."""
        known = voter.commit
        while known < voter.told and voter.log.ballot(known + 1) == number:
            known += 1
        return known

    def choose(self, slot: int, entry: Entry) -> None:
        if slot < len(self.chosen):
            assert entry == self.chosen[slot], f"slot {slot}: {entry} is chosen, and {self.chosen[slot]} was"
            return
        assert slot == len(self.chosen)
        assert entry.term >= self.chosen[-1].term, f"slot {slot} was born before slot {slot - 1}"
        self.chosen.append(entry)

    def run(self, steps: int) -> None:
        leaders: list[Generator[None]] = []
        used: set[tuple[int, int]] = set()
        highest = 0
        for _ in range(steps):
            if not leaders or self.random.random() < 0.06:
                round, id = max(highest + self.random.randint(-1, 2), 1), self.random.choice(list(self.voters))
                if (round, id) not in used:
                    used.add((round, id))
                    highest = max(highest, round)
                    leaders.append(self.lead(round, id))
            if not leaders:
                continue
            leader = self.random.choice(leaders[-3:])
            if next(leader, StopIteration) is StopIteration or self.random.random() < 0.02:
                leaders.remove(leader)


def histories(seeds: range, *, changes: bool) -> tuple[int, int]:
    """Run many; returns how many slots were chosen and how often something was dropped."""
    slots = dropped = 0
    for seed in seeds:
        members, founders, phase2 = [(3, 3, 0), (5, 5, 0), (4, 4, 2), (5, 5, 2), (5, 3, 0), (4, 1, 0)][seed % 6]
        history = History(seed, members, founders, phase2, changes=changes)
        history.run(300)
        slots += len(history.chosen)
        dropped += history.dropped
    return slots, dropped


@pytest.mark.parametrize("changes", [False, True])
def test_what_may_be_chosen_is_kept_and_stays_in_order(changes: bool) -> None:
    slots, dropped = histories(range(300), changes=changes)
    assert slots > 1000
    assert dropped > 20, "the sieve was at work"


@pytest.mark.parametrize(
    ("what", "replacement"),
    [("prefer", lambda reported, known: reported < known), ("births_fit", lambda before, birth, after: True)],
)
def test_without_a_rule_it_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, what: str, replacement: Callable[..., bool]
) -> None:
    monkeypatch.setattr(recovery, what, replacement)
    with pytest.raises(AssertionError):
        histories(range(300), changes=False)
