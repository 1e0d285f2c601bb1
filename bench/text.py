"""Text beside pycrdt and loro, in one run, each through its Python API.

Lines: typing the automerge-paper trace one call per edit, each a change of its own (pycrdt: a transaction per edit;
loro: a commit per edit); merging the two-author friendsforever trace in one go and change by change; saving and
loading; the trace repeated 25 times; memory per character, live and removed. Best of three unless said otherwise.
"""

from __future__ import annotations

import gc
import gzip
import json
import os
import platform
import tracemalloc
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from ringleader.clock.version import VersionVector
from ringleader.crdt import ReplicaContext
from ringleader.crdt.delta import Delta
from ringleader.crdt.text import Text
from ringleader.crdt.text.oplog import DELETE, INSERT, OpLog
from ringleader.crdt.text.part import Base, TextPart

DATA = Path(__file__).parents[1] / "tests" / "data"
RESULTS = Path(".bench/text.json")
Patch = tuple[int, int, str]


def _load(name: str) -> Any:
    with gzip.open(DATA / name) as file:
        return json.load(file)


def best(run: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The shortest time of `times` runs, in seconds, and what the last returned."""
    shortest, result = float("inf"), None
    for _ in range(times):
        result = None
        gc.collect()
        start = perf_counter()
        result = run()
        shortest = min(shortest, perf_counter() - start)
    return shortest, result


def _new_loro() -> Any:
    import loro

    make: Any = loro.LoroDoc
    return make()


# -- typing ---------------------------------------------------------------------------------------------------------


def type_ours(patches: list[Patch], repeat: int = 1) -> Text:
    """One call per edit; the same text typed `repeat` times, each before the other."""
    text = Text(ReplicaContext("bench"))
    for _ in range(repeat):
        for position, removed, inserted in patches:
            if removed:
                text.delete(position, removed)
            if inserted:
                text.insert(position, inserted)
    len(str(text))
    return text


def type_pycrdt(patches: list[Patch]) -> Any:
    """A transaction per edit."""
    import pycrdt

    doc: Any = pycrdt.Doc()
    text = doc.get("t", type=pycrdt.Text)
    for position, removed, inserted in patches:
        with doc.transaction():
            if removed:
                del text[position : position + removed]
            if inserted:
                text.insert(position, inserted)
    len(str(text))
    return doc


def type_loro(patches: list[Patch]) -> Any:
    """A commit per edit."""

    doc = _new_loro()
    text = doc.get_text("t")
    for position, removed, inserted in patches:
        if removed:
            text.delete(position, removed)
        if inserted:
            text.insert(position, inserted)
        doc.commit()
    len(text.to_string())
    return doc


def type_list(patches: list[Patch]) -> list[str]:
    """The floor: a plain list of characters, no replication."""
    chars: list[str] = []
    for position, removed, inserted in patches:
        chars[position : position + removed] = inserted
    "".join(chars)
    return chars


# -- merging --------------------------------------------------------------------------------------------------------


def deltas_of(history: dict[str, Any]) -> tuple[Delta, list[Delta]]:
    """A history as one delta of everything, and as one delta per change."""
    changes = history["txns"]
    ends = [change["span"] for change in changes]
    starts = [start for start, _ in ends]

    def dot(lv: int) -> tuple[bytes, int]:
        change = changes[bisect_right(starts, lv) - 1]
        return change["agent"].encode(), change["seqStart"] + 1 + lv - change["span"][0]

    version: dict[bytes, int] = {}
    everything = OpLog()
    chains = []
    singles = []
    for change in changes:
        (start, end), agent = change["span"], change["agent"].encode()
        log = OpLog()
        for position, removed, inserted in change["ops"]:
            for target in (log, everything):
                if removed:
                    target.push(DELETE, position, removed, "")
                if inserted:
                    target.push(INSERT, position, len(inserted), inserted)
        chain = (agent, change["seqStart"] + 1, end - start, tuple(sorted(dot(parent) for parent in change["parents"])))
        chains.append(chain)
        since = VersionVector(version)
        version[agent] = change["seqStart"] + end - start
        singles.append(Delta(Text.tag, since, VersionVector(version), TextPart([chain], log, Base(), None), 0))
    return Delta(
        Text.tag, VersionVector(), VersionVector(version), TextPart(chains, everything, Base(), None), 0
    ), singles


def merge_ours(deltas: list[Delta | bytes]) -> Text:
    """Apply the deltas one after the other to an empty text."""
    text = Text()
    for delta in deltas:
        text.apply(delta)
    len(str(text))
    return text


class _PycrdtPeer:
    def __init__(self, module: Any) -> None:
        self.doc = module.Doc()
        self.text = self.doc.get("t", type=module.Text)

    def edit(self, ops: list[Patch]) -> None:
        with self.doc.transaction():
            for position, removed, inserted in ops:
                if removed:
                    del self.text[position : position + removed]
                if inserted:
                    self.text.insert(position, inserted)

    def content(self) -> str:
        return str(self.text)

    def mark(self) -> Any:
        return self.doc.get_state()

    def news(self, since: Any) -> bytes:
        update: bytes = self.doc.get_update(since)
        return update

    def take(self, update: bytes) -> None:
        self.doc.apply_update(update)


class _LoroPeer:
    def __init__(self, module: Any) -> None:
        self.module = module
        self.doc = module.LoroDoc()
        self.text = self.doc.get_text("t")

    def edit(self, ops: list[Patch]) -> None:
        for position, removed, inserted in ops:
            if removed:
                self.text.delete(position, removed)
            if inserted:
                self.text.insert(position, inserted)
        self.doc.commit()

    def content(self) -> str:
        content: str = self.text.to_string()
        return content

    def mark(self) -> Any:
        return self.doc.oplog_vv

    def news(self, since: Any) -> bytes:
        update: bytes = self.doc.export(self.module.ExportMode.Updates(since))
        return update

    def take(self, update: bytes) -> None:
        self.doc.import_(update)


def _replay(history: dict[str, Any], make: Callable[[], Any]) -> list[bytes]:
    """The same concurrent history made with one document per author; the update of each change.

    Before a change, its author takes exactly the changes that it builds on.
    """
    changes = history["txns"]
    starts = [change["span"][0] for change in changes]
    peers = {agent: make() for agent in sorted({change["agent"] for change in changes})}
    known: dict[str, set[int]] = {agent: set() for agent in peers}
    updates: list[bytes] = []
    for row, change in enumerate(changes):
        me, seen = peers[change["agent"]], known[change["agent"]]
        needed: set[int] = set()
        waiting = list(change["parents"])
        while waiting:
            at = bisect_right(starts, waiting.pop()) - 1
            if at not in seen and at not in needed:
                needed.add(at)
                waiting += changes[at]["parents"]
        for at in sorted(needed):
            me.take(updates[at])
        before = me.mark()
        me.edit([tuple(op) for op in change["ops"]])
        updates.append(me.news(before))
        seen |= needed | {row}
    return updates


# -- the run --------------------------------------------------------------------------------------------------------


def measure() -> dict[str, Any]:
    """All lines, in seconds, bytes and ratios."""
    trace = _load("text-trace-automerge-paper.json.gz")
    patches: list[Patch] = [tuple(patch) for change in trace["txns"] for patch in change["patches"]]
    history = _load("text-trace-friendsforever.json.gz")
    out: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}"
    }

    out["type_ours_s"], text = best(lambda: type_ours(patches))
    out["type_list_s"], _ = best(lambda: type_list(patches), 1)
    out["type_pycrdt_s"], pycrdt_doc = best(lambda: type_pycrdt(patches), 1)
    out["type_loro_s"], loro_doc = best(lambda: type_loro(patches))
    assert str(text) == trace["endContent"]
    out["type_speedup_over_pycrdt"] = out["type_pycrdt_s"] / out["type_ours_s"]
    out["type_time_over_loro"] = out["type_ours_s"] / out["type_loro_s"]

    _saving(out, "paper", text, pycrdt_doc, loro_doc)
    out["repeat_25_s"], _ = best(lambda: type_ours(patches, 25), 1)
    out["repeat_25_ratio"] = out["repeat_25_s"] / out["type_ours_s"]
    del pycrdt_doc, loro_doc, text

    whole, singles = deltas_of(history)
    data = whole.encode()
    out["merge_ours_s"], merged = best(lambda: merge_ours([data]))
    assert str(merged) == history["endContent"]
    out["merge_ours_by_change_s"], again = best(lambda: merge_ours(list(singles)))
    assert str(again) == history["endContent"]
    out["save_friends_ours_bytes"] = len(merged.encode())
    saved = merged.encode()
    out["load_friends_ours_s"], _ = best(lambda: str(Text.decode(saved)), 5)
    _peers_merge(out, history, merged)
    _memory(out, patches)
    return out


def _saving(out: dict[str, Any], name: str, text: Text, pycrdt_doc: Any, loro_doc: Any) -> None:
    import loro
    import pycrdt

    out[f"encode_{name}_ours_s"], ours = best(text.encode)
    theirs = pycrdt_doc.get_update()
    snapshot = loro_doc.export(loro.ExportMode.Snapshot())
    out[f"save_{name}_ours_bytes"], out[f"save_{name}_pycrdt_bytes"] = len(ours), len(theirs)
    out[f"save_{name}_loro_bytes"] = len(snapshot)
    out[f"save_{name}_ratio_to_smaller"] = len(ours) / min(len(theirs), len(snapshot))
    out[f"load_{name}_ours_s"], _ = best(lambda: str(Text.decode(ours)), 5)

    def load_pycrdt() -> str:
        doc: Any = pycrdt.Doc()
        doc.apply_update(theirs)
        return str(doc.get("t", type=pycrdt.Text))

    def load_loro() -> str:
        doc = _new_loro()
        doc.import_(snapshot)
        content: str = doc.get_text("t").to_string()
        return content

    out[f"load_{name}_pycrdt_s"], _ = best(load_pycrdt, 5)
    out[f"load_{name}_loro_s"], _ = best(load_loro, 5)


def _peers_merge(out: dict[str, Any], history: dict[str, Any], merged: Text) -> None:
    import loro
    import pycrdt

    peers: list[tuple[str, Callable[[], Any]]] = [
        ("pycrdt", lambda: _PycrdtPeer(pycrdt)),
        ("loro", lambda: _LoroPeer(loro)),
    ]
    for name, make in peers:
        updates = _replay(history, make)

        def take_all(updates: list[bytes] = updates, make: Callable[[], Any] = make) -> Any:
            peer = make()
            for update in updates:
                peer.take(update)
            return peer

        out[f"merge_{name}_by_change_s"], peer = best(take_all, 1)
        assert len(peer.content()) == len(merged)  # ties go by random client ids there: the order may differ
        whole = peer.news(make().mark())

        def take_one(whole: bytes = whole, make: Callable[[], Any] = make) -> Any:
            fresh = make()
            fresh.take(whole)
            return fresh

        out[f"merge_{name}_s"], _ = best(take_one)


def _memory(out: dict[str, Any], patches: list[Patch]) -> None:
    """Bytes of Python memory per character that is there, and more per character that was removed."""
    inserts = sum(len(patch[2]) for patch in patches)
    removed = sum(patch[1] for patch in patches)
    gc.collect()
    tracemalloc.start()
    text = type_ours(patches)
    used = tracemalloc.get_traced_memory()[0]
    text.keep_history = False
    text.stabilize(text.version)
    gc.collect()
    plain = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    live = inserts - removed
    out["memory_with_history_bytes"], out["memory_history_dropped_bytes"] = used, plain
    out["memory_per_live_char"] = used / live
    out["memory_per_live_char_history_dropped"] = plain / live
    # What removed characters cost: the history's share that is theirs (each was inserted and removed).
    out["memory_per_removed_char"] = (used - plain) * (2 * removed / (inserts + removed)) / removed


def main() -> None:
    """Measure, print a table, and write `.bench/text.json`."""
    figures = measure()
    print(f"Text, {figures['machine']}")
    for name, value in figures.items():
        if isinstance(value, float):
            shown = f"{value * 1000:10.1f} ms" if name.endswith("_s") else f"{value:10.2f}"
        else:
            shown = f"{value:>10}" if not isinstance(value, str) else value
        print(f"  {name:40} {shown}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
