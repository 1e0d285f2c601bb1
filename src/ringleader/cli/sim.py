"""`ringleader sim`: run seeds of the simulator, and replay one in words or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate whole clusters under faults: every run is fixed by its seed and checked at every step.",
)


@app.command()
def run(
    seeds: Annotated[int, typer.Option("--seeds", "-n", min=1, help="How many seeds to run.")] = 100,
    start: Annotated[int, typer.Option("--start", help="The first seed.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes to use.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures and the sum only.")] = False,
) -> None:
    """Run seeds; exit code 1 when one fails."""
    from ringleader.sim.run import Summary, run_seeds

    summary = Summary()
    for report in run_seeds(start, seeds, jobs):
        summary.add(report)
        if report.failure is not None or not quiet:
            print(report.line(), flush=True)
        if report.failure is not None:
            print(f"  replay it with: ringleader sim replay {report.seed}", flush=True)
    for line in summary.lines():
        print(line)
    if summary.failures:
        raise typer.Exit(1)


@app.command()
def replay(
    seed: Annotated[int, typer.Argument(help="The seed.")],
    svg: Annotated[Path | None, typer.Option("--svg", help="Draw a space-time diagram into this file.")] = None,
    since: Annotated[float, typer.Option("--from", help="Show events from this simulated second on.")] = 0.0,
    until: Annotated[float, typer.Option("--to", help="Show events up to this simulated second.")] = float("inf"),
    check: Annotated[bool, typer.Option("--check", help="Run it twice and compare the runs event by event.")] = False,
) -> None:
    """Run one seed and tell everything that happens, one event a line; exit code 1 when it fails."""
    from ringleader.sim.options import draw
    from ringleader.sim.run import replay as replay_seed
    from ringleader.sim.run import self_check

    if check:
        difference = self_check(seed)
        print(difference or f"seed {seed}: both runs are the same, event by event")
        raise typer.Exit(1 if difference else 0)
    for line in draw(seed).lines():
        print(line)
    report, trace = replay_seed(seed)
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
