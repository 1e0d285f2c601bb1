"""The synod walked through completely: every order of events of two and three competing proposers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import msgspec
import pytest

from ringleader.consensus.paxos import quorum, synod
from ringleader.consensus.paxos.synod import Accept, Accepted, Message, Prepare, Promise, Synod

Event = tuple[str, Message | int, int]


def events(state: Synod, stale: bool = False) -> Iterator[Event]:
    """Everything that may happen next. Messages stay, so loss and duplication are among it; what the learner hears is left
    out, since `Synod.chosen` sees all of it at once. `stale`: also what an acceptor must refuse, which changes nothing.
    """
    for ballot in state.proposers:
        if Prepare(ballot) not in state.sent:
            yield "begin", ballot, 0
    for message in state.sent:
        if isinstance(message, Prepare | Accept):
            for acceptor in state.acceptors.values():
                if stale or message.ballot >= acceptor.promised:
                    yield "deliver", message, acceptor.id
        elif isinstance(message, Promise) and not state.proposers[message.ballot].proposed:
            yield "deliver", message, 0


def copy(state: Synod) -> Synod:
    twin = Synod.__new__(Synod)
    twin.acceptors = {id: msgspec.structs.replace(acceptor) for id, acceptor in state.acceptors.items()}
    twin.proposers = {
        ballot: msgspec.structs.replace(proposer, promises=dict(proposer.promises))
        for ballot, proposer in state.proposers.items()
    }
    twin.learner = synod.Learner({b: set(who) for b, who in state.learner.accepted.items()}, state.learner.chosen)
    twin.quorum1, twin.quorum2 = state.quorum1, state.quorum2
    twin.sent = set(state.sent)
    return twin


def fingerprint(state: Synod) -> tuple[object, ...]:
    """What tells two states apart; who has promised a proposer matters only until it has proposed."""
    return (
        tuple((one.promised, one.accepted, one.value) for one in state.acceptors.values()),
        tuple(() if one.proposed else tuple(sorted(one.promises)) for one in state.proposers.values()),
        frozenset(state.sent),
    )


def explore(start: Synod, most: int = 200_000) -> tuple[int, set[str]]:
    """Every state that can be reached; returns how many there are, and the values that were chosen in any of them."""
    seen = {fingerprint(start)}
    front = [start]
    chosen: set[str] = set()
    while front:
        after: list[Synod] = []
        for state in front:
            for what, item, to in list(events(state)):
                twin = copy(state)
                if what == "begin":
                    assert isinstance(item, int)
                    twin.begin(item)
                else:
                    assert not isinstance(item, int)
                    twin.deliver(item, to)
                mark = fingerprint(twin)
                if mark not in seen:
                    seen.add(mark)
                    chosen.update(twin.chosen().values())
                    after.append(twin)
        front = after
        assert len(seen) < most, "more states than thought"
    return len(seen), chosen


def test_two_proposers_and_three_acceptors_in_every_order() -> None:
    states, chosen = explore(Synod(3, ["a", "b"]))
    assert states > 1000
    assert chosen == {"a", "b"}, "each of them can win"


@pytest.mark.parametrize("phase2", [1, 2])
def test_every_pair_of_quorum_sizes_that_meet(phase2: int) -> None:
    states, chosen = explore(Synod(2, ["a", "b"], phase2))
    assert states > 100
    assert chosen == {"a", "b"}


def wander(start: Synod, walks: int, wanderer: random.Random) -> None:
    """Random orders of events, each until nothing is left to do or it has become long."""
    for _ in range(walks):
        state = copy(start)
        for _ in range(40):
            what, item, to = wanderer.choice(sorted(events(state, True), key=repr))
            if what == "begin":
                assert isinstance(item, int)
                state.begin(item)
            else:
                assert not isinstance(item, int)
                state.deliver(item, to)


def test_three_proposers_in_many_orders() -> None:
    wander(Synod(3, ["a", "b", "c"]), 100, random.Random(1))


def broken_quorums(voters: int, phase2: int) -> int:
    return voters - quorum.phase2_size(voters, phase2)


def forgets_its_promise(self: synod.Acceptor, message: Accept) -> Accepted | None:
    """P1a taken out."""
    self.accepted, self.value = message.ballot, message.value
    self.promised = max(self.promised, message.ballot)
    return Accepted(message.ballot, self.id, message.value)


@pytest.mark.parametrize(
    ("what", "where", "replacement"),
    [
        ("value_for", synod, lambda promises, own: own),
        ("value_for", synod, lambda promises, own: next((p.value for p in promises if p.accepted), own)),
        ("phase1_size", synod, broken_quorums),
        ("accept", synod.Acceptor, forgets_its_promise),
    ],
    ids=["any value", "not the highest", "quorums that do not meet", "accepts against its promise"],
)
def test_without_a_safeguard_two_values_are_chosen(
    monkeypatch: pytest.MonkeyPatch, what: str, where: object, replacement: Callable[..., object]
) -> None:
    monkeypatch.setattr(where, what, replacement)
    with pytest.raises(AssertionError, match="chosen"):
        wander(Synod(3, ["a", "b", "c"]), 5000, random.Random(1))


def test_a_learner_needs_a_quorum_of_one_ballot() -> None:
    learner = synod.Learner()
    learner.accepted_by(Accepted(1, 1, "a"), 2)
    learner.accepted_by(Accepted(2, 2, "b"), 2)
    learner.accepted_by(Accepted(2, 2, "b"), 2)
    assert learner.chosen == ""
    learner.accepted_by(Accepted(2, 3, "b"), 2)
    assert learner.chosen == "b"


def test_an_acceptor_reports_what_it_accepted_last() -> None:
    acceptor = synod.Acceptor(1)
    assert acceptor.prepare(Prepare(2)) == Promise(2, 1, 0, "")
    assert acceptor.accept(Accept(1, "x")) is None
    assert acceptor.accept(Accept(2, "a")) == Accepted(2, 1, "a")
    assert acceptor.prepare(Prepare(1)) is None
    assert acceptor.prepare(Prepare(5)) == Promise(5, 1, 2, "a")
