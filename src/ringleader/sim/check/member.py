"""One member of the checked world: a production core, its disk, the messages that wait for the disk; and what an event does.

The disk is as the log room guarantees it to be (`log.writer`, `log.recovery`). The records of one turn are one batch with a
checksum: all of it survives or nothing. What is not synced may be on disk after a crash in any subset of pages; recovery cuts
the log off at the first batch that does not hold, so what a restarted core replays is always *the durable batches and some of
the unsynced ones, from the oldest on without a gap*. A crash event therefore names how many unsynced batches survive; any
number may, all of them included (the page cache outlives a process). Batches become durable oldest first.

A crash and the restart are one event: a member that is down takes no part, and one that merely gets no events does the same.
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Config, Output, Record, ReplicatedLog, Send
from ringleader.sim.check.bounds import Bounds, Event
from ringleader.sim.check.model import Item, Model, items

__all__ = ["Member", "Outcome", "Setting"]

_encode = msgspec.msgpack.Encoder().encode


class Setting(msgspec.Struct, frozen=True):
    """What a member has to know to carry out an event. `config`: the members that its group starts with."""

    id: int
    model: Model
    bounds: Bounds
    config: Config


class Outcome:
    """What an event did beside changing the member: messages that left, entries told committed, and what broke."""

    __slots__ = ("committed", "problem", "sent")

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.committed: list[tuple[int, Item]] = []
        self.problem = ""


class Member:
    """`durable`: the records on disk, condensed. `batches`: (number of the last record, records) not synced yet, oldest
    first. `held`: messages that wait for a record. `asked`: tokens of reads that wait for an answer.
    """

    def __init__(self, core: ReplicatedLog) -> None:
        self.core = core
        self.durable: list[Record] = []
        self.batches: list[tuple[int, list[Record]]] = []
        self.held: list[Send] = []
        self.asked: list[int] = []
        self.emitted = 0
        core.tick(0.0)

    def happen(self, event: Event, sender: int, message: object, setting: Setting) -> Outcome | None:
        """Carry out an event; None when it means nothing here. The core's exceptions are not caught."""
        outcome = Outcome()
        if not self._act(event, sender, message, setting, outcome):
            return None
        self._drain(outcome)
        while self.batches and not setting.bounds.slow_disk:
            self._sync(outcome)
        shift = setting.model.normalise(self.core)
        self.emitted -= shift
        self.batches = [(number - shift, records) for number, records in self.batches]
        self.held = _once(self.held, shift)
        if not setting.bounds.crashes:
            self.durable = []  # nobody will read it
        elif self.durable:
            self.durable = setting.model.condense(self.durable)
        return outcome

    def _act(self, event: Event, sender: int, message: object, setting: Setting, outcome: Outcome) -> bool:
        core, argument = self.core, event.argument
        match event.kind:
            case "deliver":
                core.step(sender, message)
            case "time":
                alarm = setting.model.alarm(core)
                if alarm is None:
                    return False
                core.tick(alarm)
            case "propose":
                assert isinstance(argument, bytes)
                return core.leads and core.propose([argument]) > 0
            case "read":
                assert isinstance(argument, int)
                if not core.leads or self.asked or not core.read_barrier(argument):
                    return False
                self.asked.append(argument)
            case "sync":
                if not self.batches:
                    return False
                self._sync(outcome)
            case "crash":
                assert isinstance(argument, int)
                if argument > len(self.batches):
                    return False
                self._crash(argument, setting)
            case "change":
                assert isinstance(argument, int)
                target = setting.bounds.changes[argument]
                return core.config.voters != target.voters and core.change_members(target) > 0
            case "transfer":
                assert isinstance(argument, int)
                return core.leads and core.transfer(argument)
        return True

    def _drain(self, outcome: Outcome) -> None:
        """Take the core's output: records become a batch, messages leave or wait, the rest is noted."""
        out = self.core.take_output()
        if out.records:
            self.emitted += len(out.records)
            self.batches.append((self.emitted, out.records))
        durable = self.batches[0][0] - len(self.batches[0][1]) if self.batches else self.emitted
        for send in out.messages:
            if send.after <= durable:
                outcome.sent.append((send.to, _encode(send.message)))
            else:
                self.held.append(send)
        self._note(out, outcome)

    def _note(self, out: Output, outcome: Outcome) -> None:
        if out.wants_snapshot or out.fetch or out.install:
            raise NotImplementedError("the checker's bounds leave no room for snapshots")
        for index, entry in out.committed:
            outcome.committed.append((index, items([entry])[0]))
        for token, index in out.barriers:
            self.asked.remove(token)
            if index < token:
                outcome.problem = (
                    f"stale read: a read asked when entry {token} was acknowledged may be served at entry {index}"
                )
        for token in out.failed_barriers:
            self.asked.remove(token)

    def _sync(self, outcome: Outcome) -> None:
        """The oldest batch is on disk."""
        number, records = self.batches.pop(0)
        self.durable += records
        self.core.synced(number)
        waiting, self.held = self.held, []
        for send in waiting:
            if send.after <= number:
                outcome.sent.append((send.to, _encode(send.message)))
            else:
                self.held.append(send)
        self._drain(outcome)

    def _crash(self, kept: int, setting: Setting) -> None:
        """Power goes; the first `kept` unsynced batches survive; the member starts again from what is on disk."""
        for _, records in self.batches[:kept]:
            self.durable += records
        core: ReplicatedLog = setting.model.make(setting.id, setting.config)
        core.recover(None, setting.model.condense(self.durable))
        core.tick(0.0)
        self.core, self.batches, self.held, self.asked, self.emitted = core, [], [], [], 0


def _once(held: list[Send], shift: int) -> list[Send]:
    """Each message once, with the earliest record that lets it go: in this network a second copy changes nothing."""
    kept: dict[tuple[int, bytes], Send] = {}
    for send in held:
        key = (send.to, _encode(send.message))
        after = send.after - shift
        if key not in kept or after < kept[key].after:
            kept[key] = Send(send.to, send.message, after)
    return [kept[key] for key in sorted(kept)]
