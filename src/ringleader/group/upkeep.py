"""What the leader proposes of its own accord: leases and tokens that are over, history that may go, promotions, upgrades."""

from __future__ import annotations

from ringleader.group.compaction import Compactor
from ringleader.group.leading import Leading
from ringleader.group.proposals import Proposals
from ringleader.group.shared import Shared
from ringleader.store.auth_ops import ExpireTokens
from ringleader.store.commands import Compact, ExpireLeases, RaiseVersion
from ringleader.store.member_ops import MemberPromote
from ringleader.store.version import supported_by_all

__all__ = ["LEADERS_OWN", "Upkeep"]

LEADERS_OWN = frozenset({ExpireLeases, ExpireTokens, RaiseVersion})
"""Commands that no client may send."""


class Upkeep:
    """Call `members` and `state` now and then while the leader's clock runs, `applied` whenever something was."""

    def __init__(self, shared: Shared, leading: Leading, proposals: Proposals) -> None:
        self._shared = shared
        self._leading = leading
        self._proposals = proposals
        self._compactor = Compactor()

    def applied(self) -> None:
        """Something was applied: note what stood when, for whoever may lead later."""
        store = self._shared.store
        self._compactor.note(store.time_ms, store.revision, store.settings)

    def forget(self) -> None:
        """The state was replaced by a snapshot: what stood when is no longer known."""
        self._compactor.forget()

    def members(self) -> None:
        """Bring the configuration one step nearer to the table of members."""
        for member in self._leading.next_members():
            self._proposals.say(MemberPromote(member))

    def state(self) -> None:
        """Look for what is over."""
        store, say = self._shared.store, self._proposals.say
        time_ms = self._leading.clock.read(self._shared.now)
        due = store.due_leases(time_ms)
        if due:
            say(ExpireLeases(due))
        tokens = store.auth.due_tokens(time_ms)
        if tokens:
            say(ExpireTokens(tokens))
        target = self._compactor.target(
            time_ms, store.revision, store.compact_revision, store.settings, store.quota.pressed
        )
        if target:
            say(Compact(target))
        version = supported_by_all(store.members.rows.values())
        if version > store.version:
            say(RaiseVersion(version))
