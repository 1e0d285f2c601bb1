"""The consensus protocols that there are: the one place that knows them all, by name, options, messages and records.

A cluster runs one protocol all its life. Which one is said by the type of the options that a core is made with; its name
stands in the data folder and in the handshakes of nodes. Everything else deals with `consensus.shape.ReplicatedLog`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos import records as paxos_records
from ringleader.consensus.paxos.messages import PaxosMessage
from ringleader.consensus.paxos.slots import HOLE
from ringleader.consensus.raft import Raft, RaftOptions
from ringleader.consensus.raft import records as raft_records
from ringleader.consensus.raft.messages import RaftMessage
from ringleader.consensus.shape import Config, ConsensusOptions, Entry, Record, ReplicatedLog, SnapshotMeta
from ringleader.ports import Entropy

__all__ = [
    "DEFAULT",
    "PROTOCOLS",
    "RAFT",
    "Choice",
    "CoreMessage",
    "CoreOptions",
    "Held",
    "check_choice",
    "choice_of",
    "make_core",
    "options_for",
    "read_records",
]

CoreMessage = RaftMessage | PaxosMessage
"""Everything that cores say to each other; the tags of different protocols do not overlap."""
CoreOptions = RaftOptions | PaxosOptions
"""The options of a core, whose type says which protocol it runs."""

DEFAULT = "raft"
PROTOCOLS = ("raft", "paxos")
"""Names, as people write them."""


class Choice(msgspec.Struct, frozen=True):
    """What a cluster chooses when it starts, and all its nodes must agree on. `phase2`: see `PaxosOptions`; 0: a majority."""

    protocol: str = DEFAULT
    phase2: int = 0

    def __str__(self) -> str:
        return self.protocol + (f" with a phase-2 quorum of {self.phase2}" if self.phase2 else "")

    def grants(self, wanted: Choice) -> bool:
        """Whether a cluster of this choice is what `wanted` asks for; a quorum that it does not name may be any."""
        return wanted.protocol == self.protocol and wanted.phase2 in (0, self.phase2)


RAFT = Choice("raft")
"""What a cluster runs that has been told nothing."""


def check_choice(choice: Choice, members: int) -> None:
    """Raises `ValueError` saying why a cluster that starts with so many `members` (0: not known) cannot choose this."""
    if choice.protocol not in PROTOCOLS:
        raise ValueError(f"{choice.protocol[:40]!r} is no consensus protocol: choose {' or '.join(PROTOCOLS)}")
    if not choice.phase2:
        return
    if choice.protocol == "raft":
        raise ValueError("Raft decides by majorities: a phase-2 quorum can be chosen with Paxos only")
    if choice.phase2 < 0 or (members and choice.phase2 > members):
        raise ValueError(f"a phase-2 quorum of {choice.phase2} cannot be had among {members or 'so few'} members")


def choice_of(options: CoreOptions) -> Choice:
    """What these options are for."""
    return Choice("paxos", options.phase2) if isinstance(options, PaxosOptions) else RAFT


def options_for(choice: Choice, common: ConsensusOptions) -> CoreOptions:
    """The options of a core of the protocol chosen. Raises `ValueError` as `check_choice` does."""
    check_choice(choice, 0)
    told = msgspec.structs.asdict(common)
    return PaxosOptions(**told, phase2=choice.phase2) if choice.protocol == "paxos" else RaftOptions(**told)


def make_core(id: int, config: Config, entropy: Entropy, options: CoreOptions) -> ReplicatedLog:
    """A core of the protocol that `options` are for; arguments as of `Raft`."""
    if isinstance(options, PaxosOptions):
        return Paxos(id, config, entropy, options)
    return Raft(id, config, entropy, options)


class Held(msgspec.Struct):
    """What the records of a core add up to. `promise`: what it has promised, in words. `entries`: those it holds, by index."""

    term: int
    promise: str
    first_index: int
    last_index: int
    entries: list[Entry]


class _Reader(msgspec.Struct):
    """How the records of one protocol are read: names by kind, and what they add up to over a snapshot."""

    kinds: dict[int, str]
    replay: Callable[[SnapshotMeta | None, Iterable[Record]], Held]


def _raft(snapshot: SnapshotMeta | None, records: Iterable[Record]) -> Held:
    found = raft_records.replay(snapshot, records)
    promise = f"vote {found.vote or 'none'}"
    return Held(found.term, promise, found.log.first, found.log.last, found.log.entries)


def _paxos(snapshot: SnapshotMeta | None, records: Iterable[Record]) -> Held:
    found = paxos_records.replay(snapshot, records)
    log = found.log
    promise = f"promised, slots known to be chosen up to {found.commit}"
    entries = [entry for entry in log.entries if entry is not HOLE]
    return Held(found.promised, promise, log.first, log.last, entries)


_READERS = {"raft": _Reader(raft_records.KINDS, _raft), "paxos": _Reader(paxos_records.KINDS, _paxos)}


def read_records(
    snapshot: SnapshotMeta | None, records: Sequence[Record], fallback: str = DEFAULT
) -> tuple[str, dict[str, int], Callable[[], Held]]:
    """Whose records these are (the kinds of different protocols do not overlap): the protocol, how many there are of each
    kind by its name, and a function that replays them. `fallback`: the protocol if no record says it.

    The function raises `ValueError` or what decoding raises when they make no sense.
    """
    own = {kind: name for name, reader in _READERS.items() for kind in reader.kinds}
    protocol = next((own[record.kind] for record in records if record.kind in own), fallback)
    reader = _READERS[protocol]
    counts: dict[str, int] = {}
    for record in records:
        kind = reader.kinds.get(record.kind, f"unknown kind {record.kind}")
        counts[kind] = counts.get(kind, 0) + 1
    return protocol, dict(sorted(counts.items())), lambda: reader.replay(snapshot, records)
