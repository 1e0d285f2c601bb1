"""What a node counts about itself, and how Prometheus is told: cheap numbers on the hot path, names only when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ringleader.wire.frames import StatusReply

__all__ = ["Histogram", "NodeCollector", "Stats"]

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


EVENTS = {
    "submits": "Requests to write, from clients of this node",
    "queries": "Requests to read, from clients of this node",
    "forwarded": "Writes passed on to the leader",
    "overloaded": "Writes refused because too much was waiting",
    "refused_no_room": "Writes refused because the leader's disk is full",
    "garbled_forwards": "Messages of another node that made no sense",
    "entries": "Log entries proposed here",
    "applied_entries": "Log entries applied here",
    "leaderships": "Times that this node became the leader",
    "snapshots_taken": "Own snapshots made durable",
    "snapshots_fetched": "Snapshots fetched from another node",
    "snapshots_installed": "Times that the state was replaced by a snapshot",
    "snapshots_without_room": "Snapshots given up because the disk is full",
    "fetches_without_room": "Snapshots of other nodes given up because the disk is full",
    "acknowledged_lost": "Times that this leader found that a member had lost what it had acknowledged as durable",
}
"""What a group counts, and in words."""


class Histogram:
    """Counts of durations, seconds, by `BOUNDS`."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """As Prometheus wants it: cumulative."""
        buckets: list[tuple[str, float]] = []
        seen = 0
        for bound, count in zip([*map(str, BOUNDS), "+Inf"], list(self.counts), strict=True):
            seen += count
            buckets.append((bound, seen))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self.total)


@dataclass
class Stats:
    """Written by the loop, read by the HTTP threads; a reading may mix two turns. Times are monotonic seconds.

    `status`: the node's own, refreshed about ten times a second.
    """

    status: StatusReply | None = None
    last_turn: float = 0.0
    turns: int = 0
    client_frames: int = 0
    client_answers: int = 0
    client_connections: int = 0
    clients_refused: int = 0
    peer_messages_in: int = 0
    peer_messages_out: int = 0
    peer_messages_dropped: int = 0
    peers_connected: int = 0
    disk_bytes: int = 0
    disk_seconds: Histogram = field(default_factory=Histogram)
    turn_seconds: Histogram = field(default_factory=Histogram)
    events: dict[str, int] = field(default_factory=dict)
    waiting_bytes: int = 0
    waiting_limit: int = 0
    catching_up: bool = False
    failure: str = ""
    disk_full: bool = False
    stopping: bool = False


class NodeCollector(Collector):
    """Turns `Stats` into metric families when scraped. `group` is a label: one node will serve several."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily]:
        """All families."""
        stats = self._stats
        yield from self._consensus(stats.status)
        for name, text, value in self._gauges(stats):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, value in self._counters(stats):
            yield CounterMetricFamily(name, text, value=value)
        events = CounterMetricFamily(
            "ringleader_group_events", "What the group has done, by event", labels=["group", "event"]
        )
        for name in EVENTS:
            events.add_metric(["0", name], stats.events.get(name, 0))
        yield events
        yield stats.disk_seconds.family(
            "ringleader_disk_work_seconds", "Time from handing out a batch of disk work to its completion"
        )
        yield stats.turn_seconds.family("ringleader_loop_turn_seconds", "Time that one turn of the node took")

    @staticmethod
    def _consensus(status: StatusReply | None) -> Iterator[GaugeMetricFamily]:
        if status is None:
            return
        values = [
            ("term", "The present term", status.term),
            ("leader", "Id of the leader as known here, 0 for nobody", status.leader),
            ("is_leader", "Whether this node leads", status.role == "leader"),
            ("commit_index", "Highest index known to be committed", status.commit),
            ("applied_index", "Highest index applied here", status.applied),
            ("last_index", "Highest index in the log here", status.last_index),
            ("revision", "Revision of the store here", status.revision),
            ("compact_revision", "History below this revision is gone", status.compact_revision),
            ("used_bytes", "Bytes of keys, values and history, as the quota counts them", status.used_bytes),
            ("quota_bytes", "Most of them that are allowed, 0 for no limit", status.quota_bytes),
            ("cluster_version", "Version of the rules that the cluster lives by", status.cluster_version),
            ("supported_version", "Highest such version that this node supports", status.supports),
            ("disk_full", "Whether the disk of this node is full", status.disk_full),
            ("full", "Whether puts are refused for lack of room", status.full),
            ("voters", "Voting members", len(status.voters)),
        ]
        for name, text, value in values:
            family = GaugeMetricFamily(f"ringleader_{name}", text, labels=["group"])
            family.add_metric(["0"], float(value))
            yield family
        yield GaugeMetricFamily("ringleader_uptime_seconds", "Since the node was opened", value=status.uptime)

    @staticmethod
    def _gauges(stats: Stats) -> Iterable[tuple[str, str, float]]:
        return [
            ("ringleader_client_connections", "Open client connections", stats.client_connections),
            ("ringleader_loop_turn_longest_seconds", "The longest turn since the start", stats.turn_seconds.longest),
            ("ringleader_peers_connected", "Peers that this node can send to now", stats.peers_connected),
            ("ringleader_writes_waiting_bytes", "Writes taken in here and not answered yet", stats.waiting_bytes),
            ("ringleader_writes_waiting_limit_bytes", "More than that is refused as overloaded", stats.waiting_limit),
        ]

    @staticmethod
    def _counters(stats: Stats) -> Iterable[tuple[str, str, float]]:
        return [
            ("ringleader_client_frames", "Frames from clients", stats.client_frames),
            ("ringleader_client_answers", "Frames to clients", stats.client_answers),
            ("ringleader_clients_refused", "Client connections ended with a complaint", stats.clients_refused),
            ("ringleader_peer_messages_received", "Messages from peers", stats.peer_messages_in),
            ("ringleader_peer_messages_sent", "Messages handed to links", stats.peer_messages_out),
            ("ringleader_peer_messages_dropped", "Messages dropped by links", stats.peer_messages_dropped),
            ("ringleader_disk_written_bytes", "Bytes written to the data folder", stats.disk_bytes),
            ("ringleader_loop_turns", "Turns of the node's loop", stats.turns),
        ]
