"""The members as this node last knew them, kept in a small file: whom to dial and whom to refuse right after a restart.

A node that starts has applied nothing yet beyond its snapshot: it learns what is committed only from a leader. But it needs
the others' addresses to find one, and must even before that refuse a member that lost its data. So the table of members is
written to `members.json`, durably, whenever it changes; it holds only what was committed.
"""

from __future__ import annotations

import google_crc32c
import msgspec

from ringleader.errors import Reason
from ringleader.log import LogCorruptError
from ringleader.ports import Create, Disk, DiskOp, Rename, Sync, SyncFolder, Unlink, Write
from ringleader.store.member_ops import MemberRow

__all__ = ["ROSTER_FILE", "Peer", "Roster", "admit", "read_roster", "roster_ops"]

ROSTER_FILE = "members.json"
ROSTER_VERSION = 1

_encode = msgspec.json.Encoder().encode


class Roster(msgspec.Struct):
    """The rows as of log entry `index`, and the next id to be given."""

    index: int
    next_id: int
    rows: list[MemberRow]


class Peer(msgspec.Struct, frozen=True):
    """A node to keep a link to; `address` of its peer port and `name` are "" while they are not known."""

    id: int
    name: str
    address: str


class _File(msgspec.Struct):
    version: int
    crc32c: int
    roster: Roster


def roster_ops(roster: Roster) -> list[DiskOp]:
    """Operations that replace the file durably."""
    body = _encode(roster)
    data = msgspec.json.format(_encode(_File(ROSTER_VERSION, google_crc32c.value(body), roster)), indent=1) + b"\n"
    temporary = ROSTER_FILE + ".tmp"
    return [
        Unlink(temporary),
        Create(temporary),
        Write(temporary, 0, data),
        Sync(temporary),
        Rename(temporary, ROSTER_FILE),
        SyncFolder(),
    ]


def read_roster(disk: Disk) -> Roster | None:
    """What the file says, None without one. Raises `LogCorruptError` when it is damaged or of a later release."""
    if ROSTER_FILE not in disk.names():
        return None
    try:
        found = msgspec.json.decode(disk.read(ROSTER_FILE), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogCorruptError(f"the list of members is damaged: {error}", file=ROSTER_FILE, offset=0) from None
    if found.version != ROSTER_VERSION:
        text = f"the list of members has format version {found.version}; this release reads version {ROSTER_VERSION}"
        raise LogCorruptError(text, file=ROSTER_FILE, offset=0)
    if google_crc32c.value(_encode(found.roster)) != found.crc32c:
        raise LogCorruptError("the list of members is damaged: wrong checksum", file=ROSTER_FILE, offset=0)
    return found.roster


def admit(
    row: MemberRow | None, gone: bool, in_config: bool, node: int, name: str, incarnation: str
) -> tuple[Reason, str] | None:
    """Why the node that proved the cluster's secret, and says it is `node`, may not speak here; None: it may.

    `row`: of that id in the table; `gone`: the id was given out once and is no member's now; `in_config`: it takes part by
    the newest configuration in the log, which may be ahead of the table, or by the one that this replaces. An id of which
    nothing is known here was given out later than what is known here: whoever lags must let newer members speak, or could
    never catch up once one of them leads.
    """
    if in_config and (row is None or row.name == name) and not _replaced(row, incarnation):
        return None
    if gone:
        return Reason.MEMBER_REMOVED, f"node {node} ({name[:64]}) was removed from this cluster"
    if row is None:
        return None
    if row.name != name:
        return Reason.WRONG_NODE, f"node {node} is {row.name!r} in this cluster, not {name[:64]!r}"
    if _replaced(row, incarnation):
        text = f"node {node} ({name[:64]}) comes with another data folder than this cluster knows: it was wiped or restored"
        return Reason.DATA_REPLACED, text
    return None


def _replaced(row: MemberRow | None, incarnation: str) -> bool:
    return row is not None and bool(row.incarnation and incarnation) and row.incarnation != incarnation
