"""From the state of a back-up to the state that a new cluster starts with.

What made sense only in the old cluster's time goes, and what others may remember of it can never come again:

* Revisions go on `REVISION_STEP` above the back-up's, so that a fencing token, a create revision, that the old cluster
  gave out after the back-up is never given out anew or overtaken from below. History is compacted there: a watch from
  before is told so, instead of missing what the old cluster did since.
* Leases start their time anew: their holders could not keep them alive meanwhile. New ones get ids `REVISION_STEP` above,
  so that whoever kept the id of a lease that the old cluster granted after the back-up does not touch somebody else's.
* Client sessions are gone: a retry from before is answered "outcome unknown". New ones get ids above likewise.
* The members are those of the new cluster.
"""

from __future__ import annotations

from ringleader.store.lease import Lease, Leases
from ringleader.store.limits import Limits
from ringleader.store.members import Members, founders
from ringleader.store.mvcc import Mvcc
from ringleader.store.session import Sessions
from ringleader.store.snapshot import State

__all__ = ["REVISION_STEP", "reborn"]

REVISION_STEP = 1_000_000_000
"""Of revisions, lease ids and session ids.

More than a cluster writes between a back-up and its loss: a day at over ten thousand writes a second."""
FIRST_INDEX = 1
"""The index in the new log of the entry that the state stands for."""


def reborn(state: State, members: dict[int, str], limits: Limits) -> State:
    """The state of the new cluster, whose `members` are names by id; `state` is used up by it."""
    old = state.mvcc
    revision = old.revision + REVISION_STEP
    mvcc = Mvcc.empty(revision)
    mvcc.load_base(old.scan(b"", None))
    mvcc.load_nothing()
    mvcc.loaded(revision)
    leases = Leases(
        [
            Lease(one.id, one.ttl_ms, state.time_ms + one.ttl_ms, one.keys, one.owner)
            for one in state.leases.by_id.values()
        ],
        state.leases.next_id + REVISION_STEP,
    )
    return State(
        mvcc,
        leases,
        Sessions(limits, (), state.sessions.next_id + REVISION_STEP),
        state.auth,
        Members(limits, founders(members)),
        FIRST_INDEX,
        state.time_ms,
        state.settings,
        state.full,
        state.version,
    )
