"""A few real Raft cores on a stage, moved by hand one step at a time, and everything that happens told in words.

The cores are those of production (`consensus/raft`). Each has a disk, of which only what was synced survives a crash; messages
lie on the way until somebody delivers or drops them. Nothing happens by chance, so a scenario always tells the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ringleader.consensus.raft import Raft, RaftOptions
from ringleader.consensus.raft.messages import Append, AppendReply, RaftMessage
from ringleader.consensus.shape import Config, Entry, EntryKind, Output, Record, Role, Send, SnapshotMeta
from ringleader.sim.picture import Arrow, Diagram, Mark, Sign
from ringleader.sim.picture.of_trace import message_words
from ringleader.sim.words import entry_word, message_sentence, record_sentence

__all__ = ["Actor", "Packet", "Stage"]

_STEP = 50  # milliseconds between two ticks


class _Steady:
    """An entropy without chance: member n always waits 1 + n/10 election times, so that the lowest number stands first."""

    def __init__(self, id: int) -> None:
        self.value = id / 10

    def random(self) -> float:
        return self.value

    def getrandbits(self, k: int, /) -> int:
        return 0


class Packet(msgspec.Struct):
    """A message on the way."""

    sender: int
    receiver: int
    message: RaftMessage
    sent: int


class Actor:
    """One member: its core, its disk, and the state that its committed entries have led to."""

    def __init__(self, id: int, make: Callable[[int], Raft]) -> None:
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
        self.shown: tuple[Role, bool, int, int] = (Role.FOLLOWER, False, 0, 0)


class Stage:
    """All actors and the network between them. `lines`: what happened since somebody last took them."""

    def __init__(self, nodes: int, options: RaftOptions, voters: int = 0) -> None:
        self.ids = list(range(1, nodes + 1))
        self.voters = tuple(self.ids[: voters or nodes])  # in the beginning
        self.options = options
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

    def _make(self, id: int) -> Raft:
        return Raft(id, Config(self.voters), _Steady(id), self.options)

    # ------------------------------------------------------------------------------------------------ what is told

    def say(self, actor: int, text: str, sign: Sign | None = None, label: str = "") -> None:
        """Tell that something happened to `actor` (0: to all); with `sign` it goes into the picture too."""
        self.lines.append(f"n{actor}: {text}" if actor else text)
        if sign is not None:
            self.moment += 1
            self.diagram.events.append(Mark(self.moment, actor, sign, label))

    def _told(self, packet: Packet, lost: str = "") -> None:
        message = packet.message
        routine = (type(message) is AppendReply and message.ok) or (type(message) is Append and not message.entries)
        if self.quiet and routine:
            return
        self.moment += 1
        words = message_sentence(message)
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
        self.say(id, f"leads term {self.actors[id].core.term}; all have entry 1 [1.-]", Sign.LEADS, "leader of term 1")

    def timeout(self, id: int) -> None:
        """The election timer of a member runs out now."""
        actor = self.actors[id]
        self.lines.append(f"n{id}: its election timer runs out")
        actor.core.deadline = actor.core.now
        actor.core.tick(actor.core.now)
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
        if first:
            self.say(id, f"takes {', '.join(values)} as entry {first}" + (" and on" if len(values) > 1 else ""), Sign.CALL,
                     f"propose {', '.join(values)}")  # fmt: skip
        else:
            self.say(id, f"refuses {', '.join(values)}: it does not lead", Sign.CALL, "refuses the proposal")
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
        vote = f", vote for n{actor.core.vote}" if actor.core.vote else ""
        actor.shown = (Role.FOLLOWER, False, actor.core.term, 0)
        self.say(id, f"restarts: term {actor.core.term}{vote}, log {self._log(actor)}", Sign.START, "restart")
        self.drain(actor)

    def compact(self, id: int) -> None:
        """A member takes a snapshot of its state and forgets the entries that led there."""
        actor = self.actors[id]
        meta = actor.core.compact(actor.applied)
        actor.snapshot = (meta, msgspec.msgpack.encode(actor.state))
        self.say(
            id,
            f"takes a snapshot of entries 1 to {meta.index} and forgets them",
            Sign.NOTE,
            f"snapshot of 1 to {meta.index}",
        )

    def partition(self, groups: list[list[int]]) -> None:
        """Only members of one group reach each other; those not named reach nobody."""
        home = {id: place for place, group in enumerate(groups) for id in group}
        self.cut = {(a, b) for a in self.ids for b in self.ids if a != b and home.get(a, -a) != home.get(b, -b)}
        words = " from ".join("{" + ", ".join(f"n{id}" for id in group) + "}" for group in groups)
        self.say(0, f"the network parts {words}", Sign.NOTE, f"the network parts {words}")

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self.cut.clear()
        self.say(0, "the network is whole again", Sign.NOTE, "the network is whole again")

    def status(self) -> None:
        """Tell where all stand; `|` in a log stands behind the last entry known there to be committed."""
        for actor in self.actors.values():
            core = actor.core
            role = core.role.name.lower() if actor.up else "down"
            self.say(
                actor.id, f"{role:9} term {core.term}  log {self._log(actor)}  state {' '.join(actor.state) or '-'}"
            )

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
            self.lines.append(f"n{actor.id}: writes {record_sentence(record)}{waits}")
        for send in out.messages:
            self._send(actor, send)
        self._apply(actor, out.committed)
        self._tell_reads(actor, out)
        for member in out.wants_snapshot:
            assert actor.snapshot is not None
            self.say(actor.id, f"n{member} needs entries that are gone: sends it the snapshot")
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
        now = (core.role, core.pre, core.term, core.leader)
        if now == actor.shown:
            return
        before, actor.shown = actor.shown, now
        if core.role is Role.LEADER:
            self.say(actor.id, f"LEADS term {core.term}", Sign.LEADS, f"leader of term {core.term}")
        elif core.role is Role.CANDIDATE and core.pre:
            text = f"asks whether it would win term {core.term + 1}"
            self.say(
                actor.id, f"{text} (it stays in term {core.term})", Sign.STANDS, f"would I win term {core.term + 1}?"
            )
        elif core.role is Role.CANDIDATE:
            self.say(
                actor.id, f"stands for election in term {core.term}", Sign.STANDS, f"candidate in term {core.term}"
            )
        else:
            whom = (
                f"follows n{core.leader} in term {core.term}" if core.leader else f"is a follower in term {core.term}"
            )
            loud = before[0] is not Role.FOLLOWER or before[2] != core.term
            self.say(actor.id, whom, Sign.FOLLOWS if loud else None, whom.removeprefix("is a "))

    def _apply(self, actor: Actor, committed: list[tuple[int, Entry]]) -> None:
        for index, entry in committed:
            actor.applied = index
            if entry.kind == EntryKind.COMMAND:
                actor.state.append(entry.data.decode())
        if committed:
            words = " ".join(entry_word(entry) for _, entry in committed)
            first, last = committed[0][0], committed[-1][0]
            span = f"{first}" + (f" to {last}" if last > first else "")
            self.say(actor.id, f"commits {span} ({words})", Sign.COMMIT, f"commits {span}")

    def _tell_reads(self, actor: Actor, out: Output) -> None:
        for token, index in out.barriers:
            self.say(
                actor.id, f"serves read {token} from the state after entry {index}", Sign.RETURN, f"read {token} served"
            )
        for token in out.failed_barriers:
            self.say(actor.id, f"refuses read {token}: it no longer leads", Sign.RETURN, f"read {token} refused")

    def _restore(self, actor: Actor) -> None:
        """The state that the snapshot stands for."""
        actor.state, actor.applied = [], 0
        if actor.snapshot is not None:
            actor.state = msgspec.msgpack.decode(actor.snapshot[1], type=list[str])
            actor.applied = actor.snapshot[0].index

    def _log(self, actor: Actor) -> str:
        log, commit = actor.core.log, actor.core.commit
        parts = [f"(snapshot to {log.offset})"] if log.offset else []
        for index, entry in enumerate(log.slice(log.first, log.last), log.first):
            if index == commit + 1:
                parts.append("|")
            parts.append(entry_word(entry))
        if commit == log.last:
            parts.append("|")
        return " ".join(parts)
