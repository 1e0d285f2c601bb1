"""A back-up file on disk: check it, say what it holds, and make the data folder of a node of a *new* cluster from it.

Every node of the new cluster is made from the same file with the same members and the same secret; so all start with the
same state and know the same cluster id, which no earlier cluster had. A folder appears whole or not at all. The file is read in
pieces, twice to restore it: what is kept in memory is its recent history, not all it holds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ringleader.consensus.shape import Config, SnapshotMeta
from ringleader.errors import Reason, RingleaderError, UsageError
from ringleader.group.host import GROUP
from ringleader.log import Identity, LogCorruptError, LogOptions, SnapshotDecoder, create, snapshot_name
from ringleader.log.snapshots import SNAPSHOT_VERSION, SnapshotEncoder, publish_ops
from ringleader.node.config import NodeConfig
from ringleader.node.identity import IDENTITY_FILE, UNFINISHED, claim_folder, mark_started
from ringleader.ports import Create, SyncFolder, Write
from ringleader.runtime.disk import FolderDisk
from ringleader.runtime.lock import LOCK_FILE, FolderLock
from ringleader.store.limits import Limits
from ringleader.store.rebirth import FIRST_INDEX, REVISION_STEP, reborn
from ringleader.store.survey import Survey
from ringleader.store.version import SUPPORTED_VERSION, check_supported

__all__ = ["SnapshotStatus", "read_backup", "restore_backup"]

_READ = 1 << 20
_WORTHLESS = {"lost+found", LOCK_FILE}
"""What may be in a folder that counts as empty: a new file system, or one in which a node was started in vain."""
_USELESS = "The file cannot be used: take another back-up"
_encode = msgspec.msgpack.Encoder().encode
_meta = msgspec.msgpack.Decoder(SnapshotMeta)


class SnapshotStatus(msgspec.Struct):
    """What a back-up holds: the state after entry `index` of `term`, at `revision`. `digest` stands for its content."""

    file: str
    size: int
    digest: str
    format_version: int
    index: int
    term: int
    revision: int
    compact_revision: int
    keys: int
    used_bytes: int
    leases: int


def read_backup(file: Path) -> SnapshotStatus:
    """Read and check the whole file. Raises `LogCorruptError`, `WrongIdentityError` (version) or `UsageError`."""
    return _survey(file, Survey())


def _survey(file: Path, survey: Survey) -> SnapshotStatus:
    """Feed it the whole file."""
    decoder = SnapshotDecoder(str(file))
    with _explained(file, decoder):
        for frame in _frames(file, decoder):
            survey.feed(frame)
        survey.finish()
    header = decoder.header
    assert header is not None
    try:
        meta = _meta.decode(header.meta)
    except ValueError as error:
        raise _corrupt(f"the snapshot's description is not understood: {error}", file, 0) from error
    head = survey.head
    return SnapshotStatus(
        file=str(file),
        size=decoder.good,
        digest=f"{decoder.check:08x}",
        format_version=SNAPSHOT_VERSION,
        index=meta.index,
        term=meta.term,
        revision=head.revision,
        compact_revision=head.compact_revision,
        keys=survey.keys,
        used_bytes=survey.used_bytes,
        leases=survey.leases,
    )


@contextlib.contextmanager
def _explained(file: Path, decoder: SnapshotDecoder) -> Iterator[None]:
    """What is wrong with a back-up, in words for the one who holds the file."""
    try:
        yield
    except ValueError as error:
        raise _corrupt(str(error), file, decoder.good) from error
    except LogCorruptError as error:
        error.hint = _USELESS  # the remedy it names is one for a node's own files
        raise
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", reason=Reason.INVALID_ARGUMENT) from None


def _frames(file: Path, decoder: SnapshotDecoder) -> Iterator[bytes]:
    with open(file, "rb") as source:
        while data := source.read(_READ):
            try:
                yield from decoder.feed(data)
            except struct.error as error:
                raise _corrupt(f"the snapshot makes no sense: {error}", file, decoder.good) from error
    decoder.close()


def _corrupt(message: str, file: Path, offset: int) -> LogCorruptError:
    return LogCorruptError(message, file=str(file), offset=offset, hint=_USELESS)


def restore_backup(file: Path, config: NodeConfig) -> tuple[SnapshotStatus, str, int]:
    """Make the data folder of `config`; returns what the back-up held, the new cluster's id and its first revision.

    Raises `UsageError` when there is something at that place already, and as `read_backup` does; then nothing is left.
    """
    folder = Path(config.data_dir)
    survey = Survey(keep=True)
    with _place(folder) as unfinished:
        status = _survey(file, survey)
        check_supported(survey.head.version, SUPPORTED_VERSION)
        names = {number: name for name, number in config.members.items()}
        content = reborn(survey, _again(file), names, Limits())
        disk = FolderDisk(unfinished)
        try:
            cluster = _write(disk, content, config, f"{status.digest}-{status.size}-{status.index}")
        finally:
            disk.close()
    return status, cluster, status.revision + REVISION_STEP


@contextlib.contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder`, or its content, when the block ends well; otherwise nothing is left of it.

    One that is there already, and empty, is kept: it may be a mount point, or where somebody stands. Raises `UsageError` when
    it is not empty or in use, `RingleaderError` when it cannot be written to.
    """
    unfinished: Path | None = None
    lock: FolderLock | None = None
    moved: list[Path] = []
    there = folder.exists()
    try:
        if there:
            _check_empty(folder)
            lock = FolderLock(folder)  # no node starts there meanwhile, and no other back-up comes there
            _check_empty(folder)
            _clear_unfinished(folder)
            unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".restoring", dir=folder.parent))
        yield unfinished
        if there:
            _move_in(unfinished, folder, moved)
        else:
            _check_empty(folder, gone=True)  # another one may have been faster; if it is only now, the rename fails
            unfinished.rename(folder)
            FolderDisk(folder.parent).execute([SyncFolder()])
    except BaseException as error:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
        for path in moved:
            with contextlib.suppress(OSError):
                path.unlink()
        if not isinstance(error, OSError):
            raise
        raise RingleaderError(
            f"cannot write {folder}: {error.strerror}", reason=Reason.DISK_FAILED, hint="Check space and permissions"
        ) from error
    finally:
        if lock is not None:
            lock.release()


def _check_empty(folder: Path, *, gone: bool = False) -> None:
    """Raise `UsageError` unless `folder` is one that holds nothing of worth; `gone`: or is not there."""
    if gone and not folder.exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - _WORTHLESS - _unfinished(folder):
        raise UsageError(
            f"data_dir {folder} is not empty: a back-up makes a new node, it does not change one",
            reason=Reason.DATA_IN_USE,
            hint="Give another --data-dir, or move that one away",
        )


def _unfinished(folder: Path) -> set[str]:
    """What a restore left here that was killed; no node has been started from it (`identity.check_restored`)."""
    begun = {path.name for path in folder.glob(f"{UNFINISHED}*")}
    if not begun or (folder / IDENTITY_FILE).exists():
        return set()
    return begun | {path.name for pattern in ("log-*", "snap-*") for path in folder.glob(pattern)}


def _clear_unfinished(folder: Path) -> None:
    for name in _unfinished(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _move_in(unfinished: Path, folder: Path, moved: list[Path]) -> None:
    """The identity comes last: until then no node starts from what is there. `moved` tells what is."""
    disk = FolderDisk(folder)
    for name in sorted(os.listdir(unfinished), key=lambda name: name == IDENTITY_FILE):
        if name == IDENTITY_FILE:
            disk.execute([SyncFolder()])
        (unfinished / name).rename(folder / name)
        moved.append(folder / name)
    unfinished.rmdir()
    disk.execute([SyncFolder()])


def _again(file: Path) -> Iterator[bytes]:
    """The pieces of a back-up that was surveyed already."""
    decoder = SnapshotDecoder(str(file))
    with _explained(file, decoder):
        yield from _frames(file, decoder)


def _write(disk: FolderDisk, content: Iterator[bytes], config: NodeConfig, origin: str) -> str:
    """Identity, an empty log and the snapshot, all durable; returns the cluster's id."""
    identity = claim_folder(disk, config, secrets.token_hex(8), origin=origin)
    create(Identity(identity.cluster, identity.node, identity.incarnation), LogOptions(), disk)
    meta = SnapshotMeta(FIRST_INDEX, 1, Config(tuple(sorted(config.members.values()))))
    encoder = SnapshotEncoder(GROUP, FIRST_INDEX, _encode(meta))
    name = snapshot_name(GROUP, FIRST_INDEX) + ".tmp"
    offset = 0
    disk.execute([Create(name)])
    for data in _file(encoder, content):
        disk.execute([Write(name, offset, data)])
        offset += len(data)
    disk.execute(publish_ops(name, GROUP, FIRST_INDEX))
    mark_started(disk, identity)
    return identity.cluster


def _file(encoder: SnapshotEncoder, content: Iterator[bytes]) -> Iterator[bytes]:
    yield encoder.start()
    for piece in content:
        if piece:
            yield encoder.frame(piece)
    yield encoder.end()
