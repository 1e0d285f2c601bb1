"""What the parts of one member share: its place in the group, the time, the state, and how answers leave."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from ringleader.consensus.shape import ReplicatedLog
from ringleader.errors import Reason
from ringleader.group.options import GroupOptions
from ringleader.store.store import Store
from ringleader.wire.frames import Refused, ServerFrame
from ringleader.wire.relay import RelayMessage

__all__ = ["CATCHING_UP", "DISK_FULL", "LEADER_CHANGED", "NO_LEADER", "Shared"]

CATCHING_UP = "this node was away for long and is replacing its state by a snapshot: ask another one"
DISK_FULL = "the disk of the leader is full; it takes writes again when there is room"
LEADER_CHANGED = "the leader changed"
NO_LEADER = "the cluster has no leader at the moment"
NOTICES = 100
"""Most that are kept."""


class Shared:
    """`Member` is one and hands itself to its parts.

    `answer(conn, frame)` takes frames for clients, `relay(node, message)` messages for other members. `now`: monotonic
    seconds. `counts`: what happened how often, for metrics. `disk_full`: told by the host; a leader takes no new work then.
    `installing`: the state is being replaced by a snapshot. What an operator should read in the log is kept for
    `take_notices`.
    """

    def __init__(
        self,
        node: int,
        core: ReplicatedLog,
        store: Store,
        options: GroupOptions,
        answer: Callable[[int, ServerFrame], None],
        relay: Callable[[int, RelayMessage], None],
    ) -> None:
        self.node = node
        self.core = core
        self.store = store
        self.options = options
        self.answer = answer
        self.relay = relay
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self.disk_full = False
        self.installing = False
        self._notices: deque[str] = deque(maxlen=NOTICES)

    def notice(self, text: str) -> None:
        """Something that an operator should know of."""
        self._notices.append(text)

    def take_notices(self) -> list[str]:
        """What is to be logged since the last call, the oldest first."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    def name_of(self, member: int) -> str:
        """A member as people call it."""
        row = self.store.members.rows.get(member)
        return f"{row.name} (node {member})" if row is not None else f"node {member}"

    def refuse(self, conn: int, frame: int, reason: Reason, message: str, *, unknown: bool = False) -> None:
        """Answer a client's frame with why it is not served; `unknown`: it may have been, all the same."""
        self.answer(conn, Refused(frame, reason, message, unknown, self.core.leader))
