"""What the members' table means for this very node: whom it links to, what it has to report of itself, whether it belongs.

Pure bookkeeping between the table (as applied here, or as remembered from before a restart while that is newer) and the
configuration of consensus, which may run ahead of it.
"""

from __future__ import annotations

from ringleader.consensus.shape import Config, ReplicatedLog
from ringleader.errors import NotAppliedError, Reason, RingleaderError
from ringleader.group.options import HostConfig
from ringleader.group.roster import Peer, Roster, admit
from ringleader.store.member_ops import MemberRow, MemberUpdate
from ringleader.store.store import Store
from ringleader.wire.frames import NodeInfo, Refused, Results

__all__ = ["MembersHere", "expulsion"]

REPORT = 1.0
"""Seconds between two looks whether the table says of this node what it says of itself."""
REPORT_AGAIN = 60.0
"""Seconds until a report that was refused is made again."""
REMEDY = (
    "Remove this member (`ringleader cluster remove {name}`) and let it join anew with an empty data folder (--join)"
)


def expulsion(reason: Reason, message: str, name: str) -> RingleaderError:
    """The error with which a node stops that is no member any more."""
    if reason is Reason.MEMBER_REMOVED:
        hint = "Its data folder is of no use any more: start it with an empty one and --join to make it a new member"
    else:
        hint = REMEDY.format(name=name)
    return NotAppliedError(message, reason=reason, node=name, hint=hint)


class MembersHere:
    """The members as this node sees them. `me`: what it advertises to clients."""

    def __init__(
        self, config: HostConfig, me: NodeInfo, core: ReplicatedLog, store: Store, remembered: Roster | None
    ) -> None:
        self.config = config
        self.me = me
        self.core = core
        self.store = store
        self.remembered = remembered
        self.saved = -1  # the table's version that was last written down
        self.seen: tuple[int, Config | None, bool, int, int] = (-1, None, False, 0, 0)
        self.linked: set[int] = set()  # by the last `links`
        self.newer: dict[int, str] = {}  # who spoke to us and came later than the table here knows; by name
        self.report_at = 0.0

    # -------------------------------------------------------------------------------------------------- the table

    def rows(self) -> dict[int, MemberRow]:
        """The newest table known here, by id."""
        old = self._newer_memory()
        return {row.id: row for row in old.rows} if old is not None else self.store.members.rows

    def gone(self, member: int) -> bool:
        """Whether that id belonged to a member that was removed."""
        old = self._newer_memory()
        if old is None:
            return self.store.members.removed(member)
        row = next((row for row in old.rows if row.id == member), None)
        return not row.active if row is not None else 0 < member < old.next_id

    def _next_id(self) -> int:
        old = self._newer_memory()
        return old.next_id if old is not None else self.store.members.next_id

    def _newer_memory(self) -> Roster | None:
        old = self.remembered
        if old is not None and self.store.applied >= old.index:
            old = self.remembered = None
        return old

    def changed(self) -> bool:
        """Whether table or configuration differ from what they were at the last call."""
        if not self.differs():
            return False
        core = self.core
        self.seen = (self.store.members.version, core.config, core.config_settled, core.leader, len(self.newer))
        return True

    def differs(self) -> bool:
        """Whether `changed` would say so."""
        version, config, settled, leader, newer = self.seen
        core = self.core
        return (
            config is not core.config
            or version != self.store.members.version
            or leader != core.leader
            or settled is not core.config_settled
            or newer != len(self.newer)
        )

    def to_save(self) -> Roster | None:
        """The table, when it is newer than what is written down."""
        members = self.store.members
        if members.version == self.saved or self._newer_memory() is not None or not members.version:
            return None
        self.saved = members.version
        return Roster(self.store.applied, members.next_id, [row for _, row in sorted(members.rows.items())])

    # ------------------------------------------------------------------------------------------------- the others

    def links(self) -> list[Peer]:
        """Everyone this node has to reach: the members of the table, and who has a say in the configuration."""
        rows = self.rows()
        ids = {row.id for row in rows.values() if row.active} | self.core.parties
        ids |= {id for id in self.linked if self._parting(id)}
        self.newer = {id: name for id, name in self.newer.items() if id >= self._next_id()}
        ids |= self.newer.keys()
        ids.discard(self.config.node)
        self.linked = ids
        return [
            Peer(id, rows[id].name, rows[id].peer) if id in rows else Peer(id, self.newer.get(id, ""), "")
            for id in sorted(ids)
        ]

    def _parting(self, member: int) -> bool:
        """Whether a member that the newest configuration leaves out is still listened to.

        Until that configuration is committed it takes part in the old one; and if it leads, it has yet to hand over.
        """
        return not self.core.config_settled or self.core.leader == member

    def nodes(self) -> list[NodeInfo]:
        """The members as clients are told of them."""
        infos = {row.id: NodeInfo(row.id, row.name, row.client, row.http) for row in self.rows().values() if row.active}
        if self.config.node in infos:
            infos[self.config.node] = self.me
        return [info for _, info in sorted(infos.items())]

    def admit(self, node: int, name: str, incarnation: str) -> tuple[Reason, str] | None:
        """Why the node that proved to know the secret may not speak here; None: it may.

        One that came later than all that is known here is remembered, so that it is answered.
        """
        parties = self.core.parties
        if node >= self._next_id() and node not in parties:
            # It became a member while this node was away; as it knows the secret, it is to be believed: refusing it could
            # leave this node alone for ever, when all whom it knows have gone.
            if len(self.newer) < self.config.limits.members:
                self.newer[node] = name
            return None
        in_config = node in parties or (node in self.linked and self._parting(node))
        # By a table that is ahead of the own log nobody is turned away for good: a member that the table has given up takes
        # part in consensus until that is decided, which may need its own vote, and whether it is, the log has yet to tell.
        in_config = in_config or (self._newer_memory() is not None and self.gone(node))
        return admit(self.rows().get(node), self.gone(node), in_config, node, name, incarnation)

    # ---------------------------------------------------------------------------------------------------- this one

    def expelled(self) -> RingleaderError | None:
        """Why this node is no member any more, by what is committed; None while it is one, or may become one."""
        node, name = self.config.node, self.config.name
        in_config = node in self.core.parties
        if self.gone(node) and not (in_config or not self.core.config_settled):
            return expulsion(Reason.MEMBER_REMOVED, "this node was removed from the cluster", name)
        row = self.rows().get(node)
        if row is not None and row.incarnation and self.config.incarnation not in ("", row.incarnation):
            text = "this data folder is not the one that the cluster knows as this member: it was wiped or restored"
            return expulsion(Reason.DATA_REPLACED, text, name)
        return None

    def report_due(self, now: float) -> MemberUpdate | None:
        """What this node has to tell the table of itself, if that is due: once it has applied all that is committed."""
        if now < self.report_at or not self.core.leader:
            return None
        if self.store.applied < self.core.commit or self.core.contact == float("-inf"):
            return None
        self.report_at = now + REPORT
        row = self.store.members.rows.get(self.config.node)
        if row is None or not row.active:
            return None
        me, config = self.me, self.config
        known = (row.peer, row.client, row.http, row.incarnation, row.supports)
        wanted = (
            config.peer or row.peer,
            me.client or row.client,
            me.http or row.http,
            row.incarnation or config.incarnation,
            config.supports,
        )
        return MemberUpdate(row.id, *wanted) if known != wanted else None

    def reported(self, answer: Results | Refused) -> None:
        """The answer to a report: when the table refuses it, there is no hurry to ask again."""
        if isinstance(answer, Results):
            refused = any(getattr(result, "message", "") for result in answer.results)
            self.report_at += REPORT_AGAIN if refused else 0.0
