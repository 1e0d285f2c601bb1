"""From envelopes to entries: all that gathers in a turn goes into the log as few entries, under one log time."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ringleader.consensus.shape import Entry
from ringleader.group.leading import Leading
from ringleader.group.shared import Shared
from ringleader.store.auth import NODE
from ringleader.store.codec import BATCH_VERSION, decode_batch
from ringleader.store.commands import Batch, Command, Envelope
from ringleader.store.member_ops import MEMBER_COMMANDS, LeaderView

__all__ = ["ApplyError", "Proposals", "Queued"]

_encode = msgspec.msgpack.Encoder().encode


class ApplyError(Exception):
    """A committed entry cannot be understood by this release; applying on would break "same log, same state"."""


class Queued(NamedTuple):
    """An envelope for the log, as bytes and decoded, and the node it came from (0: the leader's own)."""

    raw: bytes
    envelope: Envelope
    source: int


class Proposals:
    """The queue for the log, which is emptied at the end of each turn while this member leads."""

    def __init__(self, shared: Shared, leading: Leading) -> None:
        self.shared = shared
        self.leading = leading
        self.queue: list[Queued] = []
        self._decoded: dict[int, tuple[bytes, Batch]] = {}  # own proposals by index, to spare decoding them again
        self._member_commands = False  # the queue holds some, into which the leader writes its view

    def add(self, item: Queued) -> None:
        """It goes into the log at the end of this turn."""
        self.queue.append(item)
        for _, command in item.envelope.commands:
            if type(command) in MEMBER_COMMANDS:
                self._member_commands = True

    def say(self, command: Command) -> None:
        """Put a command of the leader's own into the log."""
        envelope = Envelope(0, 0, 0, [(0, command)], NODE.principal)
        self.add(Queued(_encode(envelope), envelope, 0))

    def give_up(self) -> list[Queued]:
        """The queue, which will not be proposed by this member."""
        queue, self.queue = self.queue, []
        return queue

    def propose(self) -> None:
        """Propose as much of the queue as one turn should; call only while the leader's clock runs."""
        if self._member_commands:
            self._write_view_into_queue()
        time_ms = self.leading.clock.read(self.shared.now)
        options = self.shared.options
        start = size = total = 0
        for end, item in enumerate(self.queue):
            if end > start and size + len(item.raw) > options.entry_bytes:
                self._propose_entry(time_ms, self.queue[start:end])
                start, total, size = end, total + size, 0
                if total >= options.turn_bytes:
                    break
            size += len(item.raw)
        else:
            self._propose_entry(time_ms, self.queue[start:])
            start = len(self.queue)
        del self.queue[:start]

    def _propose_entry(self, time_ms: int, part: list[Queued]) -> None:
        data = _encode((BATCH_VERSION, time_ms, [msgspec.Raw(item.raw) for item in part]))
        index = self.shared.core.propose([data])
        assert index, "a leader takes proposals"
        self._decoded[index] = (data, Batch(BATCH_VERSION, time_ms, [item.envelope for item in part]))
        self.shared.counts["entries"] += 1

    def _write_view_into_queue(self) -> None:
        """What the table cannot know by itself travels in the command, so that all members decide alike."""
        self._member_commands = False
        view = self.leading.view()
        for place, item in enumerate(self.queue):
            if any(type(command) in MEMBER_COMMANDS for _, command in item.envelope.commands):
                commands = [(sequence, _with_view(command, view)) for sequence, command in item.envelope.commands]
                envelope = msgspec.structs.replace(item.envelope, commands=commands)
                self.queue[place] = Queued(_encode(envelope), envelope, item.source)

    # -------------------------------------------------------------------------------------------- back from the log

    def batch(self, index: int, entry: Entry) -> Batch:
        """What a decided entry says; raises `ApplyError`."""
        own = self._decoded.pop(index, None)
        if own is not None and own[0] is entry.data:
            return own[1]
        try:
            return decode_batch(entry.data)
        except ValueError as error:
            raise ApplyError(f"entry {index} of the log is not understood: {error}") from error

    def term_passed(self, applied: int) -> None:
        """An entry of a later term is decided: what was proposed up to `applied` never will be."""
        self._decoded = {index: item for index, item in self._decoded.items() if index > applied}

    def forget(self) -> None:
        """The log begins anew."""
        self._decoded.clear()


def _with_view(command: Command, view: LeaderView | None) -> Command:
    return msgspec.structs.replace(command, view=view) if type(command) in MEMBER_COMMANDS else command
