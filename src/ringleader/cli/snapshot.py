"""`ringleader snapshot`: take a back-up of a running cluster, check one, make a new cluster from one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from ringleader.cli.common import Endpoints, Json, as_json, fail, run, say, usage
from ringleader.cli.settings import show_size
from ringleader.errors import Reason, RingleaderError

if TYPE_CHECKING:
    from ringleader.client import Client
    from ringleader.node.restore import SnapshotStatus

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

ATTEMPTS = 5
"""How often a back-up is begun anew when the node that makes it is lost."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The back-up.")]


@app.command()
def save(
    file: File,
    endpoints: Endpoints = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, max=1e6, help="Seconds for each part.")] = 30.0,
    json_: Json = False,
) -> None:
    """Save everything a cluster holds, as of one moment, while it goes on. The file holds all data: keep it safe."""
    from ringleader.client.backup import BackupLostError, snapshot_parts
    from ringleader.log import SnapshotDecoder

    decoder = SnapshotDecoder(str(file))

    async def fetch(client: Client, target: BinaryIO) -> None:
        nonlocal decoder
        for attempt in range(ATTEMPTS):
            decoder = SnapshotDecoder(str(file))
            target.seek(0)
            target.truncate()
            try:
                async for part in snapshot_parts(client, timeout):
                    decoder.feed(part)
                    target.write(part)
            except BackupLostError:
                # The client goes elsewhere when a node does, or is too slow.
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                break
        decoder.close()

    unfinished: Path | None = None
    try:
        _check_place(file)
        # A name of its own, and readable for its owner only: two who save to one place at once do not write into one file.
        descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=file.parent)
        unfinished = Path(name)
        with open(descriptor, "wb") as target:
            # One node makes all of it: the first that answers, rather than the leader, which has enough to do.
            run(endpoints, json_, timeout, lambda client: fetch(client, target), prefer_leader=False)
            target.flush()
            os.fsync(target.fileno())
        os.replace(unfinished, file)
        unfinished = None
        _sync_folder(file.parent)
    except OSError as error:
        fail(_cannot_write(file, error), json_)
    finally:
        if unfinished is not None:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
    assert decoder.header is not None
    index, digest = decoder.header.index, f"{decoder.check:08x}"
    if json_:
        as_json({"file": str(file), "size": decoder.good, "digest": digest, "index": index})
    else:
        say(f"saved {file}: {show_size(decoder.good)}, as of entry {index}, digest {digest}")


def _check_place(file: Path) -> None:
    """Raise `UsageError` where a back-up would take the place of something else than a file: a folder, `/dev/null`."""
    if not file.name or file.is_dir():
        raise usage(f"{str(file)!r} is a folder: give the name of a file in it")
    if file.exists() and not file.is_file():
        raise usage(f"{str(file)!r} is no ordinary file, and a back-up would take its place")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(file: Path, error: OSError) -> RingleaderError:
    return RingleaderError(
        f"cannot write {file}: {error.strerror or error}", reason=Reason.DISK_FAILED, hint="Check space and permissions"
    )


@app.command()
def status(file: File, json_: Json = False) -> None:
    """Read and check a whole back-up, and show what it holds."""
    from ringleader.node.restore import read_backup

    try:
        found = read_backup(file)
    except RingleaderError as error:
        fail(error, json_)
    if json_:
        as_json(_fields(found))
        return
    say(f"{found.file}: whole, {show_size(found.size)}, digest {found.digest}, format {found.format_version}")
    say(f"entry {found.index} of term {found.term}, revision {found.revision} (compacted at {found.compact_revision})")
    say(f"{found.keys} keys, {found.leases} leases, {show_size(found.used_bytes)} with history")


def _fields(status: SnapshotStatus) -> dict[str, Any]:
    return {name: getattr(status, name) for name in status.__struct_fields__}


@app.command()
def restore(
    file: File,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="The data folder to make; empty or not there yet.")],
    name: Annotated[str | None, typer.Option("--name", help="This node's name.")] = None,
    peers: Annotated[
        str | None, typer.Option(metavar="NAME=HOST:PORT,...", help="All nodes of the new cluster, this included.")
    ] = None,
    cluster_token: Annotated[str | None, typer.Option(help="The secret that its nodes prove to each other.")] = None,
    consensus: Annotated[str | None, typer.Option(help="What the new cluster runs: raft or paxos.")] = None,
    phase2_quorum: Annotated[int | None, typer.Option("--phase2-quorum", help="As for ringleader start.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file, as for ringleader start.")] = None,
    json_: Json = False,
) -> None:
    """Make a node of a NEW cluster from a back-up; run it for every node, with the same file, members and token.

    Then start them as usual. Revisions go on far above the old ones, leases start anew, clients open new sessions.
    """
    from ringleader.node import load_config
    from ringleader.node.restore import restore_backup

    flags = {
        "data_dir": str(data_dir),
        "name": name,
        "peers": peers,
        "cluster_token": cluster_token,
        "consensus": consensus,
        "phase2_quorum": phase2_quorum,
    }
    try:
        held, cluster, revision = restore_backup(file, load_config(flags, file=config, listens=False))
    except RingleaderError as error:
        fail(error, json_)
    if json_:
        as_json({"data_dir": str(data_dir), "cluster": cluster, "revision": revision, "keys": held.keys})
    else:
        say(f"made {data_dir}: cluster {cluster}, {held.keys} keys, revision {revision} (it was {held.revision})")
