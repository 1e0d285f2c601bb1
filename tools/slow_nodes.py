"""How long a put takes in five nodes of which some have slow disks: Raft, Paxos with majorities, Paxos that writes with two.

    python -m tools.slow_nodes

In the simulator, so that nothing but the protocol and the disks is in the figures: whole nodes and clients, a disk that
syncs in 2 ms on average (exponentially distributed), links of 1 ms; slow disks take twenty times as long. Slow nodes are
followers; a put counts from the client's call to its answer, from when they are slow on.
"""

from __future__ import annotations

import statistics

from ringleader.sim.options import DiskOptions, LoadOptions, NetOptions, Options
from ringleader.sim.record import Outcome
from ringleader.sim.run import run_seed
from ringleader.sim.world import World
from ringleader.store.commands import Put

__all__ = ["ENGINES", "latencies", "table"]

ENGINES = {"Raft": ("raft", 0), "Paxos, majorities": ("paxos", 0), "Paxos, phase-2 quorum 2": ("paxos", 2)}
SLOWER = 20.0
SINCE, UNTIL = 4.0, 12.0
"""Simulated seconds between which puts count."""


def latencies(protocol: str, phase2: int, slow: int, seed: int = 1) -> list[float]:
    """Seconds that each put took with so many slow followers. Raises `RuntimeError` when the run breaks an invariant."""
    options = Options(
        seed=seed,
        protocol=protocol,
        phase2=phase2,
        nodes=5,
        duration=UNTIL + 1.0,
        faults_until=UNTIL + 0.5,
        image_checks=0,
        net=NetOptions(delay=0.001, jitter=0.0001),
        disk=DiskOptions(sync=0.002),
        load=LoadOptions(clients=4, rate=60.0, reads=0.0, watches=0.0),
    )
    worlds: list[World] = []

    def made(world: World) -> None:
        worlds.append(world)
        world.timeline.at(SINCE, slow_down, world)

    def slow_down(world: World) -> None:
        followers = [each for each in world.machines.values() if each.host is not None and not each.host.core.leads]
        for machine in followers[:slow]:
            machine.work.slow = SLOWER

    report = run_seed(seed, options, made=made)
    if not report.ok:
        raise RuntimeError(report.line())
    records = worlds[0].log.records
    return [
        record.end - record.call
        for record in records
        if type(record.op) is Put and record.outcome is Outcome.ANSWERED and SINCE < record.call < UNTIL
    ]


def table(most: int = 3) -> list[str]:
    """Lines of Markdown: p50 / p99 in milliseconds with 0 to `most` slow followers."""
    lines = [
        "| five nodes | " + " | ".join("none slow" if not slow else f"{slow} slow" for slow in range(most + 1)) + " |",
        "|---|" + "---|" * (most + 1),
    ]
    for name, (protocol, phase2) in ENGINES.items():
        cells = []
        for slow in range(most + 1):
            took = sorted(latencies(protocol, phase2, slow))
            cells.append(f"{statistics.median(took) * 1e3:.1f} / {took[len(took) * 99 // 100] * 1e3:.1f} ms")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
