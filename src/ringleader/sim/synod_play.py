"""The synod (Paxos for one value) moved by hand: which message arrives where, and what comes of it, told in words.

A scenario that begins with `> synod ACCEPTORS VALUE ...` plays on it. There is a proposer for each value, whose ballot is its
place in that list; messages are never used up, so each may arrive as often as one likes, or never. The commands:

    begin B                      the proposer of ballot B asks all acceptors for their promises
    prepare B to A ..            its question arrives at these acceptors
    promise B from A ..          their promises arrive at the proposer
    accept B to A ..             its proposal arrives at these acceptors
    accepted B from A ..         what they say of it arrives at the learner
    forget A                     acceptor A loses what it should have on disk
    status                       where everybody stands
"""

from __future__ import annotations

from ringleader.consensus.paxos.synod import Accept, Accepted, Acceptor, Message, Prepare, Promise, Synod
from ringleader.sim.picture import Arrow, Diagram, Mark, Sign

__all__ = ["SynodPlay"]


class SynodPlay:
    """A synod and what is told of it; `lines`: what happened since somebody last took them.

    Raises `ValueError` for a number of acceptors that is none, or without values.
    """

    def __init__(self, words: list[str]) -> None:
        acceptors, wishes = int(words[0]), words[1:]
        if acceptors < 1 or not wishes:
            raise ValueError("say `synod ACCEPTORS VALUE ...`")
        self.synod = Synod(acceptors, wishes)
        self.lines: list[str] = []
        self.moment = 0
        self.left: dict[Message, int] = {}  # when each message was sent
        self.broken = ""  # what the invariants had to say last
        self.proposers = len(wishes)
        self.learner = self.proposers + acceptors + 1
        names = {ballot: f"p{ballot} ({wish})" for ballot, wish in enumerate(wishes, 1)}
        names |= {self.proposers + id: f"a{id}" for id in self.synod.acceptors}
        self.diagram = Diagram("", names | {self.learner: "learner"}, [], "")

    def command(self, words: list[str]) -> None:
        """Carry out a command. Raises `ValueError` for one that makes no sense, `KeyError` for somebody who is not there."""
        name, rest = words[0], words[1:]
        match name:
            case "begin":
                self._begin(int(rest[0]))
            case "prepare" | "accept":
                message = self._asked(name, int(rest[0]))
                for id in _ends(rest, "to"):
                    self._to_acceptor(message, id)
            case "promise" | "accepted":
                for id in _ends(rest, "from"):
                    self._from_acceptor(self._answer(Promise if name == "promise" else Accepted, int(rest[0]), id))
            case "forget":
                self._forget(int(rest[0]))
            case "status":
                self._status()
            case _:
                raise ValueError(f"no such command: {name}")

    # ------------------------------------------------------------------------------------------------------ moves

    def _begin(self, ballot: int) -> None:
        wish = self.synod.proposers[ballot].own
        self.synod.begin(ballot)
        self._say(ballot, f"begins ballot {ballot}, and would like {wish}", Sign.STANDS, f"ballot {ballot}")
        self.left.setdefault(Prepare(ballot), self.moment)

    def _to_acceptor(self, message: Prepare | Accept, id: int) -> None:
        acceptor = self.synod.acceptors[id]
        asked = f"accept {message.value} in" if isinstance(message, Accept) else "promise"
        self._arrow(message, message.ballot, self.proposers + id, f"{asked} {message.ballot}?")
        self.lines.append(f"p{message.ballot} -> a{id}: {asked} {message.ballot}?")
        promised = acceptor.promised
        complaint = self._deliver(message, id)
        if message.ballot < promised:
            self._say(
                self.proposers + id, f"says nothing: it has promised {promised}", Sign.NOTE, f"promised {promised}"
            )
        else:
            accepts = isinstance(message, Accept)
            text = f"accepts {acceptor.value} in {message.ballot}" if accepts else f"promises {message.ballot}"
            self._say(self.proposers + id, text, Sign.SYNC, text)
        for answer in self.synod.sent - self.left.keys():
            self.left[answer] = self.moment
        self._complain(complaint)

    def _from_acceptor(self, answer: Promise | Accepted) -> None:
        acceptor, ballot = answer.acceptor, answer.ballot
        if isinstance(answer, Accepted):
            words, to, name = f"accepted {answer.value} in {ballot}", self.learner, "learner"
        else:
            had = f"{answer.value} in {answer.accepted}" if answer.accepted else "nothing"
            words, to, name = f"promise {ballot}, accepted: {had}", ballot, f"p{ballot}"
        self._arrow(answer, self.proposers + acceptor, to, words.replace(", accepted", "").replace(": nothing", ""))
        self.lines.append(f"a{acceptor} -> {name}: {words}")
        proposer, chosen = self.synod.proposers[ballot], self.synod.learner.chosen
        silent = not proposer.proposed
        complaint = self._deliver(answer, 0)
        value = proposer.proposed
        if silent and value:
            free = not any(promise.accepted for promise in proposer.promises.values())
            verb = "is free and proposes" if free else "has to propose"
            self._say(ballot, f"has a quorum of promises: it {verb} {value}", Sign.CALL, f"{verb} {value}")
            self.left[Accept(ballot, value)] = self.moment
        if self.synod.learner.chosen != chosen:
            self._say(self.learner, f"{answer.value} is chosen", Sign.COMMIT, f"chosen: {answer.value}")
        self._complain(complaint)

    def _forget(self, id: int) -> None:
        self.synod.acceptors[id] = Acceptor(id)
        self._say(self.proposers + id, "crashes, and has forgotten everything", Sign.CRASH, "crash")
        self.moment += 1
        self.diagram.events.append(Mark(self.moment, self.proposers + id, Sign.START, "knows nothing"))

    def _status(self) -> None:
        for acceptor in self.synod.acceptors.values():
            held = (
                f"has accepted {acceptor.value} in {acceptor.accepted}" if acceptor.accepted else "has accepted nothing"
            )
            self.lines.append(f"a{acceptor.id}: promised {acceptor.promised or '-'}, {held}")
        self.lines.append(f"learner: {self.synod.learner.chosen or 'nothing'} is chosen as far as it knows")

    # ------------------------------------------------------------------------------------------------------ words

    def _deliver(self, message: Message, to: int) -> str:
        """Deliver a message; returns what the invariants have to say against what came of it."""
        try:
            self.synod.deliver(message, to)
        except AssertionError as broken:
            return str(broken)
        return ""

    def _complain(self, complaint: str) -> None:
        if complaint and complaint != self.broken:
            self.broken = complaint
            self._say(0, f"BROKEN: {complaint}", Sign.VIOLATION, complaint)

    def _asked(self, name: str, ballot: int) -> Prepare | Accept:
        proposer = self.synod.proposers[ballot]
        message = Prepare(ballot) if name == "prepare" else Accept(ballot, proposer.proposed)
        if message not in self.synod.sent:
            raise ValueError(f"p{ballot} has sent no such message")
        return message

    def _answer(self, kind: type[Promise | Accepted], ballot: int, acceptor: int) -> Promise | Accepted:
        for message in self.synod.sent:
            if isinstance(message, kind) and (message.ballot, message.acceptor) == (ballot, acceptor):
                return message
        raise ValueError(f"a{acceptor} has sent no such message")

    def _say(self, actor: int, text: str, sign: Sign, label: str) -> None:
        name = self.diagram.names.get(actor, "").split(" ")[0]
        self.lines.append(f"{name}: {text}" if name else text)
        self.moment += 1
        self.diagram.events.append(Mark(self.moment, actor, sign, label))

    def _arrow(self, message: Message, sender: int, receiver: int, text: str) -> None:
        self.moment += 1
        self.diagram.events.append(Arrow(self.left[message], self.moment, sender, receiver, text, self.moment))


def _ends(words: list[str], preposition: str) -> list[int]:
    """The numbers after `B to` or `B from`."""
    if len(words) < 3 or words[1] != preposition:
        raise ValueError(f"say `{preposition}` whom")
    return [int(word) for word in words[2:]]
