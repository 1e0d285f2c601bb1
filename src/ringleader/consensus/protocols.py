"""The consensus protocols that there are: the one place that knows them all, by name, options, messages and records.

A cluster runs one protocol all its life. Which one is said by the type of the options that a core is made with; its name
stands in the data folder and in the handshakes of nodes. Everything else deals with `consensus.shape.ReplicatedLog`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ringleader.consensus.raft import Raft, RaftOptions
from ringleader.consensus.raft import records as raft_records
from ringleader.consensus.raft.messages import RaftMessage
from ringleader.consensus.shape import Config, ConsensusOptions, Entry, Record, ReplicatedLog, SnapshotMeta
from ringleader.ports import Entropy

__all__ = [
    "DEFAULT",
    "PROTOCOLS",
    "CoreMessage",
    "CoreOptions",
    "Held",
    "make_core",
    "options_for",
    "protocol_of",
    "read_records",
]

CoreMessage = RaftMessage
"""Everything that cores say to each other; the tags of different protocols do not overlap."""
CoreOptions = RaftOptions
"""The options of a core, whose type says which protocol it runs."""

DEFAULT = "raft"
PROTOCOLS = ("raft",)
"""Names, as people write them."""


def protocol_of(options: CoreOptions) -> str:
    """The name of the protocol that these options are for."""
    return DEFAULT


def options_for(protocol: str, common: ConsensusOptions, phase2: int = 0) -> CoreOptions:
    """The options of `protocol` with what is common to all. `phase2`: see `PaxosOptions`.

    Raises `ValueError` for a name that is none, or a quorum that the protocol cannot have.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"{protocol[:40]!r} is no consensus protocol: choose {' or '.join(PROTOCOLS)}")
    if phase2:
        raise ValueError("Raft decides by majorities: a phase-2 quorum can be chosen with Paxos only")
    return RaftOptions(**msgspec.structs.asdict(common))


def make_core(id: int, config: Config, entropy: Entropy, options: CoreOptions) -> ReplicatedLog:
    """A core of the protocol that `options` are for; arguments as of `Raft`."""
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


_READERS = {"raft": _Reader(raft_records.KINDS, _raft)}


def read_records(
    snapshot: SnapshotMeta | None, records: Sequence[Record]
) -> tuple[str, dict[str, int], Callable[[], Held]]:
    """Whose records these are (the kinds of different protocols do not overlap): the protocol, how many there are of each
    kind by its name, and a function that replays them.

    The function raises `ValueError` or what decoding raises when they make no sense.
    """
    own = {kind: name for name, reader in _READERS.items() for kind in reader.kinds}
    protocol = next((own[record.kind] for record in records if record.kind in own), DEFAULT)
    reader = _READERS[protocol]
    counts: dict[str, int] = {}
    for record in records:
        kind = reader.kinds.get(record.kind, f"unknown kind {record.kind}")
        counts[kind] = counts.get(kind, 0) + 1
    return protocol, dict(sorted(counts.items())), lambda: reader.replay(snapshot, records)
