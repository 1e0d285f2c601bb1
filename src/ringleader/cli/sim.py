"""`ringleader sim`: run seeds of the simulator, and replay one in words or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.sim_check import check as check_cores
from ringleader.cli.sim_files import check_writable
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.sim.options import Options

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command("check")(check_cores)

ProtocolOption = Annotated[str, typer.Option("--protocol", help="What the simulated clusters run: raft or paxos.")]


@app.command()
def run(
    seed: Annotated[int | None, typer.Argument(metavar="SEED", help="Run this one seed alone.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="How many seeds to run.")] = 100,
    start: Annotated[int, typer.Option("--start", help="The first seed.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes to use.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures and the sum only.")] = False,
    options: Annotated[bool, typer.Option("--options", help="Print what each seed has drawn before it runs.")] = False,
    protocol: ProtocolOption = "raft",
) -> None:
    """Run seeds; exit code 1 when one fails. What a failing seed had drawn is printed."""
    from ringleader.sim.options import draw
    from ringleader.sim.run import Summary, run_seeds

    also = _checked(protocol)
    if seed is not None:
        start, seeds = seed, 1
    summary = Summary()
    for report in run_seeds(start, seeds, jobs, protocol):
        summary.add(report)
        if options or report.failure is not None:
            print("\n".join(f"  {line}" for line in draw(report.seed, protocol=protocol).lines()))
        if report.failure is not None or not quiet:
            print(report.line(), flush=True)
        if report.failure is not None:
            print(f"  replay it with: ringleader sim replay {report.seed}{also}", flush=True)
            print(f"  make it smaller with: ringleader sim shrink {report.seed}{also}", flush=True)
    for line in summary.lines():
        print(line)
    if summary.failures:
        raise typer.Exit(1)


@app.command()
def shrink(
    seed: Annotated[int, typer.Argument(metavar="SEED", help="A seed that fails.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The replay file; seed-N.json otherwise.")] = None,
    tries: Annotated[int, typer.Option("--tries", min=1, help="How many runs it may take.")] = 300,
    protocol: ProtocolOption = "raft",
) -> None:
    """Make a failing seed small: fewer faults, nodes, calls and seconds, the same invariant broken. Saves a replay file."""
    from ringleader.sim.options import draw
    from ringleader.sim.shrink import save_replay
    from ringleader.sim.shrink import shrink as shrink_run

    _checked(protocol)
    path = out or Path(f"seed-{seed}.json")
    check_writable(path)
    found = shrink_run(draw(seed, protocol=protocol), tries, lambda text: print(f"  {text}", flush=True))
    if found is None:
        print(f"seed {seed} does not fail")
        raise typer.Exit(1)
    before, after = found
    save_replay(path, after.report, after.options)
    print(f"from {before.line()}\nto   {after.line()}\n{after.report.line()}")
    print(f"replay it with: ringleader sim replay {path}")


@app.command()
def replay(
    what: Annotated[str, typer.Argument(metavar="SEED|FILE", help="A seed, or a file that shrink has saved.")],
    svg: Annotated[Path | None, typer.Option("--svg", help="Draw a space-time diagram into this file.")] = None,
    since: Annotated[float, typer.Option("--from", help="Show events from this simulated second on.")] = 0.0,
    until: Annotated[float, typer.Option("--to", help="Show events up to this simulated second.")] = float("inf"),
    check: Annotated[bool, typer.Option("--check", help="Run it twice and compare the runs event by event.")] = False,
    protocol: ProtocolOption = "raft",
) -> None:
    """Run one seed or file and tell everything that happens, one event a line; exit code 1 when it fails."""
    from ringleader.sim.run import replay as replay_seed
    from ringleader.sim.run import self_check

    if svg is not None:
        check_writable(svg)
    options = _options_of(what, protocol)
    if check:
        difference = self_check(options.seed, options)
        print(difference or f"seed {options.seed}: both runs are the same, event by event")
        raise typer.Exit(1 if difference else 0)
    for line in options.lines():
        print(line)
    report, trace = replay_seed(options.seed, options)
    for event in trace:
        if since <= event.time <= until:
            print(event.line())
    print(report.line())
    if svg is not None:
        from ringleader.sim.picture import space_time

        if until == float("inf"):  # a picture of everything could not be read: show how it ended
            until = report.failure.time if report.failure is not None else report.simulated
            since = max(since, until - 2.0)
        svg.write_text(space_time(trace.between(since, until)), encoding="utf-8")
        print(f"drew seconds {since:.3f} to {until:.3f} into {svg}", file=sys.stderr)
    if report.failure is not None:
        raise typer.Exit(1)


def _checked(protocol: str) -> str:
    """What has to be added to a command for this protocol. Raises `UsageError` when there is none of that name."""
    from ringleader.consensus.protocols import DEFAULT, PROTOCOLS

    if protocol not in PROTOCOLS:
        text = f"{protocol!r} is no consensus protocol: choose {' or '.join(PROTOCOLS)}"
        raise UsageError(text, reason=Reason.INVALID_ARGUMENT)
    return "" if protocol == DEFAULT else f" --protocol {protocol}"


def _options_of(what: str, protocol: str) -> Options:
    """Of a seed as it draws them for `protocol`, or as a replay file has them. Raises `UsageError`."""
    from ringleader.sim.options import draw
    from ringleader.sim.shrink import load_replay

    if what.isascii() and what.isdigit() and len(what) < 19:
        _checked(protocol)
        return draw(int(what), protocol=protocol)
    try:
        return load_replay(Path(what)).options
    except OSError as error:
        text = f"{what} is neither a seed nor a file that can be read: {error.strerror}"
        raise UsageError(text, reason=Reason.INVALID_ARGUMENT) from None
    except ValueError as error:
        raise UsageError(str(error), reason=Reason.INVALID_ARGUMENT) from None
