"""A partition table: Q equal slices of the hash space, each with N ordered owners that are written down.

Dynamo's third strategy (DeCandia et al., SOSP 2007, section 6.2): fixed partitions make a membership change a list of
whole partitions to move, and a table small enough for a strong store, epoch by epoch. `plan.plan` makes the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Preference
from ringleader.placement.keys import Key, key_bytes, xxh3
from ringleader.placement.node import Node, NodeLike, as_nodes
from ringleader.placement.slots import REDIS_SLOTS, redis_slot

__all__ = ["MAX_COPIES", "MAX_PARTITIONS", "PartitionTable", "checked_shape"]

MAX_PARTITIONS = 1 << 16
MAX_COPIES = 16


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """`nodes`: the members by name. `rows[p]`: the owners of partition p as indices into `nodes`, the primary first.

    `copies`: the owners that every partition should have (a row is shorter when there are too few nodes).
    """

    nodes: tuple[Node, ...]
    rows: tuple[tuple[int, ...], ...]
    copies: int

    def __post_init__(self) -> None:
        checked_shape(len(self.rows), self.copies)
        count = len(self.nodes)
        for p, row in enumerate(self.rows):
            if not row or len(row) > self.copies or len(set(row)) < len(row):
                raise _usage(f"partition {p}: owners must be 1 to {self.copies} distinct nodes, not {list(row)}")
            if min(row) < 0 or max(row) >= count:
                raise _usage(f"partition {p}: owner {max(row)} is not one of the {count} nodes")

    @property
    def partitions(self) -> int:
        """How many partitions there are (Q, a power of two)."""
        return len(self.rows)

    def partition_of(self, key: Key) -> int:
        """The partition of a key: the upper bits of its XXH3 hash."""
        return xxh3(key_bytes(key)) * len(self.rows) >> 64

    def partition_of_redis(self, key: Key) -> int:
        """The partition of a key as Redis Cluster clients route it: CRC16 slots, 16,384 of them, in equal runs."""
        return redis_slot(key) // self._slots_each()

    def redis_slots(self, partition: int) -> range:
        """The Redis slots of a partition: what `CLUSTER SLOTS` would list for its owners."""
        self.row(partition)
        each = self._slots_each()
        return range(partition * each, (partition + 1) * each)

    def owners(self, key: Key) -> Preference:
        """The owners of a key, the primary first."""
        return self.owners_of(self.partition_of(key))

    def owners_of(self, partition: int, n: int | None = None) -> Preference:
        """The owners of a partition; with `n` above the number of copies, fallbacks follow them.

        A fallback is the next node, going through the partitions behind this one, not in the list yet, in a zone not in
        the list yet where there is one: so the first `copies + 1` differ, and a hint has somewhere to go.
        """
        row = self.row(partition)
        wanted = len(row) if n is None else n
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= len(self.nodes):
            raise _usage(f"n must be an int from 1 to the number of nodes ({len(self.nodes)}), not {n!r}")
        chosen = [self.nodes[i] for i in row[:wanted]]
        if wanted > len(row):
            seen = set(row)
            spare: list[int] = []
            for step in range(1, len(self.rows)):
                for i in self.rows[(partition + step) % len(self.rows)]:
                    if i not in seen:
                        seen.add(i)
                        spare.append(i)
                if len(seen) == len(self.nodes):
                    break
            spare += [i for i in range(len(self.nodes)) if i not in seen]  # nodes that own nothing
            zones = {n.zone for n in chosen if n.zone is not None}  # a node without one is a zone of its own
            while len(chosen) < wanted:
                at = next((k for k, i in enumerate(spare) if self.nodes[i].zone not in zones), 0)
                chosen.append(self.nodes[spare.pop(at)])
                if chosen[-1].zone is not None:
                    zones.add(chosen[-1].zone)
        named = [n.zone for n in chosen if n.zone is not None]
        if len(set(named)) < len(named):
            return Preference(chosen, f"{len(chosen)} nodes of partition {partition} are in {len(set(named))} zones")
        return Preference(chosen)

    def row(self, partition: int) -> tuple[int, ...]:
        """One row; raises `UsageError` for a partition that does not exist."""
        if isinstance(partition, bool) or not isinstance(partition, int) or not 0 <= partition < len(self.rows):
            raise _usage(f"partition must be an int from 0 to {len(self.rows) - 1}, not {partition!r}")
        return self.rows[partition]

    def _slots_each(self) -> int:
        if len(self.rows) > REDIS_SLOTS:
            raise _usage(f"Redis has {REDIS_SLOTS} slots, which do not fill {len(self.rows)} partitions")
        return REDIS_SLOTS // len(self.rows)

    def counts(self) -> dict[str, int]:
        """How many copies each node holds."""
        held = [0] * len(self.nodes)
        for row in self.rows:
            for i in row:
                held[i] += 1
        return {n.name: c for n, c in zip(self.nodes, held, strict=True)}

    def primaries(self) -> dict[str, int]:
        """Of how many partitions each node is the first owner."""
        first = [0] * len(self.nodes)
        for row in self.rows:
            first[row[0]] += 1
        return {n.name: c for n, c in zip(self.nodes, first, strict=True)}

    def owned_by(self, name: str) -> tuple[int, ...]:
        """The partitions that a node holds a copy of."""
        for i, n in enumerate(self.nodes):
            if n.name == name:
                return tuple(p for p, row in enumerate(self.rows) if i in row)
        raise UsageError(f"there is no node {name!r}", reason=Reason.KEY_NOT_FOUND)

    def to_dict(self) -> dict[str, Any]:
        """Plain data to store or send (payloads stay behind): `from_dict` makes the same table of it."""
        return {
            "version": 1,
            "copies": self.copies,
            "nodes": [[n.name, n.weight, n.zone] for n in self.nodes],
            "rows": [list(r) for r in self.rows],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The table that `to_dict` wrote; raises `UsageError` for anything else."""
        try:
            if data["version"] != 1:
                raise _usage(f"a partition table of version {data['version']!r} cannot be read, only version 1")
            nodes = as_nodes(Node(name, weight, zone) for name, weight, zone in data["nodes"])
            rows = tuple(tuple(int(i) for i in row) for row in data["rows"])
            return cls(nodes, rows, data["copies"])
        except (KeyError, TypeError, ValueError) as e:
            raise _usage(f"this is not a partition table: {type(e).__name__} {e}") from e


def checked_shape(partitions: object, copies: object) -> None:
    """Raises `UsageError` unless Q is a power of two within bounds and N is in bounds."""
    if isinstance(partitions, bool) or not isinstance(partitions, int) or not 1 <= partitions <= MAX_PARTITIONS:
        raise _usage(f"partitions must be an int from 1 to {MAX_PARTITIONS}, not {partitions!r}")
    if partitions & (partitions - 1):
        raise _usage(f"partitions must be a power of two, not {partitions}")
    if isinstance(copies, bool) or not isinstance(copies, int) or not 1 <= copies <= MAX_COPIES:
        raise _usage(f"copies must be an int from 1 to {MAX_COPIES}, not {copies!r}")


def sorted_nodes(members: Iterable[NodeLike]) -> tuple[Node, ...]:
    """Checked members in the order of a table: by name."""
    return tuple(sorted(as_nodes(members), key=lambda n: n.name))


def _usage(message: str) -> UsageError:
    return UsageError(message, reason=Reason.INVALID_ARGUMENT)
