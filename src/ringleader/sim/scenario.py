"""Scenario files: what to do to a few members of a consensus group, and what must happen, in one text that people can read.

A line `# ...` is prose (the first one is the title), `> command` does something, and the lines below it, indented by two
spaces, are what happened. `perform` runs the commands and returns the text with the true trace in the place of the old
one; a test compares the two. The commands:

    protocol NAME                raft (unless said otherwise) or paxos; comes first
    nodes N [option=value ...]   begin; options: leader=N (elected before the curtain rises) check_quorum=no
                                 window=MESSAGES chunk=BYTES voters=COUNT (in the beginning the first so many vote)
                                 bug=NAME (the code with a known bug in it); Raft: pre_vote=no;
                                 Paxos: canvass=no phase2=COUNT (so many must accept a value)
    tick MS | run MS             time passes; with `run` all messages arrive and mere heartbeats are not told
    timeout N                    the election timer of N runs out
    deliver [A>B] [COUNT]        messages arrive; A or B may be `*`; without link: all, and all that comes of them
    drop [A>B] [COUNT]           messages are lost
    repeat A>B                   the last message that arrived on a link arrives once more
    propose N VALUE ...          a client asks N to append commands
    read N TOKEN                 a client asks N for a linearizable read
    lease N TOKEN                the same, if the lease of N allows it
    members N 1 2 .. + 4 ..      N is asked to make these the voters (and, behind the +, the learners)
    transfer N M                 N is asked to hand leadership to M
    pause N | resume N           the process of N stands still: no time, no messages; it goes on
    slow N | sync N | fast N     the disk of N keeps everything waiting; gets it done once; is quick again
    crash N | restart N          unsynced records and memory are lost; N comes back with what its disk has
    compact N                    N takes a snapshot and forgets the entries before
    partition 1 2 / 3            the network parts
    cut A>B A-B .. | mend ..     single links are cut, one way or both ways, or carry messages again
    heal                         the network is whole again
    status                       where everybody stands

A scenario that begins with `synod ...` plays Paxos for one value; its commands stand in `synod_play`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType

from ringleader.sim import stage_moves
from ringleader.sim.cast import cast_for
from ringleader.sim.picture import draw
from ringleader.sim.stage import Stage
from ringleader.sim.synod_play import SynodPlay

__all__ = ["Bugs", "Performance", "perform"]


class Performance:
    """A scenario that was run: its `title`, the whole `text` with the true trace, the `trace` alone, its `picture` (SVG)."""

    def __init__(self, title: str, text: str, trace: str, picture: str) -> None:
        self.title = title
        self.text = text
        self.trace = trace
        self.picture = picture


Bugs = Mapping[str, Callable[[ExitStack], None]]


def perform(text: str, bugs: Bugs = MappingProxyType({})) -> Performance:
    """Run a scenario; `bugs`: what `bug=NAME` plants for the time of the run.

    Raises `ValueError` naming the line of a command that makes no sense.
    """
    with ExitStack() as stack:
        return _perform(text, bugs, stack)


def _perform(text: str, bugs: Bugs, stack: ExitStack) -> Performance:
    stage: Stage | SynodPlay | None = None
    title, protocol, whole, trace = "", "raft", [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("  "):
            continue  # what happened the last time
        whole.append(line)
        if line.startswith("#"):
            title = title or line.removeprefix("#").strip()
            continue
        if not line.strip():
            continue
        try:
            if not line.startswith("> "):
                raise ValueError("neither prose, command nor trace")
            words = line[2:].split()
            if stage is None and words[0] == "protocol":
                protocol = words[1]
                cast_for(protocol, {})
            elif stage is None and words[0] == "synod":
                stage = SynodPlay(words[1:])
            elif stage is None:
                stage = _begin(protocol, words, bugs, stack)
            elif isinstance(stage, SynodPlay):
                stage.command(words)
            else:
                _command(stage, words)
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"line {number}, {line!r}: {error}") from error
        told = []
        if stage is not None:
            told, stage.lines = [f"  {item}".rstrip() for item in stage.lines], []
        whole += told
        trace += [line, *told]
    if stage is None:
        raise ValueError("a scenario begins with `> nodes N`")
    stage.diagram.title = title
    return Performance(title, "\n".join(whole) + "\n", "\n".join(trace) + "\n", draw(stage.diagram))


def _begin(protocol: str, words: list[str], bugs: Bugs, stack: ExitStack) -> Stage:
    if words[0] != "nodes":
        raise ValueError("the first command must be `nodes`")
    options = dict(word.split("=", 1) for word in words[2:])
    cast = cast_for(protocol, options)
    leader = options.pop("leader", "")
    voters = int(options.pop("voters", "0"))
    bug = options.pop("bug", "")
    if bug:
        bugs[bug](stack)
    if options:
        raise ValueError(f"no such option: {', '.join(options)}")
    stage = Stage(int(words[1]), cast, voters)
    if leader:
        stage.elect(_node(stage, leader))
    return stage


def _command(stage: Stage, words: list[str]) -> None:
    name, rest = words[0], words[1:]
    match name:
        case "tick" | "run":
            getattr(stage, name)(int(rest[0]))
        case "timeout" | "sync" | "crash" | "restart" | "compact":
            getattr(stage, name)(_node(stage, rest[0]))
        case "slow" | "fast":
            actor = stage.actors[_node(stage, rest[0])]
            if name == "fast":
                stage.sync(actor.id)
            actor.slow = name == "slow"
        case "deliver" | "drop":
            link = rest.pop(0) if rest and ">" in rest[0] else "*>*"
            sender, receiver = (None if end == "*" else _node(stage, end) for end in link.split(">"))
            getattr(stage, name)(sender, receiver, int(rest[0]) if rest else None)
        case "repeat":
            ends = rest[0].split(">")
            stage.repeat(_node(stage, ends[0]), _node(stage, ends[1]))
        case "propose":
            stage.propose(_node(stage, rest[0]), rest[1:])
        case "read":
            stage.read(_node(stage, rest[0]), int(rest[1]))
        case "lease":
            stage_moves.lease_read(stage, _node(stage, rest[0]), int(rest[1]))
        case "members":
            voters, _, learners = " ".join(rest[1:]).partition("+")
            sets = [tuple(_node(stage, word) for word in part.split()) for part in (voters, learners)]
            stage_moves.change_members(stage, _node(stage, rest[0]), *sets)
        case "transfer":
            stage_moves.transfer(stage, _node(stage, rest[0]), _node(stage, rest[1]))
        case "pause" | "resume":
            getattr(stage_moves, name)(stage, _node(stage, rest[0]))
        case "partition":
            groups = " ".join(rest).split("/")
            stage.partition([[_node(stage, word) for word in group.split()] for group in groups])
        case "cut" | "mend":
            getattr(stage, f"{name}_links")([link for word in rest for link in _links(stage, word)])
        case "heal" | "status":
            getattr(stage, name)()
        case _:
            raise ValueError(f"no such command: {name}")


def _node(stage: Stage, word: str) -> int:
    id = int(word)
    if id not in stage.actors:
        raise ValueError(f"there is no node {id}")
    return id


def _links(stage: Stage, word: str) -> list[tuple[int, int]]:
    """`1>2`: from 1 to 2; `1-2`: both ways."""
    if ">" in word:
        sender, receiver = word.split(">")
        return [(_node(stage, sender), _node(stage, receiver))]
    one, other = (_node(stage, end) for end in word.split("-"))
    return [(one, other), (other, one)]
