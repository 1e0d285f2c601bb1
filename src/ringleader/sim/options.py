"""What one seed is like: its size, its load, its habits, and the subset of faults it turns on, each at its own strength.

This is swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): a world with every fault at once hides the bugs that need
one fault to be absent, so each seed leaves out a random half, and draws the strength of the rest over orders of magnitude.
"""

from __future__ import annotations

import msgspec

from ringleader.sim.choice import Choice, stream
from ringleader.sim.disk import DiskHabits
from ringleader.store.settings import Settings

__all__ = ["FAULTS", "ClockOptions", "DiskOptions", "LoadOptions", "NetOptions", "Options", "draw"]

FAULTS: dict[str, tuple[float, float]] = {
    "partition": (3.0, 15.0),
    "one-way": (3.0, 15.0),
    "partial": (5.0, 20.0),
    "isolate-leader": (4.0, 15.0),
    "reset": (0.2, 3.0),
    "slow-link": (2.0, 10.0),
    "kill": (3.0, 15.0),
    "power-cut": (3.0, 15.0),
    "power-cut-all": (8.0, 30.0),
    "crash-point": (0.7, 5.0),
    "pause": (3.0, 12.0),
    "freeze": (4.0, 15.0),
    "slow-disk": (3.0, 12.0),
    "disk-full": (6.0, 20.0),
    "sync-error": (6.0, 20.0),
    "clock-rate": (3.0, 15.0),
    "clock-jump": (4.0, 20.0),
    "absence": (6.0, 20.0),
    "disk-rot": (5.0, 20.0),
    "client-crash": (3.0, 15.0),
    "client-disconnect": (1.0, 8.0),
    "client-pause": (2.0, 12.0),
    "churn": (0.7, 4.0),
    "kill-then-cut": (3.0, 15.0),
    "hand-over": (2.0, 12.0),
    "wipe": (8.0, 40.0),
}
"""Every kind of fault that a seed may turn on: the shortest and longest mean time between two of them, in seconds."""

CLOCK_FAULTS = frozenset({"freeze", "clock-rate", "clock-jump"})
"""Those under which clocks do not keep what leases count on."""

LOSSES = frozenset({"churn", "wipe"})
"""Those that lose voters for good, so that others have to be removed or done without."""

FASTEST = 2.0
"""The highest rate of a clock under the fault "clock-rate"."""

SLOW = 0.004
"""A disk that syncs slower than this (seconds) gets no tiny windows and segments too: the load would not be met at all."""

LONG = 40.0
"""The duration of seeds that are held to being calm in the end."""

SLOW_ROUND = 0.008
"""Nor does a network on which a message and its answer take longer than this on average."""


class NetOptions(msgspec.Struct, frozen=True):
    """Delays in seconds (`delay` always, plus an exponential `jitter` by its mean), the rest probabilities.

    `stream`: links are in order and lose only when cut (then the next three mean nothing). `again`: that a client's frame
    reaches its node twice.
    """

    stream: bool = True
    delay: float = 0.0005
    jitter: float = 0.0005
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    again: float = 0.0


class DiskOptions(msgspec.Struct, frozen=True):
    """`sync`: mean seconds of a sync; `write`: seconds of any other operation. `segment_bytes`: of the log.
    `reserve_bytes`: kept by each node for when the disk is full."""

    habits: DiskHabits = DiskHabits()
    sync: float = 0.002
    write: float = 0.00005
    segment_bytes: int = 64 * 1024
    runway_bytes: int = 16 * 1024
    reserve_bytes: int = 64 * 1024


class ClockOptions(msgspec.Struct, frozen=True):
    """`drift`: nodes' clocks run at rates in [1 - drift, 1 + drift]."""

    drift: float = 0.0


class LoadOptions(msgspec.Struct, frozen=True):
    """`rate`: client calls a second over all clients. `keys`: how many keys they share. `outstanding`: most calls
    that a client has under way. `reads`: the share of reads. `timeout`: of a call, seconds, give or take half.
    `lease_reads`: the share of reads that trust the leader's lease; `compactions`: that of writes which compact instead.
    `watches`: the share of clients that also watch all keys or one.
    `padding`: up to so many bytes are added to a value. `leases`: how many each client has at a time; every `lease_beat`
    seconds on average it does something with them."""

    clients: int = 4
    rate: float = 60.0
    keys: int = 6
    outstanding: int = 50
    reads: float = 0.35
    timeout: float = 3.0
    lease_reads: float = 0.0
    compactions: float = 0.0
    watches: float = 0.5
    padding: int = 0
    leases: int = 0
    lease_beat: float = 0.4


class Options(msgspec.Struct, frozen=True):
    """One seed's world. Times in simulated seconds. `protocol`: of consensus; `phase2`: with Paxos, how many
    nodes have to accept a write (0: a majority).

    `faults`: kind to mean seconds between two. They happen in [`faults_from`, `faults_until`); the load goes on to
    `duration`; then `grace` is left for every call to end and all nodes to agree. `recode`: messages between nodes are
    encoded and decoded instead of passed as objects. `keep_entries`: what nodes keep in memory behind a snapshot. `tick`:
    seconds between two ticks of a node. `image_checks`: how often a running node's durable image is recovered and checked.
    `settings`: what an operator sets soon after the start, as to how long history stays.
    `lasting`: which links stay broken until `duration` (see `sim.calm`).
    `strikes`, `calls`: only these faults and calls happen, by number (None: all).
    """

    seed: int
    protocol: str = "raft"
    phase2: int = 0
    nodes: int = 3
    duration: float = 30.0
    faults_from: float = 1.0
    faults_until: float = 24.0
    grace: float = 15.0
    heartbeat: float = 0.1
    election: float = 1.0
    tick: float = 0.02
    snapshot_every: int = 2000
    keep_entries: int = 500
    session_ttl: float = 60.0
    recode: bool = False
    image_checks: int = 2
    append_bytes: int = 1 << 20
    window_messages: int = 256
    net: NetOptions = NetOptions()
    disk: DiskOptions = DiskOptions()
    clock: ClockOptions = ClockOptions()
    load: LoadOptions = LoadOptions()
    settings: Settings = Settings()
    lasting: str = ""
    faults: dict[str, float] = {}
    strikes: tuple[int, ...] | None = None
    calls: tuple[tuple[int, int], ...] | None = None

    @property
    def true_clocks(self) -> bool:
        """Whether all clocks keep within the bound that leases and leader leases count on."""
        return self.clock.drift < 0.01 and not self.faults.keys() & CLOCK_FAULTS

    @property
    def fastest(self) -> float:
        """The highest rate at which any node's clock may run."""
        return max(1.0 + self.clock.drift, FASTEST if "clock-rate" in self.faults else 1.0)

    def lines(self) -> list[str]:
        """All of it, one setting a line, for the head of a trace."""
        lines: list[str] = []
        for name, value in msgspec.to_builtins(self).items():
            if isinstance(value, dict) and name != "faults":
                lines += [f"{name}.{key}: {item}" for key, item in value.items()]
            elif name == "faults":
                lines.append(
                    "faults: " + (", ".join(f"{kind} every {mean:.1f} s" for kind, mean in value.items()) or "none")
                )
            elif name == "settings":
                lines += [f"settings.{key}: {item}" for key, item in msgspec.structs.asdict(self.settings).items()]
            elif isinstance(value, list | tuple):
                lines.append(f"{name}: only {len(value)}")
            else:
                lines.append(f"{name}: {value}")
        return lines


def draw(seed: int, nodes: int = 0, protocol: str = "raft") -> Options:
    """The options of `seed`, with all that it draws the same for every protocol. `nodes` 0: 3 or 5, as the seed says."""
    choice = stream(seed, "options")
    disk = msgspec.structs.replace(_draw_disk(choice), reserve_bytes=stream(seed, "reserve").choice((0, 4_096, 65_536)))
    drift = choice.choice((0.0, 0.001, 0.05, 0.2))
    snapshot_every = choice.choice((30, 100, 100, 300, 300, 1000, 100_000))
    drawn_nodes = choice.choice((3, 3, 5))
    faults = _draw_faults(seed)
    true = drift < 0.01 and not faults.keys() & CLOCK_FAULTS
    nodes = nodes or drawn_nodes
    phase2 = _draw_phase2(seed, nodes) if protocol == "paxos" else 0
    if phase2 > nodes // 2 + 1:
        for kind in LOSSES:
            faults.pop(kind, None)  # when members are few or lost for good, such a quorum may be gone for ever
    drawn = Options(
        seed=seed,
        protocol=protocol,
        phase2=phase2,
        nodes=nodes,
        tick=choice.choice((0.02, 0.03, 0.05)),
        snapshot_every=snapshot_every,
        keep_entries=choice.choice((0, 5, snapshot_every // 4)),
        session_ttl=choice.choice((2.0, 60.0)),
        recode=choice.random() < 0.1,
        append_bytes=choice.choice((1, 1000, 1 << 20, 1 << 20)) if disk.sync < SLOW else 1 << 20,
        window_messages=choice.choice((1, 8, 256, 256)) if disk.sync < SLOW else 256,
        net=_draw_net(choice),
        disk=disk,
        clock=ClockOptions(drift),
        load=_draw_load(choice, lease_reads=0.3 if true else 0.0),
        settings=_draw_settings(seed),
        faults=faults,
    )
    end = stream(seed, "end")
    if end.chance(0.08):
        broken = end.choice(("", "bridge", "ring"))
        drawn = msgspec.structs.replace(
            drawn,
            duration=LONG,
            lasting="" if phase2 or LOSSES & faults.keys() else broken,  # they want a quorum of their own
        )
    if 2 * (drawn.net.delay + drawn.net.jitter) > SLOW_ROUND:  # an entry or a message a round would be too few
        return msgspec.structs.replace(drawn, append_bytes=1 << 20, window_messages=256)
    return drawn


def _draw_faults(seed: int) -> dict[str, float]:
    """The kinds of this seed. Each kind draws from a stream of its own: a new one changes nothing in the others."""
    if stream(seed, "no faults").chance(0.1):  # bugs without any are bugs too
        return {}
    faults = {}
    for kind, (low, high) in FAULTS.items():
        choice = stream(seed, f"how often {kind}")
        if choice.chance(0.45):
            faults[kind] = choice.log_uniform(low, high)
    return faults


def _draw_settings(seed: int) -> Settings:
    """How long history stays: mostly longer than the world does, else about as long as a fault lasts."""
    choice = stream(seed, "settings")
    kind = choice.choice(("", "", "", "periodic", "periodic", "revisions", "off"))
    if kind == "periodic":
        return Settings(retention_ms=choice.choice((1_000, 3_000, 8_000)))
    if kind == "revisions":
        return Settings(compaction="revisions", retention_revisions=choice.choice((1, 20, 100)))
    return Settings(compaction="off") if kind else Settings()


def _draw_phase2(seed: int, nodes: int) -> int:
    """Mostly majorities; of five nodes also two, which elections then need four for, or four, with elections by two."""
    return stream(seed, "quorum").choice((0, 0, 2, 4)) if nodes == 5 else 0


def _draw_net(choice: Choice) -> NetOptions:
    bad = choice.random() < 0.4
    return NetOptions(
        stream=not bad,
        delay=choice.log_uniform(0.0001, 0.005),
        jitter=choice.log_uniform(0.0001, 0.01),
        loss=choice.log_uniform(0.001, 0.1) if bad and choice.random() < 0.7 else 0.0,
        duplicate=choice.log_uniform(0.001, 0.1) if bad and choice.random() < 0.7 else 0.0,
        reorder=choice.log_uniform(0.001, 0.3) if bad and choice.random() < 0.7 else 0.0,
        again=choice.choice((0.0, 0.0, 0.03)),
    )


def _draw_disk(choice: Choice) -> DiskOptions:
    sync = choice.log_uniform(0.0002, 0.04)
    habits = DiskHabits(
        writeback=choice.choice((0.0, 0.0, 0.1, 0.5)),
        keep=choice.choice((0.0, 0.3, 0.5, 0.9)),
        tear=choice.choice((0.0, 0.3, 1.0)),
        corrupt=choice.choice((0.0, 0.0, 0.1, 0.5)),
        keep_folder=choice.choice((0.0, 0.5, 0.9)),
    )
    return DiskOptions(
        habits=habits,
        sync=sync,
        write=choice.log_uniform(0.00001, 0.0005),
        segment_bytes=choice.choice((4_096, 16_384, 65_536, 1_048_576)) if sync < SLOW else 262_144,
        runway_bytes=choice.choice((0, 4_096, 16_384)),
    )


def _draw_load(choice: Choice, lease_reads: float) -> LoadOptions:
    return LoadOptions(
        clients=choice.choice((3, 4, 6)),
        rate=choice.uniform(55.0, 70.0),
        keys=choice.choice((2, 5, 8)),
        outstanding=choice.choice((30, 60, 60)),
        reads=choice.choice((0.2, 0.4, 0.6)),
        timeout=choice.choice((1.0, 3.0, 6.0)),
        lease_reads=lease_reads,
        compactions=choice.choice((0.0, 0.0, 0.02)),
        watches=choice.choice((0.0, 0.5, 1.0)),
        padding=choice.choice((0, 0, 300, 3000)),
        leases=choice.choice((0, 1, 2, 3)),
        lease_beat=choice.choice((0.2, 0.4, 0.8)),
    )
