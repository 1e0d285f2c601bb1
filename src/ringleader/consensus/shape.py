"""The one shape of a replicated log: what a consensus core takes in and what it hands out, for Raft and Paxos alike.

A core is sans-IO. The world calls `propose`, `step`, `tick` ... and then `take_output`, and carries the output out. The
core rebuilds itself after a crash by replaying its own records over the newest snapshot.

**Durability is structure.** Records are numbered 1, 2, 3 ... in the order in which a core emits them. A message says after
which record it may leave (`Send.after`; 0 means at once), and the world reports progress with `synced(number)`. A core
counts its own vote or its own copy of an entry only once it is told that the record is on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Protocol

import msgspec

__all__ = [
    "CANDIDATE",
    "COMMAND",
    "CONFIG",
    "FOLLOWER",
    "LEADER",
    "LEARNER",
    "NOOP",
    "Config",
    "ConsensusOptions",
    "Entry",
    "EntryKind",
    "Output",
    "Record",
    "ReplicatedLog",
    "Role",
    "Send",
    "SnapshotMeta",
    "Status",
    "decode_config",
    "encode_config",
]


class ConsensusOptions(msgspec.Struct, frozen=True):
    """What every protocol is told; each has a struct of its own that adds to it. Times in seconds, sizes in bytes.

    A leader is heard at least every `heartbeat`. Who has heard from no leader for one to two `election` times stands for
    election. `append_bytes`: most data in one message of entries. `window_bytes`, `window_messages`: most on the way to one
    member.
    """

    heartbeat: float = 0.1
    election: float = 1.0
    append_bytes: int = 1 << 20
    window_bytes: int = 8 << 20
    window_messages: int = 256


class EntryKind(IntEnum):
    """What the data of an entry is: an application command, nothing, or a configuration."""

    COMMAND = 0
    NOOP = 1
    CONFIG = 2


class Role(IntEnum):
    """What a member is at the moment."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    LEARNER = 3


COMMAND, NOOP, CONFIG = EntryKind
FOLLOWER, CANDIDATE, LEADER, LEARNER = Role
"""For those who ask at every turn: in CPython 3.11 to say `Role.LEADER` costs as much as to call a function."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One slot of the log: its kind, opaque bytes, and the term (Raft) or ballot (Paxos) in which it was proposed first.

    Terms never decrease along the decided log, so what was proposed in one and is not decided when an entry of a later one
    is never will be.
    """

    term: int
    kind: int
    data: bytes


class Config(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Who takes part: `voters`, and during a joint change (Raft section 6) also the `outgoing` voters; `learners` only copy.

    A decision needs a quorum of `voters` and, when `outgoing` is not empty, also one of `outgoing`.
    """

    voters: tuple[int, ...]
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()

    def members(self) -> tuple[int, ...]:
        """Everyone who gets the log, sorted, once each."""
        return tuple(sorted({*self.voters, *self.outgoing, *self.learners}))

    def votes(self, member: int) -> bool:
        """Whether `member` takes part in elections."""
        return member in self.voters or member in self.outgoing


_encoder = msgspec.msgpack.Encoder()
_config = msgspec.msgpack.Decoder(Config)


def encode_config(config: Config) -> bytes:
    """The data of a configuration entry."""
    return _encoder.encode(config)


def decode_config(data: bytes) -> Config:
    """Inverse of `encode_config`. Raises `msgspec.DecodeError`."""
    return _config.decode(data)


class SnapshotMeta(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a snapshot stands for: the state after entry `index` (of `term`), with the configuration in force there."""

    index: int
    term: int
    config: Config


class Record(msgspec.Struct, array_like=True, gc=False):
    """One typed record of a core for the log on disk; `kind` and `payload` mean something only to the core."""

    kind: int
    payload: bytes


class Send(msgspec.Struct, gc=False):
    """A message to member `to` that may leave once record number `after` is durable (0: at once)."""

    to: int
    message: Any
    after: int


class Output(msgspec.Struct):
    """What a core wants done since the last `take_output`.

    `records`: to be appended to the log, in order. `messages`: see `Send`. `committed`: entries now decided, as (index,
    entry) in order, each once; apply them. `barriers`: (token, index): the read may be served once `index` is applied.
    `failed_barriers`: tokens of reads that must be asked again (leadership was lost). `changed`: role, term or leader
    changed.

    Snapshots: the core decides who needs which, their content travels beside it. `wants_snapshot`: members that need
    one; answer with `offer_snapshot`. `fetch`: (member, snapshot): it has what this member needs; bring it here, and call
    `install` once it is durable. `install`: the log begins anew after this snapshot (which is therefore durable): replace
    the state by it before applying anything of this or a later output.

    `lost`: at the leader, members found to have lost what they had acknowledged as durable: (member, index up to which it
    had, index up to which it still agrees as far as is known). They are given it again; the operator should hear of it.
    """

    records: list[Record] = []
    messages: list[Send] = []
    committed: list[tuple[int, Entry]] = []
    barriers: list[tuple[int, int]] = []
    failed_barriers: list[int] = []
    wants_snapshot: list[int] = []
    fetch: tuple[int, SnapshotMeta] | None = None
    install: SnapshotMeta | None = None
    changed: bool = False
    lost: list[tuple[int, int, int]] = []


class Status(msgspec.Struct, frozen=True):
    """A core as others see it. `match`: what the leader knows of each member's log (empty elsewhere).

    `heard`: at the leader, when each member that has answered in this term did so last, on the clock of `tick`.
    """

    id: int
    role: Role
    term: int
    leader: int
    commit: int
    last_index: int
    first_index: int
    config: Config
    match: dict[int, int] = {}
    heard: dict[int, float] = {}


class ReplicatedLog(Protocol):
    """A consensus core: events in, `Output` out. Time is a monotonic float in seconds, handed in by `tick`."""

    @property
    def role(self) -> Role:
        """What this member is; a learner counts as a follower here (`status` tells them apart)."""
        ...

    @property
    def leads(self) -> bool:
        """Whether this member believes that it leads and takes proposals."""
        ...

    @property
    def recovering(self) -> bool:
        """Whether it has been elected and will take proposals, in this term, once it knows what may have been decided
        before. (Never with Raft: a leader has all that.)
        """
        ...

    @property
    def term(self) -> int:
        """The present term (or ballot)."""
        ...

    @property
    def leader(self) -> int:
        """The member that leads as far as this one knows; 0: nobody known."""
        ...

    @property
    def config(self) -> Config:
        """The configuration in force: the latest in the log, committed or not."""
        ...

    @property
    def parties(self) -> set[int]:
        """Whoever takes part in a configuration that is in force here, or in one that it may still need to be decided."""
        ...

    @property
    def config_settled(self) -> bool:
        """Whether that configuration is known to be committed and no joint one."""
        ...

    @property
    def first_index(self) -> int:
        """The lowest index in the log: those before it are compacted away."""
        ...

    @property
    def last_index(self) -> int:
        """The highest index in the log, committed or not."""
        ...

    @property
    def commit(self) -> int:
        """The highest index known to be decided."""
        ...

    @property
    def contact(self) -> float:
        """When this member last knew that it held all that was committed, by a quorum (at the leader) or by the leader's
        word (elsewhere); `-inf`: never since it started. So its state is no staler than that, once `commit` is applied.
        """
        ...

    def lease_valid(self) -> bool:
        """Whether this member may answer reads by its leader lease, without a round."""
        ...

    def recover(self, snapshot: SnapshotMeta | None, records: Iterable[Record]) -> None:
        """Rebuild from the newest snapshot and all records found on disk, oldest first. Call once, before all else.

        Raises `ValueError` saying what is missing when the records do not continue from the snapshot.
        """
        ...

    def checkpoint(self) -> list[Record]:
        """The records that a new log segment must start with, so that older segments can go."""
        ...

    def tick(self, now: float) -> None:
        """Time has come to `now`: elections, heartbeats, retransmission. Call at least every tenth of a heartbeat."""
        ...

    def observe(self, now: float) -> None:
        """It is `now`, but run no timers yet: called before messages and reads, which may have waited out a pause."""
        ...

    def step(self, sender: int, message: Any) -> None:
        """A message of the core of member `sender` arrived."""
        ...

    def propose(self, data: Sequence[bytes], kind: EntryKind = EntryKind.COMMAND) -> int:
        """Append entries; returns the index of the first, or 0 when this member does not lead."""
        ...

    def read_barrier(self, token: int) -> bool:
        """Ask for a linearizable read point; the answer comes in `Output.barriers`. False when not leading."""
        ...

    def change_members(self, config: Config) -> int:
        """Start a change to `config.voters` and `config.learners`; returns the index, or 0 when not possible now."""
        ...

    def transfer(self, to: int) -> bool:
        """Hand leadership to `to`; False when that is not possible."""
        ...

    def synced(self, number: int) -> None:
        """All records up to `number` are durable."""
        ...

    def compact(self, index: int, keep_entries: int = 0, keep_bytes: int = 0) -> SnapshotMeta:
        """A durable snapshot exists at `index` (applied): forget entries up to it.

        The last `keep_entries` of them stay, as long as they have at most `keep_bytes`, for members that lag a little.
        """
        ...

    def snapshot_meta(self, index: int) -> SnapshotMeta:
        """What a snapshot taken at applied `index` has to say of itself."""
        ...

    def offer_snapshot(self, to: int, meta: SnapshotMeta) -> None:
        """Tell `to`, which was named in `wants_snapshot`, that it can have this durable snapshot from here."""
        ...

    def install(self, meta: SnapshotMeta) -> None:
        """A snapshot from elsewhere is durable here. `Output.install` says whether the state is to be replaced by it."""
        ...

    def abstain(self, flag: bool) -> None:
        """While `flag` this member does not stand for election: it could not serve, since its state is being replaced."""
        ...

    @property
    def idle(self) -> bool:
        """Whether `take_output` would certainly have nothing to say now, so that it need not be asked."""
        ...

    def take_output(self) -> Output:
        """Everything to be done since the last call."""
        ...

    def status(self) -> Status:
        """Where this member stands."""
        ...
