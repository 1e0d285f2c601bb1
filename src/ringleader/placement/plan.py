"""The next partition table with the fewest moves: keep what fits the targets, give away only what is too much.

Every copy that a node lacks of its bound has to travel once, and so does one into every free place: no plan has fewer
moves. Most are found directly (a free place, or a node that has too much, in a partition where the newcomer is allowed),
the rest by a cheapest exchange path; then what moved in vain is given back. Pure and deterministic: no order of the
members, no randomness, only names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ringleader.errors import Reason, UsageError
from ringleader.placement.assign import Assignment
from ringleader.placement.node import Node, NodeLike
from ringleader.placement.table import PartitionTable, checked_shape, sorted_nodes
from ringleader.placement.targets import Targets, targets

__all__ = ["PartitionMove", "Plan", "Violation", "plan", "violations"]


@dataclass(frozen=True, slots=True)
class PartitionMove:
    """`target` gets a copy of `partition`; `source` gives up its own then (None: a copy that is new or was lost)."""

    partition: int
    source: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the members make impossible, or that the planner did not reach.

    `kind`: "copies", "fallback", "zones" or "balance". `message`: one sentence. `partitions` and `nodes` concerned.
    """

    kind: str
    message: str
    partitions: tuple[int, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """`table`: the next one. `moves`: the copies that travel. `promotions`: partitions with a new primary but no move.

    `lower_bound`: the moves that the counts alone (each share rounded down or up) ask for; zones and distinct owners can
    ask for more.
    `violations`: empty when all is as it should be.
    """

    table: PartitionTable
    moves: tuple[PartitionMove, ...]
    promotions: tuple[int, ...]
    lower_bound: int
    violations: tuple[Violation, ...]


def plan(
    old: PartitionTable | None,
    members: Iterable[NodeLike],
    *,
    partitions: int | None = None,
    copies: int | None = None,
) -> Plan:
    """The table after `old` for these members (for the first table `old` is None).

    `partitions` (1,024 by default) stays what it is for the life of a table; `copies` (3 by default) may change.
    """
    if old is not None and partitions not in (None, old.partitions):
        raise UsageError(
            f"the table has {old.partitions} partitions; that number cannot change (to {partitions!r})",
            reason=Reason.INVALID_ARGUMENT,
        )
    q = old.partitions if old is not None else 1024 if partitions is None else partitions
    n = (old.copies if old is not None else 3) if copies is None else copies
    checked_shape(q, n)
    nodes = sorted_nodes(members)
    before = _carried(old, nodes, q)
    held = [0] * len(nodes)
    for row in before:
        for i in row:
            held[i] += 1
    goal = targets(nodes, q, n, held)
    work = Assignment(nodes, before, goal)
    lower_bound = work.least_moves()
    work.solve()
    table = PartitionTable(nodes, tuple(map(tuple, work.rows)), n)
    moves, promotions = _changes(old, table)
    return Plan(table, moves, promotions, lower_bound, violations(table, goal))


def _carried(old: PartitionTable | None, nodes: tuple[Node, ...], partitions: int) -> list[list[int]]:
    """The old rows in terms of the new members; those who left are left out."""
    if old is None:
        return [[] for _ in range(partitions)]
    number = {n.name: i for i, n in enumerate(nodes)}
    renumber = [number.get(n.name, -1) for n in old.nodes]
    return [[k for k in (renumber[i] for i in row) if k >= 0] for row in old.rows]


def _changes(old: PartitionTable | None, new: PartitionTable) -> tuple[tuple[PartitionMove, ...], tuple[int, ...]]:
    moves: list[PartitionMove] = []
    promotions: list[int] = []
    for p, row in enumerate(new.rows):
        after = [new.nodes[i].name for i in row]
        before = [old.nodes[i].name for i in old.rows[p]] if old is not None else []
        gone = [x for x in before if x not in after]
        for name in after:
            if name not in before:
                moves.append(PartitionMove(p, gone.pop(0) if gone else None, name))
        if before and after[0] != before[0] and after[0] in before:
            promotions.append(p)
    return tuple(moves), tuple(promotions)


def violations(table: PartitionTable, goal: Targets | None = None) -> tuple[Violation, ...]:
    """All that is not as it should be in a table."""
    held = list(table.counts().values())
    goal = targets(table.nodes, table.partitions, table.copies, held) if goal is None else goal
    out: list[Violation] = []
    count = len(table.nodes)
    if goal.copies < table.copies:
        text = f"{table.copies} copies need {table.copies} nodes, there are only {count}"
        out.append(Violation("copies", text, tuple(range(table.partitions))))
    short = tuple(p for p, row in enumerate(table.rows) if len(row) < goal.copies)
    if short:
        out.append(Violation("copies", f"{len(short)} partitions have fewer than {goal.copies} copies", short))
    if count <= table.copies:
        text = f"with {count} nodes and {table.copies} copies no node is left to fall back to"
        out.append(Violation("fallback", text, tuple(range(table.partitions))))
    crowded = tuple(p for p, row in enumerate(table.rows) if len({goal.zone_of[i] for i in row}) < len(row))
    if crowded:
        text = f"{len(crowded)} partitions have copies that share a zone: {goal.zones} zones for {goal.copies} copies"
        if goal.zone_limit == 1:
            text = f"{len(crowded)} partitions have copies that share a zone"
        out.append(Violation("zones", text, crowded))
    off = [i for i in range(count) if abs(held[i] - goal.ideal[i]) > 1 + 1e-6]
    if off:
        worst = max(off, key=lambda i: abs(held[i] - goal.ideal[i]))
        why = "zones hold a limited part of each partition" if goal.share != goal.ideal else "no exchange was found"
        text = (
            f"{len(off)} nodes are more than one partition off their weighted share ({why}); the furthest is"
            f" {table.nodes[worst].name!r} with {held[worst]} instead of {goal.ideal[worst]:.1f}"
        )
        out.append(Violation("balance", text, (), tuple(table.nodes[i].name for i in off)))
    return tuple(out)
