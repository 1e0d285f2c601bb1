"""The table of members: who belongs to the cluster, as the log says it; the same on every member.

The table says what is *wanted*; consensus has a configuration of its own, which the leader leads there step by step
(`group.membership`). Ids rise and are never given twice, so that an old node can never be taken for a new one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ringleader.errors import Reason
from ringleader.store.commands import Failure, Result
from ringleader.store.limits import Limits
from ringleader.store.member_ops import (
    LeaderView,
    MemberAdd,
    MemberPromote,
    MemberRemove,
    MemberResult,
    MemberRow,
    MemberTransfer,
    MemberUpdate,
    Standing,
)
from ringleader.store.refusal import Refusal, invalid

__all__ = ["Members", "founders"]

TOMBSTONES = 256
"""Removed members that are remembered by name; of older ones only that their id was used."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_ADDRESS_CHARS = 300

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, list[MemberRow]]).decode


def founders(names: dict[int, str]) -> list[MemberRow]:
    """The rows a cluster starts with, from ids and names alone: what all its first nodes know alike."""
    return [MemberRow(id, name, Standing.VOTER) for id, name in sorted(names.items())]


class Members:
    """All rows by id. `next_id`: the next one to be given. `version`: changes whenever a row does.

    `heir`: the member to which the last command wanted leadership handed, taken by whoever leads; not part of the state.
    """

    __slots__ = ("heir", "limits", "next_id", "rows", "version")

    def __init__(self, limits: Limits, rows: Iterable[MemberRow] = (), next_id: int = 0) -> None:
        self.limits = limits
        self.rows: dict[int, MemberRow] = {row.id: row for row in rows}
        self.next_id = next_id or max(self.rows, default=0) + 1
        self.version = 0
        self.heir = 0

    def handlers(self, revision: Callable[[], int]) -> dict[type, Callable[[Any], Result]]:
        """What carries out each command; `revision`: the store's, for the answers."""

        def run(rule: Callable[[Any], MemberRow]) -> Callable[[Any], Result]:
            return lambda op: MemberResult(revision(), rule(op))

        return {
            MemberAdd: run(self.add),
            MemberPromote: run(self.promote),
            MemberRemove: run(self.remove),
            MemberUpdate: run(self.update),
            MemberTransfer: run(self.transfer),
        }

    def image(self) -> bytes:
        """Everything, for a snapshot."""
        return _encode((self.next_id, [row for _, row in sorted(self.rows.items())]))

    @classmethod
    def from_image(cls, limits: Limits, data: bytes | memoryview) -> Members:
        """The inverse of `image`. Raises `msgspec.MsgspecError`."""
        next_id, rows = _decode(data)
        return cls(limits, rows, next_id)

    def become(self, other: Members) -> None:
        """Take over the rows of a snapshot."""
        self.rows, self.next_id = other.rows, other.next_id
        self.version += 1
        self.heir = 0

    def active(self) -> list[MemberRow]:
        """Everyone who has not been removed, by id."""
        return [row for _, row in sorted(self.rows.items()) if row.active]

    def removed(self, member: int) -> bool:
        """Whether that id was given out once and is no member any more."""
        row = self.rows.get(member)
        return not row.active if row is not None else 0 < member < self.next_id

    def find(self, member: int | str) -> MemberRow:
        """The member of that id or name, not a removed one; raises `Refusal` when there is none."""
        if isinstance(member, int):
            row = self.rows.get(member)
            if row is not None and row.active:
                return row
            what = "has been removed" if self.removed(member) else "was never a member"
            raise _refuse(Reason.MEMBER_NOT_FOUND, f"node {member} {what}")
        found = [row for row in self.rows.values() if row.name == member]
        for row in found:
            if row.active:
                return row
        what = "has been removed" if found else "is no member"
        raise _refuse(Reason.MEMBER_NOT_FOUND, f"{member[:64]!r} {what}; members are {self._names()}")

    # ------------------------------------------------------------------------------------------------ the commands

    def add(self, op: MemberAdd) -> MemberRow:
        """A new learner, or the row that this very node was given before."""
        if not _NAME.match(op.name):
            text = f"{op.name[:64]!r} is no name: use 1 to 63 letters, digits, dots, dashes and underscores"
            raise Refusal(invalid(text))
        _check_addresses(op.peer, op.client, op.http)
        known = next((row for row in self.active() if row.name == op.name), None)
        if known is not None:
            if op.incarnation and known.incarnation == op.incarnation:
                self._check_address_free(op.peer, known.id)
                return self._put(msgspec.structs.replace(known, **_given(op)))
            if known.incarnation or known.standing is not Standing.LEARNER or not op.incarnation:
                raise _refuse(Reason.MEMBER_EXISTS, f"there is already a member {op.name!r}, node {known.id}")
        self._check_address_free(op.peer, known.id if known else 0)
        _check_idle(op.view)
        if known is not None:
            row = msgspec.structs.replace(known, incarnation=op.incarnation, **_given(op))
        else:
            if len(self.active()) >= self.limits.members:
                raise _refuse(Reason.OVERLOADED, f"there are {self.limits.members} members, which is the limit")
            row = MemberRow(
                self.next_id,
                op.name,
                Standing.LEARNER,
                op.peer,
                op.client,
                op.http,
                op.incarnation,
                op.auto_promote,
                op.supports,
            )
            self.next_id += 1
        return self._put(row)

    def promote(self, op: MemberPromote) -> MemberRow:
        """A learner that has caught up becomes a voter."""
        row = self.find(op.member)
        if row.standing is Standing.VOTER:
            return row
        view = op.view
        _check_idle(view)
        if view is not None and row.id not in view.caught_up:
            behind = view.last_index - view.match.get(row.id, 0)
            why = f"is {behind} entries behind" if row.id in view.healthy else "does not answer the leader"
            raise _refuse(Reason.MEMBER_LAGS, f"learner {row.name!r} has not caught up: it {why}")
        return self._put(msgspec.structs.replace(row, standing=Standing.VOTER))

    def remove(self, op: MemberRemove) -> MemberRow:
        """A member goes, unless the rest could then decide nothing."""
        row = self.find(op.member)
        _check_idle(op.view)
        if row.standing is Standing.VOTER:
            self._check_quorum_without(row, op.view)
        return self._put(msgspec.structs.replace(row, standing=Standing.REMOVED))

    def update(self, op: MemberUpdate) -> MemberRow:
        """A node fills in where it is reached, and once which data folder it has."""
        row = self.find(op.id)
        _check_addresses(op.peer, op.client, op.http)
        if op.incarnation and row.incarnation and op.incarnation != row.incarnation:
            raise _refuse(
                Reason.DATA_REPLACED, f"node {row.id} ({row.name}) has another data folder than this cluster knows"
            )
        self._check_address_free(op.peer, row.id)
        return self._put(msgspec.structs.replace(row, incarnation=row.incarnation or op.incarnation, **_given(op)))

    def transfer(self, op: MemberTransfer) -> MemberRow:
        """Note who is to lead; the leader acts on it when it applies this."""
        view = op.view
        if op.member == 0:
            row = self._best_heir(view)
        else:
            row = self.find(op.member)
            if row.standing is not Standing.VOTER:
                raise _refuse(Reason.INVALID_ARGUMENT, f"{row.name!r} is a learner, which cannot lead")
            if view is not None and row.id not in view.healthy:
                raise _refuse(Reason.MEMBER_LAGS, f"{row.name!r} does not answer the leader")
        if view is None or view.leader != row.id:
            self.heir = row.id
        return row

    # ------------------------------------------------------------------------------------------------------ inside

    def _put(self, row: MemberRow) -> MemberRow:
        if self.rows.get(row.id) != row:
            self.rows[row.id] = row
            self.version += 1
            gone = sorted(id for id, known in self.rows.items() if not known.active)
            for id in gone[:-TOMBSTONES]:
                del self.rows[id]
        return row

    def _names(self) -> str:
        return ", ".join(row.name for row in self.active())

    def _check_address_free(self, peer: str, except_id: int) -> None:
        for row in self.active():
            if peer and row.peer == peer and row.id != except_id:
                raise _refuse(Reason.MEMBER_EXISTS, f"{peer} is the peer address of {row.name!r}, node {row.id}")

    def _check_quorum_without(self, row: MemberRow, view: LeaderView | None) -> None:
        left = [other for other in self.active() if other.standing is Standing.VOTER and other.id != row.id]
        if not left:
            raise _refuse(Reason.QUORUM_LOSS, f"{row.name!r} is the last voter")
        if view is None:
            return
        healthy = [other.name for other in left if other.id in view.healthy]
        if len(healthy) <= len(left) // 2:
            text = f"without {row.name!r} only {len(healthy)} of {len(left)} voters would be healthy, which decides nothing"
            raise _refuse(Reason.QUORUM_LOSS, text)

    def _best_heir(self, view: LeaderView | None) -> MemberRow:
        if view is not None:
            others = [row for row in self.active() if row.standing is Standing.VOTER and row.id != view.leader]
            able = [row for row in others if row.id in view.match and row.id in view.healthy]
            if able:
                return max(able, key=lambda row: (view.match[row.id], -row.id))
        raise _refuse(Reason.QUORUM_LOSS, "there is no other healthy voter to hand leadership to")


def _given(op: MemberAdd | MemberUpdate) -> dict[str, Any]:
    return {field: getattr(op, field) for field in ("peer", "client", "http", "supports") if getattr(op, field)}


def _check_addresses(*addresses: str) -> None:
    for address in addresses:
        if address and not _is_address(address):
            raise Refusal(invalid(f"{address[:64]!r} is not host:port"))


def _is_address(text: str) -> bool:
    """ "host:port" or "[v6]:port", as nodes dial it: what is in the table must never surprise them."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return False
    bounded = host and len(text) <= _ADDRESS_CHARS and text.isprintable()
    return bool(bounded and port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536)


def _check_idle(view: LeaderView | None) -> None:
    if view is not None and view.busy:
        raise _refuse(Reason.CHANGE_UNDER_WAY, f"another change of members is under way: {view.busy}")


def _refuse(reason: Reason, message: str) -> Refusal:
    return Refusal(Failure(reason, message))
