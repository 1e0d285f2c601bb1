"""The synod: Paxos for a single value, as small as it is. Read this before the rest of the room.

Lamport, "Paxos Made Simple" (2001), section 2. Three roles: a *proposer* tries to have its value chosen, *acceptors* choose by
accepting, a *learner* finds out what was chosen. A value is chosen once a phase-2 quorum of acceptors has accepted it in the
same ballot. However many proposers try, in whatever order messages arrive or get lost, at most one value is ever chosen:

* P1a: an acceptor accepts in a ballot unless it has promised a higher one.
* P2c: whoever proposes v in ballot b has asked a phase-1 quorum, which promised b, and v is the value accepted in the highest
  ballot below b by any of them; if there is none, v is free.
* From these follows P2: if v is chosen in ballot b, then v is proposed in every ballot above b.

Why: take the lowest ballot c > b in which something else is proposed. Its phase-1 quorum meets the phase-2 quorum of b in an
acceptor that accepted v in b, and did so before it promised c (P1a). So it reports a ballot of b or above, the highest report
lies between b and c, and there only v was proposed.

`Synod` puts the roles together and asserts all of it at each step; tests walk it through every order of events. The engine for
a whole log (`core`) keeps the very same rules for each slot, with one promise for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ringleader.consensus.paxos.quorum import phase1_size, phase2_size

__all__ = [
    "Accept",
    "Accepted",
    "Acceptor",
    "Learner",
    "Message",
    "Prepare",
    "Promise",
    "Proposer",
    "Synod",
    "value_for",
]


class Prepare(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """Phase 1a: promise `ballot`."""

    ballot: int


class Promise(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """Phase 1b: `ballot` is promised by `acceptor`, which has last accepted `value` in ballot `accepted` (0: nothing yet)."""

    ballot: int
    acceptor: int
    accepted: int
    value: str


class Accept(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """Phase 2a: accept `value` in `ballot`."""

    ballot: int
    value: str


class Accepted(msgspec.Struct, array_like=True, frozen=True, tag=4):
    """Phase 2b: `acceptor` has accepted `value` in `ballot`."""

    ballot: int
    acceptor: int
    value: str


Message = Prepare | Promise | Accept | Accepted


class Acceptor(msgspec.Struct):
    """What an acceptor must never forget: the ballot promised, and the ballot and value accepted last (0, "": none)."""

    id: int
    promised: int = 0
    accepted: int = 0
    value: str = ""

    def prepare(self, message: Prepare) -> Promise | None:
        """Promise a ballot that is not below the one promised, and report; else say nothing."""
        if message.ballot < self.promised:
            return None
        self.promised = message.ballot
        return Promise(message.ballot, self.id, self.accepted, self.value)

    def accept(self, message: Accept) -> Accepted | None:
        """P1a: accept unless a higher ballot is promised. That promises the ballot too."""
        if message.ballot < self.promised:
            return None
        self.promised = self.accepted = message.ballot
        self.value = message.value
        return Accepted(message.ballot, self.id, message.value)


def value_for(promises: Iterable[Promise], own: str) -> str:
    """P2c: the value that was accepted in the highest ballot, or the proposer's `own` when there was none."""
    highest = max(promises, key=lambda promise: promise.accepted)
    return highest.value if highest.accepted else own


class Proposer(msgspec.Struct):
    """One attempt: a `ballot` that nobody else uses, the value it would like, and who has promised so far.

    `proposed`: the value of its phase 2, "" before that.
    """

    ballot: int
    own: str
    promises: dict[int, Promise] = {}
    proposed: str = ""

    def promise(self, message: Promise, quorum: int) -> Accept | None:
        """Count a promise; with `quorum` of them propose, once."""
        if message.ballot == self.ballot and not self.proposed:
            self.promises[message.acceptor] = message
            if len(self.promises) >= quorum:
                self.proposed = value_for(self.promises.values(), self.own)
                return Accept(self.ballot, self.proposed)
        return None


class Learner(msgspec.Struct):
    """Who has accepted, by ballot; and what is therefore chosen ("": nothing known to be)."""

    accepted: dict[int, set[int]] = {}
    chosen: str = ""

    def accepted_by(self, message: Accepted, quorum: int) -> None:
        """Count an acceptance; `quorum` of them in one ballot choose.

        Raises `AssertionError` when another value was chosen before: that cannot be.
        """
        voters = self.accepted.setdefault(message.ballot, set())
        voters.add(message.acceptor)
        if len(voters) >= quorum:
            assert self.chosen in ("", message.value), f"both {self.chosen!r} and {message.value!r} are chosen"
            self.chosen = message.value


class Synod:
    """Acceptors 1 to `acceptors`, proposers for ballots 1, 2 ... with the values wished for, a learner, and the messages that
    have been sent. `phase2`: how many must accept; 0: a majority.

    Messages are never used up: delivering one again is a duplicate, never delivering it a loss. `crash` makes an acceptor lose
    nothing, since it writes before it answers; that it must do so is what a test shows by taking it away.
    """

    def __init__(self, acceptors: int, wishes: Iterable[str], phase2: int = 0) -> None:
        self.acceptors = {id: Acceptor(id) for id in range(1, acceptors + 1)}
        self.proposers = {ballot: Proposer(ballot, wish) for ballot, wish in enumerate(wishes, 1)}
        self.learner = Learner()
        self.quorum1, self.quorum2 = phase1_size(acceptors, phase2), phase2_size(acceptors, phase2)
        self.sent: set[Message] = set()

    def begin(self, ballot: int) -> None:
        """The proposer of `ballot` asks for promises."""
        self.sent.add(Prepare(ballot))

    def deliver(self, message: Message, to: int = 0) -> None:
        """A message that was sent arrives: at acceptor `to`, or at the proposer or learner that it is for."""
        assert message in self.sent, message
        answer: Message | None = None
        match message:
            case Prepare():
                answer = self.acceptors[to].prepare(message)
            case Promise():
                answer = self.proposers[message.ballot].promise(message, self.quorum1)
            case Accept():
                answer = self.acceptors[to].accept(message)
            case Accepted():
                self.learner.accepted_by(message, self.quorum2)
        if answer is not None:
            self.sent.add(answer)
        self.check()

    def chosen(self) -> dict[int, str]:
        """Ballot -> value, of each ballot in which a phase-2 quorum has accepted, as an all-seeing eye counts it."""
        voters: dict[tuple[int, str], set[int]] = {}
        for message in self.sent:
            if isinstance(message, Accepted):
                voters.setdefault((message.ballot, message.value), set()).add(message.acceptor)
        return {ballot: value for (ballot, value), who in sorted(voters.items()) if len(who) >= self.quorum2}

    def check(self) -> None:
        """The invariants of the paper, about everything that was ever sent."""
        proposed = {message.ballot: message.value for message in self.sent if isinstance(message, Accept)}
        chosen = self.chosen()
        assert len(set(chosen.values())) <= 1, f"more than one value is chosen: {chosen}"
        for ballot, value in chosen.items():
            for later, other in proposed.items():
                assert later <= ballot or other == value, (
                    f"P2: {value!r} is chosen in {ballot}, {later} proposes {other!r}"
                )
        for acceptor in self.acceptors.values():
            assert acceptor.accepted <= acceptor.promised, f"P1: acceptor {acceptor.id} accepted above its promise"
        assert not self.learner.chosen or self.learner.chosen in chosen.values(), "learnt what was not chosen"
        wishes = {proposer.own for proposer in self.proposers.values()}
        assert set(proposed.values()) <= wishes, "a value out of nothing"
