"""Draw the pictures of concurrent histories in docs/crdt.md and docs/learn/4-crdts.md by running the code in them.

`python -m tools.crdt_pictures` makes them again; `--check` fails when a document is out of date (a test does so).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringleader.crdt import (
    BoundedCounter,
    Crdt,
    DWFlag,
    EWFlag,
    GCounter,
    GSet,
    HyperLogLog,
    JsonDocument,
    List,
    LWWMap,
    LWWRegister,
    MVRegister,
    ORMap,
    ORSet,
    PNCounter,
    ReplicaContext,
    RWSet,
    SortedSet,
    Text,
    TwoPhaseSet,
)

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("docs/crdt.md", "docs/learn/4-crdts.md")
SYNC = "sync"
Step = str | dict[str, str]

PICTURES: dict[str, tuple[Callable[[ReplicaContext], Crdt], list[Step]]] = {
    "GCounter": (GCounter, [{"a": "x += 2", "b": "x += 3"}, SYNC]),
    "PNCounter": (PNCounter, [{"a": "x += 5"}, SYNC, {"a": "x.reset()", "b": "x += 2"}, SYNC]),
    "BoundedCounter": (
        BoundedCounter,
        [{"a": "x += 3"}, {"a": "x.transfer('b', 1)"}, SYNC, {"a": "x -= 2", "b": "x -= 1"}, SYNC],
    ),
    "LWWRegister": (LWWRegister, [{"a": "x.set('one')", "b": "x.set('two')"}, SYNC]),
    "MVRegister": (MVRegister, [{"a": "x.set('one')", "b": "x.set('two')"}, SYNC]),
    "EWFlag": (EWFlag, [{"a": "x.enable()"}, SYNC, {"a": "x.disable()", "b": "x.enable()"}, SYNC]),
    "DWFlag": (DWFlag, [{"a": "x.enable()"}, SYNC, {"a": "x.disable()", "b": "x.enable()"}, SYNC]),
    "GSet": (GSet, [{"a": "x.add('p')", "b": "x.add('q')"}, SYNC]),
    "TwoPhaseSet": (TwoPhaseSet, [{"a": "x.add('p')", "b": "x.add('p')"}, {"a": "x.remove('p')"}, SYNC]),
    "ORSet": (ORSet, [{"a": "x.add('p')"}, SYNC, {"a": "x.remove('p')", "b": "x.add('p')"}, SYNC]),
    "RWSet": (RWSet, [{"a": "x.add('p')"}, SYNC, {"a": "x.remove('p')", "b": "x.add('p')"}, SYNC]),
    "LWWMap": (LWWMap, [{"a": "x['k'] = 1"}, SYNC, {"a": "del x['k']", "b": "x['k'] = 2"}, SYNC]),
    "ORMap": (
        lambda r: ORMap(r, PNCounter),
        [{"a": "x['p'] += 5"}, SYNC, {"a": "del x['p']", "b": "x['p'] += 2"}, SYNC],
    ),
    "SortedSet": (
        SortedSet,
        [{"a": "x['p'] = 4.5"}, SYNC, {"a": "x.remove('p')", "b": "x.increment('p', 2)"}, SYNC],
    ),
    "HyperLogLog": (HyperLogLog, [{"a": "x.add('p')"}, SYNC, {"a": "x.clear()", "b": "x.add('q')"}, SYNC]),
    "Text": (
        Text,
        [{"a": "x.insert(0, 'Buy: ')"}, SYNC, {"a": "x.insert(5, 'milk')", "b": "x.insert(5, 'eggs')"}, SYNC],
    ),
    "List": (
        List,
        [{"a": "x.extend(['tea', 'milk'])"}, SYNC, {"a": "x.move(0, 1)", "b": "x[0] = 'green tea'"}, SYNC],
    ),
    "JsonDocument": (
        JsonDocument,
        [{"a": "x['todo'] = [{'do': 'milk'}]", "b": "x['todo'] = [{'do': 'eggs'}]"}, SYNC],
    ),
    "lost update": (
        LWWRegister,
        [{"a": "x.set(10)"}, SYNC, {"a": "x.set(x.value + 1)", "b": "x.set(x.value + 5)"}, SYNC],
    ),
    "counted": (PNCounter, [{"a": "x += 10"}, SYNC, {"a": "x += 1", "b": "x += 5"}, SYNC]),
    "three": (ORSet, [{"a": "x.add('p')"}, SYNC, {"a": "x.remove('p')", "b": "x.add('p')", "c": "x.add('q')"}, SYNC]),
}


def picture(name: str) -> str:
    """One history: a line per replica, time from left to right, `<>` where all exchange what they have."""
    make, steps = PICTURES[name]
    names = sorted({who for step in steps if isinstance(step, dict) for who in step} | {"a", "b"})
    replicas: dict[str, Any] = {who: make(ReplicaContext(who)) for who in names}
    lines = {who: f"{who} --" for who in names}
    for step in steps:
        if isinstance(step, str):
            _sync(list(replicas.values()))
            lines = {who: line + "<>--" for who, line in lines.items()}
            continue
        for who, code in step.items():
            scope = {"x": replicas[who]}
            exec(code, scope)
        width = max(map(len, step.values())) + 4
        for who in names:
            lines[who] += (f"[ {step[who]} ]" if who in step else "").ljust(width, "-") + "--"
    shown = {who: _show(replicas[who].value) for who in names}
    return "\n".join(f"{lines[who]}> {shown[who]}" for who in names)


def _sync(replicas: list[Any]) -> None:
    for _ in range(2):
        for one in replicas:
            for other in replicas:
                one.merge(other)


def _show(value: Any) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(map(repr, sorted(value))) + "}"
    return repr(value)


def redrawn(text: str) -> str:
    """A document with each block after `<!-- picture: NAME -->` drawn again. Raises `KeyError` for an unknown name."""

    def draw(found: re.Match[str]) -> str:
        return f"{found[1]}\n```text\n{picture(found[2])}\n```"

    return re.sub(r"(<!-- picture: ([^>]+?) -->)\n```text\n.*?\n?```", draw, text, flags=re.DOTALL)


def main(arguments: list[str]) -> int:
    """Returns 1 when `--check` finds a document out of date."""
    for name in DOCUMENTS:
        path = ROOT / name
        old = path.read_text()
        new = redrawn(old)
        if "--check" in arguments and new != old:
            print(f"{name} is out of date: run python -m tools.crdt_pictures")
            return 1
        path.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
