"""What a group's keys say about its shards, and what follows: who should own what, what to claim, what must go.

Pure: keys and events in, decisions and transactions out. The keys of a group:

    config          how many shards there are; never changes while there are workers
    members/ID      a worker, ID being its lease; gone with the lease
    table           who should own each shard: a partition table with one owner each, epoch by epoch
    claims/SHARD    who owns the shard: its lease holds the key, and the key's create revision is the fencing token

Two rules make hand-over safe, and neither needs to trust a clock or a coordinator. A claim is made only while there is
none, so two workers never hold one. And a claim is deleted only by its owner after its work has stopped, or by the end of
its lease. The table only says who *may* claim: a wrong or late table costs moves, never safety.

Any worker may write the next table. It is a function of the last table and the members, and the transaction that writes
it holds only if both are still as they were seen: so of several who try one succeeds, and nobody is needed to lead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes

import msgspec

from ringleader.client.ops import Condition, Operation, delete, key, put, txn
from ringleader.client.types import Event, KeyValue, to_bytes
from ringleader.errors import Reason, UsageError
from ringleader.placement import Node, PartitionTable, plan

__all__ = [
    "BATCH",
    "MAX_SHARDS",
    "MAX_WORKERS",
    "Board",
    "Claim",
    "ShardGroup",
    "ShardWorker",
    "Steps",
    "checked_count",
    "steps",
]

MAX_SHARDS = 4096
MAX_WORKERS = 800  # each is a condition of the transaction that writes a table, and the store allows 1,024 of these
BATCH = 60  # claims or releases in one transaction: each takes two operations of the 128 that etcd allows
_CONDITIONS = 100  # in one list of a transaction
_FORMAT = 1


class Claim(msgspec.Struct, frozen=True):
    """Who owns a shard: the worker's id, and the fencing token."""

    worker: str
    token: int


class ShardWorker(msgspec.Struct, frozen=True):
    """A worker of a group. `joined`: the revision of its joining. `shards`: those that it owns, `assigned`: should own."""

    id: str
    name: str
    weight: float
    joined: int
    shards: list[int] = []
    assigned: list[int] = []


class ShardGroup(msgspec.Struct, frozen=True):
    """A group as of `revision`. `unowned`: shards that nobody owns, `moving`: those that wait for their owner's release."""

    group: str
    count: int
    epoch: int
    revision: int
    workers: list[ShardWorker]
    unowned: list[int]
    moving: list[int]


class _Member(msgspec.Struct):
    """What the key of a member holds."""

    name: str
    weight: float = 1.0


class _Config(msgspec.Struct):
    """What the key of the configuration holds."""

    version: int
    count: int


class _Table(msgspec.Struct):
    """What the key of the table holds."""

    epoch: int
    table: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Steps:
    """What a worker has to do. `gained`: shards whose claim it has now, with the token. `returned`: claims that it has, with
    the token, and should not have. `moving`: held ones that are another's. `gone`: held ones whose claim is not its own any
    more. `claim`: those it should have and nobody has.
    """

    gained: list[tuple[int, int]]
    returned: list[tuple[int, int]]
    moving: list[int]
    gone: list[int]
    claim: list[int]


class Board:
    """The keys of one group as this client knows them, brought up to date by `load` and `apply`.

    `revision`: all changes up to it are in. `count` 0: the group does not exist yet.
    """

    def __init__(self, group: str) -> None:
        if not isinstance(group, str) or not group:
            raise _usage(f"a group of shards needs a name, not {group!r}")
        self.group = group
        self.prefix = b"ringleader/shards/" + quote_from_bytes(to_bytes(group, "name"), safe="").encode() + b"/"
        self.config_key = self.prefix + b"config"
        self.table_key = self.prefix + b"table"
        self.members_prefix = self.prefix + b"members/"
        self.claims_prefix = self.prefix + b"claims/"
        self._clear()

    def _clear(self) -> None:
        self.revision = 0
        self.count = 0
        self.config_revision = 0
        self.epoch = 0
        self.table: PartitionTable | None = None
        self.table_revision = 0
        self.workers: dict[str, ShardWorker] = {}
        self.claims: dict[int, Claim] = {}
        self._seen: dict[int, int] = {}  # the newest revision known of each claim, also of one that is gone

    # ------------------------------------------------------------------------------------------------ what is known

    def load(self, found: Iterable[KeyValue], revision: int) -> None:
        """Everything anew, as a range over `prefix` returned it."""
        self._clear()
        for kv in sorted(found, key=lambda kv: kv.key != self.config_key):  # the table is read by the count
            self._put(kv.key, kv.value, kv.create_revision, kv.mod_revision)
        self.revision = revision

    def apply(self, event: Event) -> None:
        """A change, in the order of revisions."""
        if event.deleted:
            self._delete(event.key, event.revision)
        else:
            self._put(event.key, event.value, event.create_revision, event.revision)
        self.revision = max(self.revision, event.revision)

    def claimed(self, shard: int, worker: str, revision: int) -> None:
        """A claim of ours was made at `revision`, whether or not the watch has told of it yet."""
        if revision > self._seen.get(shard, 0):
            self._seen[shard] = revision
            self.claims[shard] = Claim(worker, revision)

    def released(self, shard: int, revision: int) -> None:
        """A claim was deleted at `revision`, whether or not the watch has told of it yet."""
        if revision > self._seen.get(shard, 0):
            self._seen[shard] = revision
            self.claims.pop(shard, None)

    def _put(self, name: bytes, value: bytes, created: int, revision: int) -> None:
        if name.startswith(self.claims_prefix):
            shard = _number(name[len(self.claims_prefix) :])
            if shard is not None and revision > self._seen.get(shard, 0):
                self._seen[shard] = revision
                self.claims[shard] = Claim(value.decode("utf-8", "replace"), created)
        elif name.startswith(self.members_prefix):
            member = _decoded(value, _Member, name)
            worker = name[len(self.members_prefix) :].decode("utf-8", "replace")
            self.workers[worker] = ShardWorker(worker, member.name, member.weight, created)
        elif name == self.config_key:
            config = _decoded(value, _Config, name)
            if config.version != _FORMAT:
                raise _usage(f"shards {self.group!r} are of format {config.version}, this release reads {_FORMAT} only")
            self.count, self.config_revision = config.count, revision
        elif name == self.table_key and revision > self.table_revision:
            written = _decoded(value, _Table, name)
            self.epoch, self.table_revision = written.epoch, revision
            table = PartitionTable.from_dict(written.table)
            self.table = table if table.partitions == self.count else None

    def _delete(self, name: bytes, revision: int) -> None:
        if name.startswith(self.claims_prefix):
            shard = _number(name[len(self.claims_prefix) :])
            if shard is not None:
                self.released(shard, revision)
        elif name.startswith(self.members_prefix):
            self.workers.pop(name[len(self.members_prefix) :].decode("utf-8", "replace"), None)
        elif name == self.config_key:
            self.count = self.config_revision = 0
        elif name == self.table_key and revision > self.table_revision:
            self.table, self.table_revision = None, 0

    def assigned(self, worker: str) -> list[int]:
        """The shards that `worker` should own."""
        table = self.table
        if table is None or not any(node.name == worker for node in table.nodes):
            return []
        return list(table.owned_by(worker))

    def rank(self, worker: str) -> int:
        """How many workers joined before this one."""
        mine = self.workers[worker].joined
        return sum(other.joined < mine for other in self.workers.values())

    def describe(self) -> ShardGroup:
        """The whole group, for people; the workers in the order of their joining."""
        held: dict[str, list[int]] = {worker: [] for worker in self.workers}
        moving = []
        for shard, claim in sorted(self.claims.items()):
            held.setdefault(claim.worker, []).append(shard)
            if self.table is not None and self._owner(shard) != claim.worker:
                moving.append(shard)
        workers = [
            ShardWorker(w.id, w.name, w.weight, w.joined, held[w.id], self.assigned(w.id))
            for w in sorted(self.workers.values(), key=lambda w: (w.joined, w.id))
        ]
        unowned = [shard for shard in range(self.count) if shard not in self.claims]
        return ShardGroup(self.group, self.count, self.epoch, self.revision, workers, unowned, moving)

    def _owner(self, shard: int) -> str:
        assert self.table is not None
        return self.table.nodes[self.table.rows[shard][0]].name if shard < self.table.partitions else ""

    # ------------------------------------------------------------------------------------------------- transactions

    def claim_key(self, shard: int) -> bytes:
        """The key whose existence is the ownership of a shard."""
        return self.claims_prefix + f"{shard:05d}".encode()

    def member_key(self, worker: str) -> bytes:
        """The key of a worker."""
        return self.members_prefix + worker.encode()

    def join(
        self, worker: str, lease: int, name: str, weight: float, count: int
    ) -> tuple[list[Condition], list[Operation]]:
        """The transaction of joining a group of `count` shards.

        Raises `UsageError` when the group has another number (it is set up when there are no workers) or too many workers.
        """
        if len(self.workers) >= MAX_WORKERS:
            raise _usage(f"shards {self.group!r} have {len(self.workers)} workers already, {MAX_WORKERS} are allowed")
        member = put(self.member_key(worker), msgspec.json.encode(_Member(name, weight)), lease=lease)
        if self.count == count:
            return [key(self.config_key).mod_revision == self.config_revision], [member]
        if self.count and self.workers:
            hint = "All workers must give the same count; it can change once all of them have left."
            raise UsageError(
                f"shards {self.group!r}: there are {self.count}, not {count}", reason=Reason.INVALID_ARGUMENT, hint=hint
            )
        config = put(self.config_key, msgspec.json.encode(_Config(_FORMAT, count)))
        alone = key(self.members_prefix, prefix=True).create_revision == 0
        return [key(self.config_key).mod_revision == self.config_revision, alone], [config, member]

    @property
    def fits(self) -> bool:
        """Whether the table is one for exactly these members."""
        if self.table is None or len(self.table.nodes) != len(self.workers):
            return not self.workers or not self.count
        workers = self.workers
        return all(n.name in workers and workers[n.name].weight == n.weight for n in self.table.nodes)

    def next_table(self) -> PartitionTable:
        """The table for the present members with the fewest moves from the last one."""
        nodes = [Node(worker.id, worker.weight) for worker in self.workers.values()]
        return plan(self.table, nodes, partitions=self.count, copies=1).table

    def write_table(self, table: PartitionTable) -> tuple[list[Condition], list[Operation]]:
        """The transaction that makes `table` the next one, if the last one and the members are still as known here."""
        value = msgspec.json.encode(_Table(self.epoch + 1, table.to_dict()))
        write: list[Operation] = [put(self.table_key, value)]
        there = [key(self.member_key(worker.id)).create_revision == worker.joined for worker in self.workers.values()]
        for start in range(_CONDITIONS, len(there), _CONDITIONS):
            write = [txn(compare=there[start : start + _CONDITIONS], success=write)]
        nobody_new = key(self.members_prefix, prefix=True).mod_revision < self.revision + 1
        same = key(self.table_key).mod_revision == self.table_revision
        return [same, nobody_new, *there[:_CONDITIONS]], write

    def write_claims(self, worker: str, lease: int, shards: Sequence[int]) -> tuple[list[Condition], list[Operation]]:
        """The transaction that claims those of at most `BATCH` shards that are free, if the table is as known here."""
        claims: list[Operation] = [
            txn(
                compare=[key(self.claim_key(shard)).missing],
                success=[put(self.claim_key(shard), worker, lease=lease)],
            )
            for shard in shards
        ]
        return [key(self.table_key).mod_revision == self.table_revision], claims

    def write_releases(self, claims: Sequence[tuple[int, int]]) -> list[Operation]:
        """The operations that give back at most `BATCH` claims, (shard, token), as far as they still exist."""
        return [
            txn(
                compare=[key(self.claim_key(shard)).create_revision == token],
                success=[delete(self.claim_key(shard))],
            )
            for shard, token in claims
        ]


def steps(board: Board, me: str, held: Mapping[int, int], blocked: Collection[int]) -> Steps:
    """What the worker `me` has to do.

    `held`: the tokens of the shards that it works on. `blocked`: shards that it still has something to do with, as held
    ones, or lost ones whose work has not stopped yet: those are not claimed.
    """
    mine = set(board.assigned(me))
    gained: list[tuple[int, int]] = []
    returned: list[tuple[int, int]] = []
    for shard, claim in board.claims.items():
        if claim.worker == me and shard not in blocked:
            (gained if shard in mine else returned).append((shard, claim.token))
    gone = [shard for shard, token in held.items() if board.claims.get(shard) != Claim(me, token)]
    lost = set(gone)
    moving = [shard for shard in held if shard not in mine and shard not in lost]
    free = [shard for shard in sorted(mine) if shard not in board.claims and shard not in blocked]
    return Steps(sorted(gained), returned, moving, gone, free)


def checked_count(count: object) -> int:
    """A number of shards. Raises `UsageError` when it is none."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_SHARDS or count & (count - 1):
        raise _usage(f"count, the number of shards, must be a power of two from 1 to {MAX_SHARDS}, not {count!r}")
    return count


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


def _decoded(value: bytes, kind: type[Any], name: bytes) -> Any:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        hint = "Keys under ringleader/ belong to Ringleader; delete this one if someone else wrote it."
        message = f"the key {name.decode('utf-8', 'replace')!r} cannot be read: {error}"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT, hint=hint) from None


def _usage(message: str) -> UsageError:
    return UsageError(message, reason=Reason.INVALID_ARGUMENT)
