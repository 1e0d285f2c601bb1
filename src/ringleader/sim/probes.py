"""`sometimes` probes: counters of the interesting states that a corpus of seeds must have reached.

A simulator that never reaches the hard cases finds nothing and says so to nobody. Each probe is a name declared here; the
runner adds up the counts over all seeds, and the test suite fails when a probe was never hit.
"""

from __future__ import annotations

from collections.abc import Iterable

from ringleader.sim.disk import CutReport

__all__ = ["PROBES", "Probes"]

PROBES: dict[str, str] = {
    "leader elected": "a node became leader",
    "leader deposed": "a leader stepped down while it ran",
    "two leaders at once": "an old leader had not yet noticed a newer one",
    "entries overwritten": "a follower replaced entries that were never committed",
    "old-term entry committed": "an entry was committed by a leader of a later term",
    "message lost": "the network lost a message between nodes",
    "message duplicated": "the network delivered a message twice",
    "message overtaken": "a message arrived before one sent earlier on the same link",
    "partition": "some links were cut",
    "one-way partition": "a link was cut in one direction only",
    "partial connectivity": "a bridge or ring: everyone reaches some, not all reach all",
    "links broken for good": "when the faults ended not everybody reached everybody yet",
    "power cut": "a node lost its memory and what it had not synced",
    "process killed": "a node lost its memory alone",
    "power cut right after a restart": "a node lost power soon after it had read what a killed process had left behind",
    "all nodes down at once": "the whole cluster was cut off from power",
    "crash in disk work": "a node crashed between two disk operations of one batch",
    "crash before send": "a node crashed with its batch durable and its messages unsent",
    "crash in mid-send": "a node crashed with some of its messages sent",
    "crash in recovery": "a node crashed while it recovered",
    "unsynced bytes lost": "a power cut took bytes that were not synced",
    "unsynced bytes kept": "a power cut left some bytes that were not synced",
    "page torn": "a power cut left some sectors of a page",
    "sector corrupted": "a power cut left garbage in bytes that were not synced",
    "folder change lost": "a power cut took back a create, rename or unlink",
    "disk full": "a disk filled up: its node takes no new work",
    "waited for room": "a disk operation was put off for want of room",
    "room again": "a disk that was full has room again, while its node ran on",
    "sync failed": "a sync failed with an input/output error",
    "pause": "a node stood still while the world went on",
    "clock frozen": "a node stood still and its clock with it",
    "snapshot installed": "a node was brought up by a snapshot",
    "log compacted": "a node threw away the head of its log",
    "no room for a snapshot": "the disk was full when a snapshot was to be written",
    "recovered from snapshot": "a node restarted from a snapshot",
    "client crashed": "a client lost its memory with calls outstanding",
    "client connection lost": "a client's connection broke",
    "outcome unknown": "a client was told that nobody knows whether its write happened",
    "member added": "a new node joined",
    "configuration changed": "a change of members was carried out",
    "leader crashed in a joint change": "a leader crashed while a joint configuration was in force",
    "leadership handed over": "a leader told another node to take over",
    "leader removed": "the configuration left the leader out",
    "learner away as it is to be promoted": "a learner was down when it was asked to be made a voter",
    "learner promoted": "a learner became a voter",
    "wiped node came back": "a node started with an empty disk under its old name",
    "needed voter wiped": "a voter lost its disk, and the leader its links, when others lacked what was committed",
    "expelled node stopped": "a node found out that it was no member any more",
    "link refused": "a node would not talk to another that is no member, or not the same any more",
    "session expired with a call pending": "a client's session was gone while nobody could tell what had become of a call",
    "client frame repeated": "a node was sent a frame of a client twice",
    "client paused": "a client stood still while the world went on",
    "lease expired": "the cluster ended a lease whose time was over",
    "lease expired by a later leader": "a leader ended a lease that an earlier one had granted or kept alive last",
    "expiry came too late": "a lease was kept alive between the leader's decision to expire it and the log's turn",
    "keep-alive came too late": "a client tried to keep a lease alive that had ended",
    "lock taken": "a client took the lock",
    "fenced off": "a holder that had lost its lock tried to write with the old token and was refused",
    "damage noticed": "a node refused to start on a damaged disk",
    "damaged list of members": "a node refused to start because its list of members was damaged",
    "damaged part of a snapshot": "a node started although what it had of a snapshot on its way was damaged",
    "watch began in the future": "a watch was set up from a revision that had not happened",
    "watch began in compacted history": "a watch was asked for from a revision that was gone, and was told so",
    "history compacted by itself": "a leader had old history compacted, as the cluster's settings say",
    "watch compacted away": "a watch had to start again because the history it needed was compacted away",
    "command retried": "the same command of a session stood in the log twice",
}
"""Every probe and what it means."""


class Probes:
    """Counts by probe name."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(PROBES, 0)

    def hit(self, name: str, times: int = 1) -> None:
        """The state was reached. Raises `KeyError` for a name that is not declared."""
        self.counts[name] += times

    def count_cut(self, report: CutReport) -> None:
        """A power cut did this."""
        self.hit("unsynced bytes lost", report.lost > 0)
        self.hit("unsynced bytes kept", report.kept > 0)
        self.hit("page torn", report.torn > 0)
        self.hit("sector corrupted", report.corrupted > 0)
        self.hit("folder change lost", report.folder_lost > 0)

    def add(self, other: Probes) -> None:
        """Add the counts of another seed."""
        for name, count in other.counts.items():
            self.counts[name] += count

    def missing(self, but: Iterable[str] = ()) -> list[str]:
        """The probes that were never hit, but for those named."""
        spared = set(but)
        return [name for name, count in self.counts.items() if not count and name not in spared]
