"""`ringleader debug`: what the files of a node hold, for people who look for what went wrong. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringleader.cli.common import Json, as_json, say, text_of, usage

if TYPE_CHECKING:
    from ringleader.group.inspect import GroupReport
    from ringleader.log.inspect import LogReport

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _group() -> None:
    """Keeps `log` a command of its own while it is the only one."""


@app.command()
def log(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data folder of a node that does not run.")],
    batches: Annotated[bool, typer.Option("--batches", help="Also every batch.")] = False,
    json_: Json = False,
) -> None:
    """Show what a data folder holds: segments, batches, entries, snapshots, damage. Exit code 1 when there is damage.

    On the folder of a running node the last batches may look torn: they are being written.
    """
    from ringleader.group.inspect import inspect_groups
    from ringleader.log.inspect import inspect_log
    from ringleader.runtime.disk import FolderDisk
    from ringleader.runtime.lock import holder_of

    if not folder.is_dir():
        raise usage(f"there is no folder {folder}")
    holder = holder_of(folder)
    try:
        report = inspect_log(FolderDisk(folder))
    except OSError as error:
        raise usage(f"the folder {folder} cannot be listed: {error.strerror}") from None
    groups = inspect_groups(report, _protocol(folder))
    identity = _identity(folder)
    if json_:
        as_json(_described(report, groups, identity, holder, batches))
    else:
        _print(report, groups, identity, holder, batches)
    if report.damage:
        raise typer.Exit(1)


def _protocol(folder: Path) -> str:
    """The protocol that the identity file names, if it can be read; else the default one."""
    from ringleader.consensus.protocols import DEFAULT, PROTOCOLS
    from ringleader.log.errors import LogCorruptError
    from ringleader.node.identity import has_identity, read_identity
    from ringleader.runtime.disk import FolderDisk

    disk = FolderDisk(folder)
    try:
        named = read_identity(disk).consensus.protocol if has_identity(disk) else DEFAULT
    except (LogCorruptError, OSError):  # it is shown as it is; this command is for looking at what is damaged
        return DEFAULT
    return named if named in PROTOCOLS else DEFAULT


def _identity(folder: Path) -> str:
    try:
        return " ".join(text_of((folder / "identity.json").read_bytes()[:4096]).split())
    except OSError:
        return ""


def _described(
    report: LogReport, groups: list[GroupReport], identity: str, holder: str, batches: bool
) -> dict[str, Any]:
    import msgspec

    body: dict[str, Any] = msgspec.to_builtins(report)
    del body["records"]
    for segment, source in zip(body["segments"], report.segments, strict=True):
        segment["header"] = _fields(source.header)
        if not batches:
            segment["batches"] = len(source.batches)
    for snapshot, found in zip(body["snapshots"], report.snapshots, strict=True):
        header = found.header
        snapshot["header"] = None if header is None else {"group": header.group, "index": header.index}
    return body | {"identity": identity, "running": holder, "groups": msgspec.to_builtins(groups)}


def _fields(struct: Any) -> dict[str, Any] | None:
    return None if struct is None else {name: getattr(struct, name) for name in struct.__struct_fields__}


def _print(report: LogReport, groups: list[GroupReport], identity: str, holder: str, batches: bool) -> None:
    if holder:
        say(f"process {holder} has this folder open: the last batches may be in the middle of being written")
    say(f"identity: {identity or 'none'}")
    for segment in report.segments:
        header = segment.header
        whose = "unreadable" if header is None else f"cluster {header.cluster} node {header.node} from {header.base}"
        last = segment.batches[-1].position if segment.batches else "none"
        torn = (
            f", {segment.torn} bytes of an unfinished write behind it (cut at the next start)" if segment.torn else ""
        )
        say(
            f"{segment.file}: {whose}, {len(segment.batches)} batches to {last}, "
            f"{segment.used} of {segment.size} bytes{torn}"
        )
        for batch in segment.batches if batches else ():
            say(
                f"  at {batch.offset}: batch {batch.position}, {batch.size} bytes, {batch.records} records, "
                f"known durable {batch.durable}"
            )
    say(f"last batch {report.position}, said to be durable up to {report.durable}")
    for snapshot in report.snapshots:
        state = f"whole, digest {snapshot.digest}" if snapshot.whole else "NOT WHOLE"
        say(f"{snapshot.file}: {snapshot.size} bytes, {snapshot.frames} frames, {state}")
    for group in groups:
        _print_group(group)
    for name in report.leftovers:
        say(f"{name}: unfinished, tidied up at the next start")
    for damage in report.damage:
        say(f"DAMAGE in {damage.file} at offset {damage.offset}: {damage.what}")
        say(f"  {damage.remedy}")
    if not report.segments:
        say("there is no log here")
    elif not report.damage:
        say("no damage found")


def _print_group(group: GroupReport) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in group.records.items()) or "none"
    entries = ", ".join(f"{count} {kind}" for kind, count in group.entries.items()) or "none"
    say(f"group {group.group} ({group.protocol}): term {group.term}, {group.promise or 'no promise'}; records: {kinds}")
    say(f"  snapshot at entry {group.snapshot_index} (term {group.snapshot_term}), voters {group.voters or 'unknown'}")
    say(f"  entries {group.first_index} to {group.last_index}: {entries}")
