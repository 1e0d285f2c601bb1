"""A few real consensus cores on a stage, moved by hand one step at a time, and everything that happens told in words.

The cores are those of production (`consensus/raft`, `consensus/paxos`); what is told of them is said in the words of their
protocol (`words_raft`, `words_paxos`). Each has a disk, of which only what was synced survives a crash; messages
lie on the way until somebody delivers or drops them. Nothing happens by chance, so a scenario always tells the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ringleader.consensus.shape import Entry, EntryKind, Output, Record, Role, Send, SnapshotMeta
from ringleader.sim.cast import Cast, Member, run_out
from ringleader.sim.picture import Arrow, Diagram, Mark, Sign
from ringleader.sim.picture.of_trace import message_words
from ringleader.sim.words import Stance, span_words

__all__ = ["Actor", "Packet", "Stage"]

_STEP = 50  # milliseconds between two ticks


class Packet(msgspec.Struct):
    """A message on the way."""

    sender: int
    receiver: int
    message: Any
    sent: int


class Actor:
    """One member: its core, its disk, and the state that its committed entries have led to."""

    def __init__(self, id: int, make: Callable[[int], Member]) -> None:
        self.id = id
        self.core = make(id)
        self.up = True
        self.paused = False  # the process stands still
        self.slow = False  # nothing reaches the disk until somebody says so
        self.disk: list[Record] = []
        self.pending: list[Record] = []
        self.emitted = 0
        self.held: list[Send] = []
        self.snapshot: tuple[SnapshotMeta, bytes] | None = None
        self.state: list[str] = []
        self.applied = 0
        self.shown = Stance(Role.FOLLOWER, 0, 0, 0)


class Stage:
    """All actors and the network between them. `lines`: what happened since somebody last took them."""

    def __init__(self, nodes: int, cast: Cast, voters: int = 0) -> None:
        self.ids = list(range(1, nodes + 1))
        self.voters = tuple(self.ids[: voters or nodes])  # in the beginning
        self.cast = cast
        self.words = cast.words
        self.actors = {id: Actor(id, self._make) for id in self.ids}
        self.packets: list[Packet] = []
        self.arrived: dict[tuple[int, int], Packet] = {}  # the last message that arrived on each link
        self.cut: set[tuple[int, int]] = set()
        self.now = 0  # milliseconds
        self.lines: list[str] = []
        self.moment = 0  # the picture's time: one step for each thing that happens
        self.diagram = Diagram("", {id: f"n{id}" for id in self.ids}, [], "")
        self.quiet = False  # heartbeats without news are not told
        for actor in self.actors.values():
            actor.core.tick(0.0)

    def _make(self, id: int) -> Member:
        return self.cast.make(id, self.voters)

    # ------------------------------------------------------------------------------------------------ what is told

    def say(self, actor: int, text: str, sign: Sign | None = None, label: str = "") -> None:
        """Tell that something happened to `actor` (0: to all); with `sign` it goes into the picture too."""
        self.lines.append(f"n{actor}: {text}" if actor else text)
        if sign is not None:
            self.moment += 1
            self.diagram.events.append(Mark(self.moment, actor, sign, label))

    def _told(self, packet: Packet, lost: str = "") -> None:
        message = packet.message
        if self.quiet and self.words.routine(message):
            return
        self.moment += 1
        words = self.words.message(message)
        self.lines.append(f"n{packet.sender} -> n{packet.receiver}: {words}" + (f"  LOST: {lost}" if lost else ""))
        received = None if lost else float(self.moment)
        arrow = Arrow(packet.sent, received, packet.sender, packet.receiver, message_words(message), self.moment)
        self.diagram.events.append(arrow)

    # --------------------------------------------------------------------------------------------- what may be done

    def tick(self, milliseconds: int) -> None:
        """Let time pass for all who are up; nothing is delivered."""
        for _ in range(milliseconds // _STEP):
            self.now += _STEP
            for actor in self._running():
                actor.core.tick(self.now / 1000)
                self.drain(actor)

    def run(self, milliseconds: int) -> None:
        """Let time pass while every message arrives at once. Heartbeats that bring nothing new are not told."""
        self.quiet = True
        for _ in range(milliseconds // _STEP):
            self.tick(_STEP)
            self.deliver(None, None, None)
        self.quiet = False

    def elect(self, id: int) -> None:
        """Let a member become the first leader without telling how."""
        self.timeout(id)
        self.run(200)
        assert self.actors[id].core.role is Role.LEADER
        self.lines, self.diagram.events, self.moment = [], [], 0
        core = self.actors[id].core
        self.say(id, self.words.led(core), Sign.LEADS, self.words.role(core)[1])

    def timeout(self, id: int) -> None:
        """The election timer of a member runs out now."""
        actor = self.actors[id]
        self.lines.append(f"n{id}: its election timer runs out")
        run_out(actor.core)
        self.drain(actor)

    def deliver(self, sender: int | None, receiver: int | None, count: int | None) -> None:
        """Deliver what is on the way on some links (None: all), oldest first; on all links also what comes of it."""
        if sender is None and receiver is None and count is None:
            for _ in range(2000):
                arriving = next((p for p in self.packets if not self.actors[p.receiver].paused), None)
                if arriving is None:
                    return
                self.packets.remove(arriving)
                self._arrive(arriving)
            raise RuntimeError("messages go back and forth without end")
        for packet in self._take(sender, receiver, count):
            self._arrive(packet)

    def drop(self, sender: int | None, receiver: int | None, count: int | None) -> None:
        """Lose what is on the way on some links."""
        for packet in self._take(sender, receiver, count):
            self._told(packet, "dropped")

    def repeat(self, sender: int, receiver: int) -> None:
        """The network delivers the last message of a link once more."""
        self.lines.append(f"the network repeats the last message of n{sender} to n{receiver}")
        self._arrive(Packet(sender, receiver, self.arrived[sender, receiver].message, self.moment))

    def propose(self, id: int, values: list[str]) -> None:
        """Ask a member to append commands."""
        actor = self.actors[id]
        first = actor.core.propose([value.encode() for value in values])
        what = ", ".join(values)
        if first:
            more = " and on" if len(values) > 1 else ""
            self.say(id, f"takes {what} {self.words.takes} {first}{more}", Sign.CALL, f"propose {what}")
        else:
            self.say(id, f"refuses {what}: it does not lead", Sign.CALL, "refuses the proposal")
        self.drain(actor)

    def read(self, id: int, token: int) -> None:
        """Ask a member for a linearizable read."""
        actor = self.actors[id]
        if actor.core.read_barrier(token):
            self.say(
                id, f"read {token} waits until a quorum confirms that n{id} still leads", Sign.CALL, f"read {token}?"
            )
        else:
            self.say(id, f"refuses read {token}: it does not lead", Sign.CALL, f"read {token} refused")
        self.drain(actor)

    def sync(self, id: int) -> None:
        """What was written reaches the disk; what waited for it may leave."""
        actor = self.actors[id]
        if actor.pending:
            actor.disk += actor.pending
            actor.pending = []
            if actor.slow:
                self.say(id, "all that was written is on disk now", Sign.SYNC, "on disk")
        actor.core.synced(actor.emitted)
        held, actor.held = actor.held, []
        for send in held:
            self._send(actor, send)
        self.drain(actor)

    def crash(self, id: int) -> None:
        """A member loses its memory, and of its disk all that was not synced."""
        actor = self.actors[id]
        lost = f"; unsynced records lost: {len(actor.pending)}" if actor.pending else ""
        if actor.held:
            lost += f"; answers that waited for the disk and never leave: {len(actor.held)}"
        self.say(id, f"CRASHES{lost}", Sign.CRASH, "crash" + (", unsynced records lost" if actor.pending else ""))
        actor.up, actor.pending, actor.held, actor.slow = False, [], [], False

    def restart(self, id: int) -> None:
        """A member comes back with what its disk holds."""
        actor = self.actors[id]
        actor.core, actor.up, actor.emitted = self._make(id), True, 0
        actor.core.recover(actor.snapshot[0] if actor.snapshot else None, actor.disk)
        self._restore(actor)
        actor.core.tick(self.now / 1000)
        actor.shown = self.words.stance(actor.core)
        remembered = f"{self.words.restarted(actor.core)}, log {self.words.log(actor.core)}"
        self.say(id, f"restarts: {remembered}", Sign.START, "restart")
        self.drain(actor)

    def compact(self, id: int) -> None:
        """A member takes a snapshot of its state and forgets the entries that led there."""
        actor = self.actors[id]
        meta = actor.core.compact(actor.applied)
        actor.snapshot = (meta, msgspec.msgpack.encode(actor.state))
        self.say(
            id,
            f"takes a snapshot of {self.words.slots} 1 to {meta.index} and forgets them",
            Sign.NOTE,
            f"snapshot of 1 to {meta.index}",
        )

    def partition(self, groups: list[list[int]]) -> None:
        """Only members of one group reach each other; those not named reach nobody."""
        home = {id: place for place, group in enumerate(groups) for id in group}
        self.cut = {(a, b) for a in self.ids for b in self.ids if a != b and home.get(a, -a) != home.get(b, -b)}
        words = " from ".join("{" + ", ".join(f"n{id}" for id in group) + "}" for group in groups)
        self.say(0, f"the network parts {words}", Sign.NOTE, f"the network parts {words}")

    def cut_links(self, links: list[tuple[int, int]]) -> None:
        """Nothing gets through from the one to the other any more, on each of these links."""
        self.cut.update(links)
        self.say(0, f"nothing gets through any more: {self._links(links)}", Sign.NOTE, f"cut: {self._links(links)}")

    def mend_links(self, links: list[tuple[int, int]]) -> None:
        """These links carry messages again."""
        self.cut.difference_update(links)
        self.say(0, f"messages get through again: {self._links(links)}", Sign.NOTE, f"mended: {self._links(links)}")

    @staticmethod
    def _links(links: list[tuple[int, int]]) -> str:
        both = [(a, b) for a, b in links if (b, a) in links]
        words = [f"n{a} - n{b}" for a, b in both if a < b]
        return ", ".join(words + [f"n{a} -> n{b}" for a, b in links if (a, b) not in both])

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self.cut.clear()
        self.say(0, "the network is whole again", Sign.NOTE, "the network is whole again")

    def status(self) -> None:
        """Tell where all stand; `|` in a log stands behind the last entry known there to be committed."""
        for actor in self.actors.values():
            role = actor.core.role.name.lower() if actor.up else "down"
            held = f"{self.words.term(actor.core)}  log {self.words.log(actor.core)}"
            self.say(actor.id, f"{role:9} {held}  state {' '.join(actor.state) or '-'}")

    # ------------------------------------------------------------------------------------------------ what follows

    def drain(self, actor: Actor) -> None:
        """Carry out what a core wants done."""
        out = actor.core.take_output()
        if out.install is not None:
            self._restore(actor)
            self.say(
                actor.id, f"installs the snapshot: state {' '.join(actor.state)}", Sign.NOTE, "installs the snapshot"
            )
        self._tell_role(actor)
        for record in out.records:
            actor.emitted += 1
            actor.pending.append(record)
            waits = ", not yet on disk" if actor.slow else ""
            self.lines.append(f"n{actor.id}: writes {self.words.record(record)}{waits}")
        for send in out.messages:
            self._send(actor, send)
        self._apply(actor, out.committed)
        self._tell_reads(actor, out)
        for member in out.wants_snapshot:
            assert actor.snapshot is not None
            self.say(actor.id, f"n{member} needs {self.words.slots} that are gone: sends it the snapshot")
            actor.core.offer_snapshot(member, actor.snapshot[0])
        if out.fetch is not None:
            source, meta = out.fetch
            actor.snapshot = self.actors[source].snapshot  # the content travels at once here
            actor.core.install(meta)
        if out.wants_snapshot or out.fetch is not None:
            self.drain(actor)
        if actor.pending and not actor.slow:
            self.sync(actor.id)

    def _send(self, actor: Actor, send: Send) -> None:
        durable = actor.emitted - len(actor.pending)
        if send.after > durable:
            actor.held.append(send)
            if actor.slow:
                self.lines.append(
                    f"n{actor.id}: keeps back {message_words(send.message)!r} to n{send.to} until that is on disk"
                )
            return
        packet = Packet(actor.id, send.to, send.message, self.moment)
        if (actor.id, send.to) in self.cut:
            self._told(packet, "no way through")
        else:
            self.packets.append(packet)

    def _arrive(self, packet: Packet) -> None:
        actor = self.actors[packet.receiver]
        if not actor.up:
            self._told(packet, f"n{packet.receiver} is down")
            return
        if (packet.sender, packet.receiver) in self.cut:
            self._told(packet, "no way through")
            return
        self._told(packet)
        self.arrived[packet.sender, packet.receiver] = packet
        actor.core.step(packet.sender, packet.message)
        self.drain(actor)

    def _take(self, sender: int | None, receiver: int | None, count: int | None) -> list[Packet]:
        fitting = [p for p in self.packets if sender in (None, p.sender) and receiver in (None, p.receiver)]
        fitting = [p for p in fitting if not self.actors[p.receiver].paused][:count]
        self.packets = [p for p in self.packets if not any(p is taken for taken in fitting)]
        return fitting

    def _running(self) -> Iterable[Actor]:
        return [actor for actor in self.actors.values() if actor.up and not actor.paused]

    def _tell_role(self, actor: Actor) -> None:
        core = actor.core
        now = self.words.stance(core)
        if now == actor.shown:
            return
        before, actor.shown = actor.shown, now
        text, label, sign = self.words.role(core)
        loud = sign is not Sign.FOLLOWS or before.role is not Role.FOLLOWER or before.term != now.term
        self.say(actor.id, text, sign if loud else None, label)

    def _apply(self, actor: Actor, committed: list[tuple[int, Entry]]) -> None:
        for index, entry in committed:
            actor.applied = index
            if entry.kind == EntryKind.COMMAND:
                actor.state.append(entry.data.decode())
        if committed:
            entries = " ".join(self.words.entry(entry) for _, entry in committed)
            span = span_words(committed[0][0], committed[-1][0])
            told, label = (words.format(span=span) for words in self.words.decided)
            self.say(actor.id, f"{told} ({entries})", Sign.COMMIT, label)

    def _tell_reads(self, actor: Actor, out: Output) -> None:
        for token, index in out.barriers:
            self.say(
                actor.id,
                f"serves read {token} from the state after {self.words.slot} {index}",
                Sign.RETURN,
                f"read {token} served",
            )
        for token in out.failed_barriers:
            self.say(actor.id, f"refuses read {token}: it no longer leads", Sign.RETURN, f"read {token} refused")

    def _restore(self, actor: Actor) -> None:
        """The state that the snapshot stands for."""
        actor.state, actor.applied = [], 0
        if actor.snapshot is not None:
            actor.state = msgspec.msgpack.decode(actor.snapshot[1], type=list[str])
            actor.applied = actor.snapshot[0].index
