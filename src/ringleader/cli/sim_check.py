"""`ringleader sim check`: search small worlds of production cores exhaustively, and replay or draw what was found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.sim_files import check_writable
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.sim.check import Counterexample, Progress, Result, Scope, Story

__all__ = ["check"]


def check(
    protocol: Annotated[str, typer.Option("--protocol", help="raft or paxos; both otherwise.")] = "",
    config: Annotated[str, typer.Option("--config", help="Only the configuration of this name; see --list.")] = "",
    bounds: Annotated[str, typer.Option("--bounds", help="Other bounds, as term=3,crashes=yes; needs --config.")] = "",
    show: Annotated[bool, typer.Option("--list", help="List the configurations and their bounds.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out configurations that take minutes.")] = False,
    states: Annotated[int, typer.Option("--states", min=1, help="Most states of one search.")] = 20_000_000,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Most CPU seconds of one search.")] = 3600.0,
    memory: Annotated[
        int, typer.Option("--memory", min=1, help="Most MiB of memory that the process may come to hold.")
    ] = 8192,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Save a counterexample here.")] = None,
    replay: Annotated[Path | None, typer.Option("--replay", help="Replay a saved counterexample.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Draw the counterexample into this file.")] = None,
) -> None:
    """Try everything that can happen to a few members within bounds. Exit code 1 when an invariant breaks."""
    from ringleader.sim.check import Limits, find

    for path in (out, svg):
        if path is not None:
            check_writable(path)
    if replay is not None:
        _replay(replay, svg)
        return
    scopes = [scope for scope in find(protocol, config) if scope.quick or not quick]
    if not scopes:
        text = f"--quick leaves nothing to check: {config} takes minutes"
        raise UsageError(text, reason=Reason.INVALID_ARGUMENT, hint="Leave out --quick, or end it early with --seconds")
    if bounds:
        scopes = [_bounded(scope, bounds, config) for scope in scopes]
    if show:
        for scope in scopes:
            print("\n".join(_described(scope)))
        return
    limits = Limits(states, seconds, memory << 20)
    results = []
    for scope in scopes:
        print("\n".join(_described(scope)), flush=True)
        result = scope.check(limits, _tell)
        results.append(result)
        print(f"  {result.line()}", flush=True)
        if result.violation:
            _found(scope, result, out, svg)
            raise typer.Exit(1)
    _sum(results)


def _described(scope: Scope) -> list[str]:
    named = f"{scope.protocol} {scope.name}: {scope.says}"
    options = "".join(f", {name} {value}" for name, value in scope.options.items())
    opening = f", after {len(scope.opening)} given events" if scope.opening else ""
    return [named, f"  {scope.members} members, {scope.bounds.words()}{options}{opening}"]


def _bounded(scope: Scope, bounds: str, config: str) -> Scope:
    from msgspec.structs import replace

    from ringleader.sim.check import parse_bounds

    if not config:
        raise UsageError("--bounds needs --config: bounds belong to one configuration", reason=Reason.INVALID_ARGUMENT)
    return replace(scope, bounds=parse_bounds(bounds, scope.bounds))


def _tell(progress: Progress) -> None:
    print(
        f"  depth {progress.depth}: {progress.states:,} states, {progress.transitions:,} transitions, "
        f"{progress.waiting:,} at the next depth, {progress.seconds:.0f} s, {progress.memory >> 20:,} MiB",
        file=sys.stderr,
        flush=True,
    )


def _sum(results: list[Result]) -> None:
    cut = sum(bool(result.cut) for result in results)
    total, spent = sum(result.transitions for result in results), sum(result.seconds for result in results)
    ending = f"{cut} of {len(results)} cut off: not all was seen" if cut else "all complete, no invariant broke"
    print(f"{ending}; {total:,} transitions in {spent:.1f} s")


def _found(scope: Scope, result: Result, out: Path | None, svg: Path | None) -> None:
    from ringleader.sim.check import Counterexample, text_of

    found = Counterexample(scope, result.violation, result.lines)
    text = text_of(found)
    print(text, end="")
    if out is not None:
        out.write_text(text, encoding="utf-8")
        print(f"replay it with: ringleader sim check --replay {out}")
    if svg is not None:
        _draw(found.replay(), found, svg)


def _replay(path: Path, svg: Path | None) -> None:
    from ringleader.sim.check import load, text_of

    try:
        found = load(path)
        text, story = text_of(found), found.replay()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no counterexample: it is no text", reason=Reason.INVALID_ARGUMENT) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", reason=Reason.INVALID_ARGUMENT) from None
    except ValueError as error:
        raise UsageError(str(error), reason=Reason.INVALID_ARGUMENT) from None
    print(text, end="")
    if svg is not None:
        _draw(story, found, svg)
    if story.problem:
        print(f"it still breaks: {story.problem}")
        raise typer.Exit(1)
    print("no invariant breaks any more")


def _draw(story: Story, found: Counterexample, svg: Path) -> None:
    svg.write_text(story.picture(f"{found.scope.protocol} {found.scope.name}: {found.violation}"), encoding="utf-8")
    print(f"drew {svg}", file=sys.stderr)
