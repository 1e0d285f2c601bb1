"""What the whole cluster has agreed on: settings that stand in the replicated state, so that every member decides alike.

They change by a command in the log (`Configure`), never by a node's own configuration: two members with different quotas
would apply the same entry differently, and no longer be the same store.
"""

from __future__ import annotations

import msgspec

from ringleader.store.commands import Configure
from ringleader.store.refusal import Refusal, invalid

__all__ = ["COMPACTION_MODES", "Settings", "changed"]

COMPACTION_MODES = ("periodic", "revisions", "off")
_GIB = 1 << 30


class Settings(msgspec.Struct, array_like=True, frozen=True):
    """`quota_bytes`: the most that keys, values and their history may take; 0: no limit.

    `compaction`: "periodic" keeps the history of the last `retention_ms` (log time), "revisions" the last
    `retention_revisions` revisions, "off" everything until somebody compacts by hand.
    """

    quota_bytes: int = 2 * _GIB
    compaction: str = "periodic"
    retention_ms: int = 300_000
    retention_revisions: int = 100_000


_BOUNDS = {
    "quota_bytes": (0, 1 << 50),
    "retention_ms": (1000, 366 * 24 * 3_600_000),
    "retention_revisions": (1, 1 << 50),
}


def changed(settings: Settings, op: Configure) -> Settings:
    """The settings with what `op` names changed; raises `Refusal` for a value that makes no sense."""
    wanted = {field: value for field in Settings.__struct_fields__ if (value := getattr(op, field)) is not None}
    for field, (low, high) in _BOUNDS.items():
        if field in wanted and not low <= wanted[field] <= high:
            raise Refusal(invalid(f"the setting {field} has to be from {low} to {high}, not {wanted[field]}"))
    if wanted.get("compaction", "off") not in COMPACTION_MODES:
        modes = ", ".join(COMPACTION_MODES)
        raise Refusal(invalid(f"the setting compaction is one of {modes}, not {wanted['compaction'][:32]!r}"))
    return msgspec.structs.replace(settings, **wanted)
