"""When history goes: the leader's judgement, from the settings in the log and from what it saw applied.

Every member notes which revision stood at which log time, as it applies; whoever leads proposes a `Compact` through the
log up to the newest revision that is old enough. So a change of leader does not start the time anew (a restart from a
snapshot does: then history stays longer, never shorter). When the quota is nearly used up, history goes after
`PRESSED_MS` instead of the whole retention.

The command costs each member the same few microseconds however much it compacts; memory is freed by `Store.trim`.
"""

from __future__ import annotations

from collections import deque

from ringleader.store.settings import Settings

__all__ = ["PRESSED_MS", "Compactor"]

PRESSED_MS = 30_000
"""How old history gets at most while the quota is nearly used up; longer than an idle watch waits for its progress."""
SAMPLES = 100
"""So many notes cover the retention: how exact it is."""
PARTS = 10
"""History is compacted when about one part in so many of what is kept could go: not for every revision."""


LOOK_MS = 1000
"""Where the last revisions are kept, so often is looked how many there are."""


class Compactor:
    """What stood when, and what may go. Times are log times in milliseconds."""

    __slots__ = ("_looked_ms", "_samples")

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque()  # (log time, revision that stood then), oldest first
        self._looked_ms = -(1 << 62)

    def note(self, time_ms: int, revision: int, settings: Settings) -> None:
        """At log time `time_ms` the store stood at `revision`; call it as entries are applied."""
        samples = self._samples
        if samples and time_ms < samples[-1][0] + self._grain(settings):
            return
        samples.append((time_ms, revision))
        while len(samples) > 1 and samples[1][0] <= time_ms - settings.retention_ms:
            samples.popleft()

    @staticmethod
    def _grain(settings: Settings) -> int:
        return max(settings.retention_ms // SAMPLES, 100)

    def forget(self) -> None:
        """The state was replaced by a snapshot: what stood when is no longer known."""
        self._samples.clear()

    def target(self, now_ms: int, revision: int, compact_revision: int, settings: Settings, pressed: bool) -> int:
        """The revision to compact at now, 0 for not now. `pressed`: room is getting short."""
        keep_ms = min(settings.retention_ms, PRESSED_MS) if pressed else settings.retention_ms
        period_ms = max(keep_ms // PARTS, 100)
        if settings.compaction == "revisions":
            period_ms = min(period_ms, LOOK_MS)  # how fast they come has nothing to do with the retention time
        if settings.compaction == "off" or now_ms < self._looked_ms + period_ms:
            return 0
        self._looked_ms = now_ms
        if settings.compaction == "periodic" or pressed:
            target = self._stood_at(now_ms - keep_ms)
        else:
            target = 0
        if settings.compaction == "revisions":
            keep = settings.retention_revisions
            oldest = revision - keep
            if oldest - compact_revision >= max(keep // PARTS, 1):
                target = max(target, oldest)
        return target if target > compact_revision else 0

    def _stood_at(self, time_ms: int) -> int:
        found = 0
        for sample_ms, revision in self._samples:
            if sample_ms > time_ms:
                break
            found = revision
        return found
