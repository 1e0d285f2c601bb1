"""`ringleader ring ...`: look at placements: who owns what, what moves, which algorithm suits; and at groups of workers.

Everything but `workers` needs no cluster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from ringleader.cli.common import Endpoints, Json, Timeout

if TYPE_CHECKING:
    from ringleader.client import Client, ShardGroup
    from ringleader.placement import Node, Placement

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

ALGORITHMS = {
    "ring": "Ring",
    "ketama": "KetamaRing",
    "rendezvous": "Rendezvous",
    "jump": "JumpHash",
    "maglev": "Maglev",
    "multiprobe": "MultiProbe",
    "memento": "Memento",
}
MAX_SHOWN = 40

Nodes = Annotated[
    list[str], typer.Argument(metavar="NODE", help="Nodes: NAME, NAME=WEIGHT, NAME@ZONE or NAME=WEIGHT@ZONE.")
]
Algorithm = Annotated[str, typer.Option("--algorithm", "-a", help="One of: " + ", ".join(ALGORITHMS) + ".")]
Add = Annotated[list[str] | None, typer.Option("--add", help="A node that joins (may be repeated).")]
Remove = Annotated[list[str] | None, typer.Option("--remove", help="The name of a node that leaves (repeatable).")]
Vnodes = Annotated[int | None, typer.Option("--vnodes", help="Points per unit of weight (ring, ketama, multiprobe).")]

P = ParamSpec("P")


def _one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Errors of ours, and files that cannot be written, become one line on stderr and exit status 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from ringleader.errors import RingleaderError

        try:
            command(*args, **kwargs)
        except RingleaderError as error:
            text = str(error)
        except OSError as error:
            text = f"cannot write {error.filename}: {error.strerror}" if error.filename else str(error)
        else:
            return
        typer.echo(f"ringleader: {text}", err=True)
        raise typer.Exit(2)

    return run


def _node(text: str) -> Node:
    """NAME[=WEIGHT][@ZONE]. The last `@` and the last `=` count, so names may contain both when the rest is given."""
    from ringleader.errors import Reason, UsageError
    from ringleader.placement import Node

    rest, at, zone = text.rpartition("@")
    name, eq, weight = (rest if at else text).rpartition("=")
    if not eq:
        name, weight = weight, "1"
    if at and not zone:
        raise UsageError(f"node {text!r}: no zone after the @", reason=Reason.INVALID_ARGUMENT)
    try:
        value = float(weight)
    except ValueError:
        raise UsageError(f"node {text!r}: {weight!r} is not a weight", reason=Reason.INVALID_ARGUMENT) from None
    return Node(name, value, zone if at else None)


def _placement(algorithm: str, nodes: list[str], vnodes: int | None = None) -> Placement:
    from ringleader import placement
    from ringleader.errors import Reason, UsageError

    if algorithm not in ALGORITHMS:
        raise UsageError(
            f"there is no algorithm {algorithm!r}",
            reason=Reason.INVALID_ARGUMENT,
            hint="One of: " + ", ".join(ALGORITHMS),
        )
    if vnodes is not None and algorithm not in ("ring", "ketama", "multiprobe"):
        raise UsageError(f"{algorithm} has no vnodes", reason=Reason.INVALID_ARGUMENT)
    options = {} if vnodes is None else {"vnodes": vnodes}
    made: Placement = getattr(placement, ALGORITHMS[algorithm])([_node(n) for n in nodes], **options)
    return made


def _changed(before: Placement, add: list[str] | None, remove: list[str] | None) -> Placement:
    after = before.remove(*remove) if remove else before
    return after.add(*(_node(n) for n in add)) if add else after


def _bar(value: float, top: float, width: int = 30) -> str:
    return "█" * round(value / top * width) if top else ""


@app.command()
@_one_line
def show(
    nodes: Nodes,
    algorithm: Algorithm = "ring",
    vnodes: Vnodes = None,
    key: Annotated[list[str] | None, typer.Option("--key", "-k", help="Show who owns this key (repeatable).")] = None,
    owners: Annotated[int, typer.Option("--owners", "-n", help="How many owners to show for a key.")] = 1,
) -> None:
    """Each node's share of the keys, and who owns the keys you name."""
    from rich.console import Console
    from rich.table import Table

    from ringleader.placement.draw import ideal_of, samples_for, shares_of

    placement = _placement(algorithm, nodes, vnodes)
    found = {k: placement.owners(k, owners) for k in key or []}
    shares, ideal = shares_of(placement), ideal_of(placement)
    table = Table(box=None, pad_edge=False)
    for title in ("node", "zone", "weight", "share", "of ideal", ""):
        table.add_column(title, justify="left" if title in ("node", "zone", "") else "right", no_wrap=True)
    top = max(shares.values())
    for n in placement.nodes[:MAX_SHOWN]:
        s = shares[n.name]
        table.add_row(n.name, n.zone or "-", f"{n.weight:g}", f"{s:.2%}", f"{s / ideal[n.name]:.3f}", _bar(s, top))
    console = Console(markup=False, highlight=False)
    console.print(table)
    if len(placement) > MAX_SHOWN:
        console.print(f"... and {len(placement) - MAX_SHOWN} more nodes")
    sampled = f" (estimated from {samples_for(placement):,} hashes)" if samples_for(placement) else ""
    console.print(f"peak to ideal: {max(s / ideal[n] for n, s in shares.items()):.3f}{sampled}")
    for k, nodes_of_key in found.items():
        note = f"  ({nodes_of_key.shortfall})" if nodes_of_key.shortfall else ""
        console.print(f"{k}: {', '.join(n.name for n in nodes_of_key)}{note}", soft_wrap=True)


@app.command()
@_one_line
def plan(
    nodes: Nodes,
    algorithm: Algorithm = "ring",
    vnodes: Vnodes = None,
    add: Add = None,
    remove: Remove = None,
    partitions: Annotated[
        int | None, typer.Option("--partitions", "-q", help="Plan a partition table of this size (a power of two).")
    ] = None,
    copies: Annotated[int, typer.Option("--copies", help="Owners of each partition, with --partitions.")] = 3,
) -> None:
    """What moves when nodes join or leave: of all keys, or (with --partitions) of a partition table."""
    if partitions is not None:
        _plan_table(nodes, add, remove, partitions, copies)
        return
    before = _placement(algorithm, nodes, vnodes)
    moves = before.diff(_changed(before, add, remove))
    kind = "exactly" if moves.exact else "about"
    typer.echo(f"{kind} {moves.share:.2%} of all keys move")
    for m in sorted(moves.moves, key=lambda m: -m.share)[:MAX_SHOWN]:
        ranges = f" in {len(m.ranges)} ranges" if m.ranges else ""
        typer.echo(f"  {m.source} -> {m.target}: {m.share:.3%}{ranges}")
    if len(moves.moves) > MAX_SHOWN:
        typer.echo(f"  ... and {len(moves.moves) - MAX_SHOWN} more pairs")


def _plan_table(
    nodes: list[str], add: list[str] | None, remove: list[str] | None, partitions: int, copies: int
) -> None:
    from ringleader.errors import Reason, UsageError
    from ringleader.placement import plan as plan_table

    members = [_node(n) for n in nodes]
    first = plan_table(None, members, partitions=partitions, copies=copies)
    for name in remove or []:
        if name not in {m.name for m in members}:
            raise UsageError(f"there is no node {name!r}", reason=Reason.KEY_NOT_FOUND)
    after = [m for m in members if m.name not in (remove or [])] + [_node(n) for n in add or []]
    made = plan_table(first.table, after) if add or remove else first
    typer.echo(f"{len(made.moves)} of {partitions * copies} copies move, {len(made.promotions)} primaries change")
    counts, primaries = made.table.counts(), made.table.primaries()
    for node in made.table.nodes[:MAX_SHOWN]:
        typer.echo(f"  {node.name}: {counts[node.name]} copies, {primaries[node.name]} as primary")
    if len(after) > MAX_SHOWN:
        typer.echo(f"  ... and {len(after) - MAX_SHOWN} more nodes")
    for v in made.violations:
        typer.echo(f"violation ({v.kind}): {v.message}")


@app.command()
@_one_line
def compare(nodes: Nodes) -> None:
    """The algorithms side by side for these nodes: balance, what one more node moves, memory."""
    from rich.console import Console
    from rich.table import Table

    from ringleader.errors import UsageError
    from ringleader.placement.draw import ideal_of, shares_of

    table = Table(box=None, pad_edge=False)
    for title in ("algorithm", "peak to ideal", "moved by one more", "of ideal", "table bytes", ""):
        table.add_column(title, justify="left" if title in ("algorithm", "") else "right", no_wrap=True)
    for name in ALGORITHMS:
        try:
            p = _placement(name, nodes)
        except UsageError:
            if not any(_node(n).weight != 1.0 for n in nodes):
                raise
            table.add_row(name, "-", "-", "-", "-", "has no weights")
            continue
        ideal = ideal_of(p)
        peak = max(s / ideal[n] for n, s in shares_of(p).items())
        moved = p.diff(p.add(_fresh_name(p))).share
        wanted = 1 / (sum(n.weight for n in p.nodes) + 1)
        size = p.nbytes() if hasattr(p, "nbytes") else 0
        table.add_row(name, f"{peak:.3f}", f"{moved:.2%}", f"{moved / wanted:.2f}", f"{size:,}", "")
    Console(markup=False, highlight=False).print(table)


def _fresh_name(placement: Placement) -> str:
    name = "one-more"
    while name in placement:
        name += "+"
    return name


@app.command()
@_one_line
def plot(
    nodes: Nodes,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, ending in .svg or .png.")],
    algorithm: Algorithm = "ring",
    vnodes: Vnodes = None,
    add: Add = None,
    remove: Remove = None,
    side_by_side: Annotated[bool, typer.Option("--compare", help="All algorithms side by side instead.")] = False,
) -> None:
    """Draw the ring, its load, and what moves when nodes join or leave."""
    from ringleader.cli.picture import check_kind, write_picture
    from ringleader.placement import draw

    check_kind(out)
    if side_by_side:
        weighted = any(_node(n).weight != 1.0 for n in nodes)
        usable = [a for a in ALGORITHMS if not (weighted and a in ("jump", "memento"))]
        picture = draw.compare_svg([(a, _placement(a, nodes)) for a in usable])
    else:
        before = _placement(algorithm, nodes, vnodes)
        picture = draw.ring_svg(before, _changed(before, add, remove) if add or remove else None)
    write_picture(picture, out)
    typer.echo(f"wrote {out}")


@app.command()
def workers(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group's name, as given to `db.shards(...)`.")],
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """The workers of a group on the cluster, and which shards each owns; exit code 1 when there is no such group."""
    import msgspec

    from ringleader.cli.common import as_json, checked_name
    from ringleader.cli.common import run as run_client

    async def act(client: Client) -> ShardGroup:
        return await client.shards(checked_name(group, "the name of a group")).look()

    seen = run_client(endpoints, json_, timeout, act)
    if json_:
        as_json(msgspec.to_builtins(seen) if seen.count else {"group": None})
    elif seen.count:
        _print_workers(seen)
    else:
        typer.echo(f"ringleader: there is no group of shards {group!r}", err=True)
    if not seen.count:
        raise typer.Exit(1)


def _print_workers(seen: ShardGroup) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("worker", "id", "weight", "owns", "of", "shards"):
        table.add_column(title, justify="right" if title in ("weight", "owns", "of") else "left", no_wrap=True)
    for w in seen.workers:
        table.add_row(w.name, w.id, f"{w.weight:g}", str(len(w.shards)), str(len(w.assigned)), _ranges(w.shards))
    console = Console(markup=False, highlight=False)
    if seen.workers:
        console.print(table)
    owned = seen.count - len(seen.unowned)
    console.print(
        f"epoch {seen.epoch}: {owned} of {seen.count} shards owned by {len(seen.workers)} workers", soft_wrap=True
    )
    if seen.unowned:
        console.print(f"without an owner: {_ranges(seen.unowned)}", soft_wrap=True)
    if seen.moving:
        console.print(f"about to move, when their owner releases them: {_ranges(seen.moving)}", soft_wrap=True)


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers, with runs as FIRST-LAST."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "-"
