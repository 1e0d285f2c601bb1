"""Client sessions: a command repeated under the same number gives its first result again and never runs twice.

As in Raft's dissertation, section 6.3, but with a window of sequence numbers, since a client has many calls under way at
once and they may arrive in any order. The client says up to where it has its answers (`ack`); results below are
forgotten, and so is the right to use those numbers. Sessions expire by log time; what an expired session asks is never
run, and answered "outcome unknown". An envelope without commands keeps a session alive.

Kept results are bounded: the window bounds their number in a session; large ones are weighed, and when too much is kept
the oldest are given up (the number stays taken: a repetition is answered "outcome unknown"). All sessions together keep a
bounded number of results of any size: beyond it those idle for longest end early, as if they had expired.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from ringleader.errors import Reason
from ringleader.store.commands import DeleteResult, Failure, PutResult, RangeResult, Result, TxnResult
from ringleader.store.limits import Limits
from ringleader.store.refusal import Refusal

__all__ = ["Session", "Sessions", "weight"]

_OVERHEAD = 64


def weight(result: Result) -> int:
    """About how many bytes it takes to keep `result`; 0 for the small ones, which are bounded by number."""
    if type(result) is PutResult:
        kv = result.prev_kv
        return 0 if kv is None else _OVERHEAD + len(kv.key) + len(kv.value)
    if type(result) is DeleteResult:
        kvs = result.prev_kvs
    elif type(result) is RangeResult:
        kvs = result.kvs
    elif type(result) is TxnResult:
        return _OVERHEAD + sum([_OVERHEAD + weight(part) for part in result.results])
    else:
        return 0
    return sum([_OVERHEAD + len(kv.key) + len(kv.value) for kv in kvs])


class Session:
    """One session: `seen_ms` log time of its last envelope; `floor` the lowest number it may still use; `owner`: a user.

    `results`: by sequence number, in the order in which they ran; None was given up. `weights`: of the large ones.
    `counted`: how many results `Sessions.kept` knows of.
    """

    __slots__ = ("counted", "floor", "id", "kept_bytes", "owner", "results", "seen_ms", "weights")

    def __init__(self, session_id: int, seen_ms: int, owner: str = "") -> None:
        self.id = session_id
        self.owner = owner
        self.seen_ms = seen_ms
        self.floor = 0
        self.results: dict[int, Result | None] = {}
        self.weights: dict[int, int] = {}
        self.kept_bytes = 0
        self.counted = 0

    def answer_again(self, seq: int) -> Result:
        """The answer to a number that ran before."""
        result = self.results[seq]
        if result is not None:
            return result
        message = f"command {seq} of session {self.id} ran before, but its result is no longer kept"
        return Failure(Reason.TOO_LARGE, message, unknown=True)

    def refuse(self, seq: int, window: int) -> Failure:
        """Why `seq`, which lies outside of the window, is not run."""
        if seq < self.floor:
            message = f"command {seq} of session {self.id} comes after all below {self.floor} were acknowledged"
            return Failure(Reason.PROTOCOL, message, unknown=True)
        message = f"command {seq} of session {self.id} is {window} or more above the acknowledged {self.floor}"
        return Failure(Reason.OVERLOADED, message)


class Sessions:
    """All sessions, the one idle for longest first."""

    __slots__ = ("_limits", "by_id", "kept", "kept_bytes", "next_id")

    def __init__(self, limits: Limits, sessions: Iterable[Session] = (), next_id: int = 1) -> None:
        self._limits = limits
        self.next_id = next_id
        self.by_id: OrderedDict[int, Session] = OrderedDict((session.id, session) for session in sessions)
        self.kept_bytes = 0
        self.kept = 0
        for session in self.by_id.values():
            session.counted = len(session.results)
            self.kept += session.counted
            session.weights = {seq: weight(kept) for seq, kept in session.results.items() if kept and weight(kept)}
            session.kept_bytes = sum(session.weights.values())
            self.kept_bytes += session.kept_bytes

    def open(self, now_ms: int, owner: str = "") -> Session:
        """A new session of the user `owner`; raises `Refusal` (overloaded) when there are too many."""
        if len(self.by_id) >= self._limits.sessions:
            message = f"{len(self.by_id)} sessions are open, which is the limit; idle ones expire"
            raise Refusal(Failure(Reason.OVERLOADED, message))
        session = self.by_id[self.next_id] = Session(self.next_id, now_ms, owner)
        self.next_id += 1
        return session

    def close(self, session_id: int) -> None:
        """Forget a session and its results."""
        session = self.by_id.pop(session_id)
        self.kept_bytes -= session.kept_bytes
        self.kept -= session.counted

    def expire(self, now_ms: int) -> None:
        """Forget the sessions that are idle for too long at log time `now_ms`."""
        limit_ms = now_ms - self._limits.session_ttl_ms
        by_id = self.by_id
        while by_id:
            session = next(iter(by_id.values()))
            if session.seen_ms > limit_ms:
                break
            self.close(session.id)

    def touch(self, session_id: int, ack: int, now_ms: int) -> Session | None:
        """The session, now seen at `now_ms` with everything below `ack` acknowledged; None when there is none."""
        session = self.by_id.get(session_id)
        if session is None:
            return None
        self.by_id.move_to_end(session_id)
        session.seen_ms = now_ms
        floor = session.floor
        if ack > floor:
            results = session.results
            session.floor = ack
            below = range(floor, ack) if ack - floor <= len(results) else [seq for seq in results if seq < ack]
            for seq in below:
                results.pop(seq, None)
            if session.weights:
                for seq in [seq for seq in session.weights if seq < ack]:
                    self._forget(session, seq)
        return session

    def weigh(self, session: Session, seq: int) -> None:
        """Account for the result just kept under `seq`, which may be large; give up the oldest when it is too much."""
        kept = session.results[seq]
        size = weight(kept) if kept is not None else 0
        if not size:
            return
        session.weights[seq] = size
        session.kept_bytes += size
        self.kept_bytes += size
        limits = self._limits
        while session.weights and (
            session.kept_bytes > limits.session_bytes or self.kept_bytes > limits.sessions_bytes
        ):
            oldest = next(iter(session.weights))
            session.results[oldest] = None
            self._forget(session, oldest)

    def settle(self, session: Session) -> None:
        """An envelope of `session`, which was touched last, is done: end those idle for longest when too much is kept."""
        count = len(session.results)
        self.kept += count - session.counted
        session.counted = count
        while self.kept > self._limits.sessions_results and len(self.by_id) > 1:
            self.close(next(iter(self.by_id)))

    def _forget(self, session: Session, seq: int) -> None:
        size = session.weights.pop(seq)
        session.kept_bytes -= size
        self.kept_bytes -= size
