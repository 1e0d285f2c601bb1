"""One sample of everything that travels or is kept, as bytes: what later releases must still be able to read.

`python -m tools.golden` writes the samples of the present release to `tests/golden/`, one file per format and version;
`--check` says what is missing there. A sample holds a recognisable value in every field, made from the types themselves,
so nothing is forgotten. A release that changes a format in a way that the tests refuse raises that format's version, and
thereby adds a file instead of changing one.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from ringleader.consensus.protocols import CoreMessage
from ringleader.consensus.shape import Config, Entry, SnapshotMeta
from ringleader.group import roster
from ringleader.log.format import FORMAT_VERSION, Payload, SegmentHeader
from ringleader.node.identity import FolderIdentity
from ringleader.store import snapshot
from ringleader.store.codec import BATCH_VERSION
from ringleader.store.commands import Batch, Command, KeyValue, LeaseGrant, Put, Read, Result, SessionOpen
from ringleader.store.commands import Envelope as Commands
from ringleader.store.store import Store
from ringleader.wire import frames, peer
from ringleader.wire.relay import RelayMessage
from ringleader.wire.transfer import TransferMessage

FOLDER = Path(__file__).parent.parent / "tests" / "golden"

KINDS: dict[str, tuple[int, tuple[Any, ...]]] = {
    "client": (frames.PROTOCOL_VERSION, (*get_args(frames.ClientFrame), *get_args(frames.ServerFrame))),
    "commands": (BATCH_VERSION, (*get_args(Command), *get_args(Read), *get_args(Result), Batch)),
    "peer": (
        peer.PEER_VERSION,
        (*get_args(peer.Handshake), *get_args(CoreMessage), *get_args(RelayMessage), *get_args(TransferMessage)),
    ),
    "log": (FORMAT_VERSION, (Payload, SegmentHeader, Entry, Config, SnapshotMeta)),
    "state": (snapshot.FORMAT_VERSION, (snapshot.Head, snapshot.LeaseRow, snapshot.SessionRow, KeyValue)),
}
"""By name of the format: its version, and the types that make it up (msgpack)."""


def sample(kind: Any, depth: int = 0) -> Any:
    """A value of that type with something in every field; unions hold their first struct."""
    info = kind if isinstance(kind, inspect.Type) else inspect.type_info(kind)
    simple: dict[type, Callable[[], Any]] = {
        inspect.IntType: lambda: 7,
        inspect.FloatType: lambda: 1.5,
        inspect.StrType: lambda: "text",
        inspect.BytesType: lambda: b"\x00bytes\xff",
        inspect.BoolType: lambda: True,
        inspect.NoneType: lambda: None,
        inspect.RawType: lambda: msgspec.Raw(msgspec.msgpack.encode([])),
        inspect.AnyType: lambda: None,
    }
    if type(info) in simple:
        return simple[type(info)]()
    match info:
        case inspect.EnumType(cls=cls):
            return next(iter(cls))
        case inspect.ListType(item_type=item):
            return [] if depth > 3 else [sample(item, depth + 1)]
        case inspect.VarTupleType(item_type=item):
            return () if depth > 3 else (sample(item, depth + 1),)
        case inspect.TupleType(item_types=items):
            return tuple(sample(item, depth + 1) for item in items)
        case inspect.DictType(key_type=key, value_type=value):
            return {sample(key): sample(value, depth + 1)}
        case inspect.UnionType(types=types):
            return sample(next(one for one in types if not isinstance(one, inspect.NoneType)), depth + 1)
        case inspect.StructType(cls=cls, fields=fields):
            return cls(**{field.name: sample(field.type, depth + 1) for field in fields})
    raise TypeError(f"no sample for {info}")


def state_bytes() -> bytes:
    """A small whole state as a snapshot."""
    store = Store()
    writes: list[Command] = [SessionOpen(), LeaseGrant(9000, 5), Put(b"a", b"1"), Put(b"b", b"2", 5), Put(b"a", b"3")]
    for index, command in enumerate(writes, 1):
        store.apply(index, Batch(1, index, [Commands(1, 0, 0, [(0, command)])]))
    return store.snapshot()


def identity_bytes() -> bytes:
    """The file that says whose a folder is."""
    made = FolderIdentity(cluster="c", node=1, name="n1", incarnation="i", members=["n1", "n2"], started=True)
    return msgspec.json.encode(made)


def roster_bytes() -> bytes:
    """The file with the members as a node last knew them."""
    ops = roster.roster_ops(sample(roster.Roster))
    return bytes(next(op.data for op in ops if hasattr(op, "data")))


def lines(kind: str) -> dict[str, str]:
    """The samples of a format by name, base64."""
    made = {one.__name__: msgspec.msgpack.encode(sample(one)) for one in KINDS[kind][1]}
    if kind == "state":
        made["whole state"] = state_bytes()
    return {name: base64.b64encode(data).decode() for name, data in sorted(made.items())}


def files() -> Iterator[tuple[Path, dict[str, str]]]:
    """All files and what belongs into them."""
    for kind, (version, _) in KINDS.items():
        yield FOLDER / f"{kind}-v{version}.txt", lines(kind)
    folder = {"identity.json": identity_bytes(), "members.json": roster_bytes()}
    yield FOLDER / "folder-v1.txt", {name: base64.b64encode(data).decode() for name, data in folder.items()}


def read(path: Path) -> dict[str, bytes]:
    """What a file holds by name."""
    found = (line.rsplit(" ", 1) for line in path.read_text().splitlines())
    return {name: base64.b64decode(data) for name, data in found}


def main() -> int:
    """Write the files, or with `--check` say what they lack."""
    FOLDER.mkdir(exist_ok=True)
    missing = 0
    for path, made in files():
        if "--check" in sys.argv:
            have = read(path) if path.exists() else {}
            for name in sorted(set(made) - set(have)):
                print(f"{path.name} lacks {name}")
                missing += 1
        else:
            path.write_text("".join(f"{name} {data}\n" for name, data in made.items()))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
