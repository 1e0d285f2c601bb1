"""The strong state machine: the same batches in the same order give the same state, results and snapshots everywhere.

`Store` takes batches from the log, in order, and answers reads from the state as it is. It knows no clock (log time comes
with the batches), no randomness, no disk and no network. Results are shared with the state and with other results: they
are never to be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from xxhash import xxh3_64

from ringleader.errors import Reason
from ringleader.store.auth import NODE, Auth, Caller
from ringleader.store.auth_commands import AuthDesk
from ringleader.store.auth_ops import AuthStatus, RoleList, TokenList, UserList
from ringleader.store.chunks import split
from ringleader.store.codec import BATCH_VERSION, ENCODER
from ringleader.store.commands import (
    Batch,
    Command,
    Compact,
    CompactResult,
    Configure,
    Delete,
    Envelope,
    ExpireLeases,
    Failure,
    HashKv,
    HashKvResult,
    KeyValue,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseKeepAlive,
    LeaseList,
    LeaseListResult,
    LeaseResult,
    LeaseRevoke,
    Put,
    PutResult,
    RaiseVersion,
    Range,
    Read,
    Result,
    SessionClose,
    SessionOpen,
    SessionResult,
    SettingsQuery,
    SettingsResult,
    SnapshotPart,
    SnapshotRead,
    Txn,
)
from ringleader.store.lease import Leases
from ringleader.store.limits import Limits
from ringleader.store.member_ops import MemberAdd, MemberList, MemberListResult, MemberRow, MemberUpdate
from ringleader.store.members import Members
from ringleader.store.mvcc import Mvcc
from ringleader.store.permit import Permit
from ringleader.store.quota import Quota
from ringleader.store.ranges import check_revision
from ringleader.store.refusal import Refusal, compacted, future_revision, invalid
from ringleader.store.restoring import Restorer
from ringleader.store.session import Sessions
from ringleader.store.settings import Settings, changed
from ringleader.store.snapshot import Pin, State, pieces
from ringleader.store.version import FIRST_VERSION, SUPPORTED_VERSION, check_supported, raised
from ringleader.store.watch import WatchHub
from ringleader.store.writes import Writer

__all__ = ["Store"]

_MAX_LEASE_ID = (1 << 63) - 1
TRIM = 2000
"""How many revisions are freed at a time: about a millisecond."""


class Store:
    """The state of one consensus group.

    `revision`: of the last write that changed something (1: none yet). `compact_revision`: the oldest revision that can
    still be read (0: all). `applied`: index of the last log entry applied. `time_ms`: log time, milliseconds. `version`:
    the cluster's, which decides the rules in force; `supports`: the highest one whose rules are known here.
    """

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        members: Iterable[MemberRow] = (),
        supports: int = SUPPORTED_VERSION,
    ) -> None:
        self.limits = limits
        self.members = Members(limits, members)
        self.applied = 0
        self.time_ms = 0
        self.unloaded = False  # the state is on its way out, see `unload`
        self._mvcc = Mvcc()
        self._leases = Leases()
        self._sessions = Sessions(limits)
        self.supports = supports
        self.version = FIRST_VERSION
        self.settings = Settings()
        self.quota = Quota(self._mvcc, limits, self.settings.quota_bytes)
        self._writer = Writer(limits, self._mvcc, self._leases, self.quota)
        self.watches = WatchHub(self._mvcc, limits)
        self._wire_auth(Auth())
        self._caller = NODE  # on whose behalf the command at hand is carried out
        members_do = self.members.handlers(lambda: self.revision)
        self._commands: dict[type, Callable[[Any], Result]] = {
            Delete: lambda op: self._writer.delete(op),
            Txn: lambda op: self._writer.txn(op),
            Compact: self._compact,
            LeaseGrant: self._lease_grant,
            LeaseRevoke: self._lease_revoke,
            LeaseKeepAlive: self._lease_keep_alive,
            ExpireLeases: self._expire_leases,
            SessionOpen: self._session_open,
            **members_do,
            MemberAdd: lambda op: self._from_release(op) or members_do[MemberAdd](op),
            MemberUpdate: lambda op: self._from_release(op) or members_do[MemberUpdate](op),
            Configure: self._configure,
            RaiseVersion: self._raise_version,
        }
        self._reads: dict[type, Callable[[Any], Result]] = {
            Range: lambda op: self._writer.read_range(op),
            Txn: lambda op: self._writer.read_txn(op),
            HashKv: self._hash,
            LeaseInfo: self._lease_info,
            LeaseList: lambda _: LeaseListResult(self.revision, sorted(self._leases.by_id)),
            MemberList: self._member_list,
            SettingsQuery: lambda _: self._settings(),
            SnapshotRead: lambda op: SnapshotPart(
                self.revision, op.ticket, op.offset, b"", False
            ),  # the member fills it in
        }

    def _wire_auth(self, auth: Auth) -> None:
        self.auth = auth
        self.desk = AuthDesk(auth, self.limits)
        self.permit = Permit(auth, self._leases)

    @property
    def revision(self) -> int:
        return self._mvcc.revision

    @property
    def compact_revision(self) -> int:
        return self._mvcc.compact_revision

    @property
    def used_bytes(self) -> int:
        """What counts towards the quota: all versions that can still be read."""
        return self._mvcc.used_bytes

    # ------------------------------------------------------------------------------------------------ the log

    def apply(self, index: int, batch: Batch) -> list[list[Result]]:
        """Carry out the batch of log entry `index`; for each envelope the results of its commands, in order.

        Raises `ValueError` when an entry is left out or comes twice, or for a batch of a later format: what no client can
        cause. What clients can send wrongly is answered with a `Failure`.
        """
        if batch.version > BATCH_VERSION:
            raise ValueError(f"batch {index} has format version {batch.version}, known is {BATCH_VERSION}")
        self._step(index)
        if batch.time_ms > self.time_ms:
            self.time_ms = batch.time_ms
            self._sessions.expire(self.time_ms)
        return [self._envelope(envelope) for envelope in batch.envelopes]

    def skip(self, index: int) -> None:
        """Log entry `index` holds no commands."""
        self._step(index)

    def _step(self, index: int) -> None:
        if index != self.applied + 1:
            raise ValueError(f"entry {index} was given to be applied after entry {self.applied}")
        self.applied = index

    def _envelope(self, envelope: Envelope) -> list[Result]:
        self._caller = Caller(envelope.principal, envelope.auth_revision)
        out = self.auth.admit(self._caller, self.time_ms)
        if out is not None:
            return [out for _ in envelope.commands]
        number = envelope.session
        if not number:
            return [self._run(command) for _, command in envelope.commands]
        found = self._sessions.by_id.get(number)
        if found is not None and self.auth.enabled and found.owner != self._caller.user:
            return [_expired(number) for _ in envelope.commands]  # another user's: as if there were none
        session = self._sessions.touch(number, envelope.ack, self.time_ms)
        if session is None:
            return [_expired(number) for _ in envelope.commands]
        answers: list[Result] = []
        results = session.results
        floor = session.floor
        window = self.limits.session_window
        ceiling = floor + window
        for seq, command in envelope.commands:
            if seq in results:
                answers.append(session.answer_again(seq))
            elif not floor <= seq < ceiling:
                answers.append(session.refuse(seq, window))
            elif number not in self._sessions.by_id:  # closed by a command of this very envelope
                answers.append(_expired(number))
            elif type(command) is SessionClose:
                self._sessions.close(number)
                answers.append(SessionResult(number, 0))
            else:
                result = results[seq] = self._run(command)
                answers.append(result)
                if type(result) is not PutResult or result.prev_kv is not None:
                    self._sessions.weigh(session, seq)
        if number in self._sessions.by_id:
            self._sessions.settle(session)
        return answers

    def _run(self, command: Command) -> Result:
        try:
            if self.auth.enabled:
                refused = self.auth.admit(self._caller, self.time_ms) or self.permit.refusal(self._caller, command)
                if refused is not None:
                    return refused
            if type(command) is Put:
                return self._writer.put(command)
            if self.desk.handles(command):
                return self.desk.apply(command, self.time_ms, self.revision)
            handler = self._commands.get(type(command))
            if handler is None:
                return invalid("this command has to be part of a session")
            return handler(command)
        except Refusal as refusal:
            return refusal.failure

    # ------------------------------------------------------------------------------------------------ commands

    def _compact(self, op: Compact) -> Result:
        mvcc = self._mvcc
        if op.revision > mvcc.revision:
            return future_revision(op.revision, mvcc.revision)
        if op.revision <= mvcc.compact_revision:
            return compacted(op.revision, mvcc.compact_revision)
        self.watches.before_compaction()
        mvcc.compact(op.revision)
        self.quota.settle()
        mvcc.trim(TRIM)
        return CompactResult(mvcc.revision)

    def _configure(self, op: Configure) -> Result:
        self.settings = changed(self.settings, op)
        self.quota.limit = self.settings.quota_bytes
        self.quota.settle()
        return self._settings()

    def _from_release(self, op: MemberAdd | MemberUpdate) -> Failure | None:
        """Why a node of that release can be no member, if so: it would not understand what is in force."""
        if not 0 < op.supports < self.version:
            return None
        text = f"the cluster is at version {self.version}; that node's release supports up to {op.supports}"
        return Failure(Reason.VERSION, f"{text}: give it a newer one")

    def _raise_version(self, op: RaiseVersion) -> Result:
        version = raised(self.version, op, self.members.rows.values())
        check_supported(version, self.supports)
        self.version = version
        return self._settings()

    def _settings(self) -> SettingsResult:
        mine = self.settings
        return SettingsResult(
            self.revision,
            mine.quota_bytes,
            mine.compaction,
            mine.retention_ms,
            mine.retention_revisions,
            self.used_bytes,
            self._mvcc.history_bytes,
            self.quota.full,
        )

    def _lease_grant(self, op: LeaseGrant) -> Result:
        limits = self.limits
        if not 0 <= op.id <= _MAX_LEASE_ID:
            return invalid(f"a lease id has to be positive and below 2**63, not {op.id}")
        if not 0 < op.ttl_ms <= limits.lease_ttl_max_ms:
            return invalid(f"a lease of {op.ttl_ms} ms: it has to be from 1 to {limits.lease_ttl_max_ms}")
        if op.id in self._leases.by_id:
            return Failure(Reason.LEASE_EXISTS, f"there is already a lease {op.id}")
        if len(self._leases.by_id) >= limits.leases:
            return Failure(Reason.OVERLOADED, f"there are {limits.leases} leases, which is the limit")
        owner = self._caller.user if self.auth.enabled else ""
        lease = self._leases.grant(op.id, max(op.ttl_ms, limits.lease_ttl_min_ms), self.time_ms, owner)
        return LeaseResult(self.revision, lease.id, lease.ttl_ms)

    def _lease_revoke(self, op: LeaseRevoke) -> Result:
        lease = self._leases.by_id.get(op.id)
        if lease is None:
            return _no_lease(op.id)
        self._writer.end_lease(op.id)
        return LeaseResult(self.revision, op.id, lease.ttl_ms)

    def _lease_keep_alive(self, op: LeaseKeepAlive) -> Result:
        lease = self._leases.by_id.get(op.id)
        if lease is None:
            return _no_lease(op.id)
        lease.deadline_ms = self.time_ms + lease.ttl_ms
        return LeaseResult(self.revision, op.id, lease.ttl_ms)

    def _expire_leases(self, op: ExpireLeases) -> Result:
        """Answers with the leases that did end, each at a revision of its own."""
        ended = []
        for lease_id in op.ids:
            lease = self._leases.by_id.get(lease_id)
            if lease is not None and lease.deadline_ms <= self.time_ms:
                self._writer.end_lease(lease_id)
                ended.append(lease_id)
        return LeaseListResult(self.revision, ended)

    def _session_open(self, _: SessionOpen) -> Result:
        session = self._sessions.open(self.time_ms, self._caller.user)
        return SessionResult(session.id, self.limits.session_ttl_ms)

    # --------------------------------------------------------------------------------------------------- reads

    def read(self, op: Read, caller: Caller = NODE) -> Result:
        """Answer `caller` from the state as it is now; a `Failure` when that is not possible or not permitted."""
        if self.auth.enabled:
            refused = self.auth.admit(caller, self.time_ms) or self.permit.refusal(caller, op)
            if refused is not None:
                return refused
        handler = self._reads.get(type(op))
        if handler is None:
            if isinstance(op, AuthStatus | UserList | RoleList | TokenList):
                return self.desk.read(op, caller, self.time_ms, self.revision)
            return invalid("this command writes and cannot be served as a read")
        try:
            return handler(op)
        except Refusal as refusal:
            return refusal.failure

    def _member_list(self, _: MemberList) -> Result:
        return MemberListResult(self.revision, [row for _, row in sorted(self.members.rows.items())])

    def due_leases(self, time_ms: int, limit: int = 1000) -> list[int]:
        """The leases that the leader may propose to expire at log time `time_ms`, the longest due first."""
        return self._leases.due(time_ms, limit)

    def _lease_info(self, op: LeaseInfo) -> Result:
        lease = self._leases.by_id.get(op.id)
        if lease is None:
            return LeaseInfoResult(self.revision, op.id, 0, -1)
        keys = sorted(lease.keys) if op.keys else []
        remaining_ms = max(lease.deadline_ms - self.time_ms, 0)
        return LeaseInfoResult(self.revision, op.id, lease.ttl_ms, remaining_ms, keys)

    def hash_kv(self, revision: int = 0) -> int:
        """A hash over every key visible at `revision` (0: now), equal on all members; takes time for every key.

        Raises `ValueError` when that revision is compacted or has not happened.
        """
        result = self.read(HashKv(revision))
        if isinstance(result, HashKvResult):
            return result.hash
        raise ValueError(result.message if isinstance(result, Failure) else "no hash")

    def _hash(self, op: HashKv) -> Result:
        mvcc = self._mvcc
        check_revision(mvcc, op.revision)
        revision = op.revision if op.revision > 0 else mvcc.revision
        kvs: Iterator[KeyValue]
        if revision == mvcc.revision:
            kvs = mvcc.scan(b"", None)
        else:
            kvs = mvcc.scan_at(b"", None, revision)
        digest = xxh3_64()
        encode = ENCODER.encode
        for kv in kvs:
            digest.update(encode(kv))
        return HashKvResult(mvcc.revision, digest.intdigest(), revision, mvcc.compact_revision)

    # ------------------------------------------------------------------------------------------------ snapshots

    def pin(self) -> Pin:
        """Fix the state as it is now, to be written down by `snapshot.pieces` while it goes on; `release` it then."""
        return Pin(
            State(
                self._mvcc,
                self._leases,
                self._sessions,
                self.auth,
                self.members,
                self.applied,
                self.time_ms,
                self.settings,
                self.quota.full,
                self.version,
            )
        )

    def pinned(self, pin: Pin) -> bool:
        """Whether what `pin` fixed is still there: not once a snapshot has replaced the state."""
        return not self.unloaded and pin.mvcc is self._mvcc

    def snapshot(self) -> bytes:
        """The whole state: the same bytes on every member that applied the same entries."""
        pin = self.pin()
        try:
            return b"".join(pieces(pin))
        finally:
            pin.release()

    def trim(self, limit: int = TRIM) -> bool:
        """Free up to `limit` revisions that compaction has let go; whether there are more. Call it once a turn."""
        return not self.unloaded and self._mvcc.trim(limit)

    def restore(self, data: bytes) -> None:
        """Become what `snapshot` gave; raises `ValueError` saying what is wrong, and then nothing has changed.

        Watches go on from where they were, or are told that what they missed is compacted.
        """
        restorer = Restorer(self.limits)
        for piece in split(data):
            restorer.feed(piece)
        state = restorer.finish()
        self.watches.before_compaction()
        self.adopt(state)

    def unload(self, limit: int) -> bool:
        """Let go of up to `limit` keys and changes of a state that is to be replaced; whether there are more.

        From the first call on until `adopt` the store must be neither read nor written, watches included.
        """
        if not self.unloaded:
            self.watches.before_compaction()
            self.unloaded = True
            self._leases, self._sessions = Leases(), Sessions(self.limits)
            self._writer = Writer(self.limits, self._mvcc, self._leases, self.quota)
        return self._mvcc.unload(limit)

    def adopt(self, state: State) -> None:
        """Become `state`, which a `Restorer` made. Raises `NewerClusterError` when it lives by rules not known here."""
        check_supported(state.version, self.supports)
        self._mvcc, self._leases, self._sessions = state.mvcc, state.leases, state.sessions
        self.applied, self.time_ms = state.applied, state.time_ms
        self.version = state.version
        self.settings = state.settings
        self.quota = Quota(self._mvcc, self.limits, self.settings.quota_bytes, state.full)
        self._writer = Writer(self.limits, self._mvcc, self._leases, self.quota)
        self._wire_auth(state.auth)
        self.members.become(state.members)
        self.watches.restored(self._mvcc)
        self.unloaded = False


def _expired(session: int) -> Failure:
    message = f"session {session} is not known here or has expired; whether the command ran before cannot be told"
    return Failure(Reason.SESSION_EXPIRED, message, unknown=True)


def _no_lease(lease_id: int) -> Failure:
    return Failure(Reason.LEASE_NOT_FOUND, f"there is no lease {lease_id}")
