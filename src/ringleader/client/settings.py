"""The cluster's settings as users see and change them: how much room there is, and how long history stays."""

from __future__ import annotations

import msgspec

from ringleader.client.engine import Engine
from ringleader.client.types import to_timeout_ms
from ringleader.store import commands as wire

__all__ = ["ClusterSettings", "change", "fetch"]


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole cluster has agreed on, and how full it is.

    `quota_bytes`: most that keys, values and history may take, 0 for no limit; `used_bytes` of it are used,
    `history_bytes` of them by past versions; `full`: puts are refused until there is room. `compaction`: "periodic"
    keeps the history of the last `retention` seconds, "revisions" the last `retention_revisions`, "off" all of it.
    """

    quota_bytes: int
    used_bytes: int
    history_bytes: int
    full: bool
    compaction: str
    retention: float
    retention_revisions: int


async def fetch(engine: Engine, timeout: float) -> ClusterSettings:
    """The settings in force."""
    (result,) = await engine.wait(*engine.query((wire.SettingsQuery(),), timeout, "linearizable", 0))
    return _settings(result)


async def change(
    engine: Engine,
    timeout: float,
    quota_bytes: int | None,
    compaction: str | None,
    retention: float | None,
    retention_revisions: int | None,
) -> ClusterSettings:
    """Change what is not `None`; returns the settings after it."""
    retention_ms = None if retention is None else to_timeout_ms(retention, "retention")
    command = wire.Configure(quota_bytes, compaction, retention_ms, retention_revisions)
    (result,) = await engine.wait(*engine.submit((command,), timeout))
    return _settings(result)


def _settings(result: wire.Result) -> ClusterSettings:
    assert isinstance(result, wire.SettingsResult)
    return ClusterSettings(
        quota_bytes=result.quota_bytes,
        used_bytes=result.used_bytes,
        history_bytes=result.history_bytes,
        full=result.full,
        compaction=result.compaction,
        retention=result.retention_ms / 1000,
        retention_revisions=result.retention_revisions,
    )
