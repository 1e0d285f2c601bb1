"""Puts and linearizable gets beside etcd: three nodes each, fsync on, 256-byte values, one cluster at a time.

etcd is driven by a lean Go client (`bench/peers/etcdload.go`), which has 4 connections for many callers, as its clients
do; ours by its own Python client. Both sides in default configuration. Told are medians of BENCH_ROUNDS rounds (3) of
BENCH_SECONDS seconds (2) for each load, because shared machines are noisy.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import pysyncobj
from bench.cluster import EtcdCluster, RingleaderCluster, cpu_seconds

__all__ = ["main"]

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
OURS = "ringleader"
Row = dict[str, float]
WARM_UP = (1, 1, 16, False)
"""A load on each new cluster that does not count: while its files are made, syncs take longer."""
WHAT = {False: "put", True: "linearizable get"}
"""What is asked, by whether it is a read."""

# name, processes, connections in each, callers on each connection
SHAPES = [
    ("1 caller", 1, 1, 1),
    ("64 connections x 1 call, 4 processes", 4, 16, 1),
    ("1 process, 64 concurrent calls", 1, 1, 64),
    ("1 process, 256 concurrent calls", 1, 1, 256),
]


def ours(cluster: RingleaderCluster, processes: int, connections: int, callers: int, read: bool) -> Row:
    """One measurement of our cluster."""
    command = [sys.executable, "-m", "bench.load", "--endpoints", cluster.endpoints, "--seconds", str(SECONDS)]
    command += ["--connections", str(connections), "--callers", str(callers)]
    return _measure([command + (["--get"] if read else [])] * processes, cluster.pids)


def theirs(cluster: EtcdCluster, load: Path, processes: int, connections: int, callers: int, read: bool) -> Row:
    """The same load on etcd's leader."""
    calls = connections * callers
    channels = connections if processes > 1 else min(4, calls)
    command = [str(load), "-addr", cluster.leader, "-c", str(calls), "-chans", str(channels), "-s", str(SECONDS)]
    return _measure([command + (["-get"] if read else [])] * processes, cluster.pids)


def _measure(commands: list[list[str]], pids: list[int]) -> Row:
    before = cpu_seconds(pids)
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    answers: list[Row] = []
    for process in running:
        out, _ = process.communicate(timeout=60 + SECONDS)
        if process.returncode:
            raise RuntimeError(f"the load ended with exit code {process.returncode}")
        answers.append(json.loads(out))
    used = cpu_seconds(pids) - before
    rps = sum(answer["rps"] for answer in answers)
    return {
        "rps": rps,
        "p50": statistics.median(answer["p50"] for answer in answers),
        "p99": max(answer["p99"] for answer in answers),
        "err": sum(answer["err"] for answer in answers),
        "server_us": used / (rps * SECONDS) * 1e6,
        "client_us": statistics.median(answer.get("client_us", 0.0) for answer in answers),
    }


def _median(rows: list[Row]) -> Row:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def _build_load(folder: Path) -> Path | None:
    if not (shutil.which("etcd") and shutil.which("go")):
        return None
    target = folder / "etcdload"
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    source = Path(__file__).parent / "peers" / "etcdload.go"
    built = subprocess.run(["go", "build", "-o", str(target), str(source)], env=env, capture_output=True, check=False)
    return target if built.returncode == 0 else None


def etcds() -> dict[str, str]:
    """The etcd servers that are there: the one on the PATH and those that ETCD_BINARIES names, by "etcd 3.5"."""
    found: dict[str, str] = {}
    for binary in filter(None, [shutil.which("etcd"), *os.environ.get("ETCD_BINARIES", "").split(",")]):
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        version = told.partition("etcd Version: ")[2].split()[0]
        found[f"etcd {version.rpartition('.')[0]}"] = binary
    return found


def measure(peers: dict[str, str], load: Path | None) -> dict[str, dict[str, list[Row]]]:
    """All loads, by title and by whom they were put on, a row for each round.

    In each round the sides take turns, each with a new cluster that gets all loads: so whatever else the machine does falls
    on all of them alike.
    """
    found: dict[str, dict[str, list[Row]]] = {title: {} for title, *_ in _loads()}
    for _ in range(ROUNDS):
        with RingleaderCluster() as cluster:
            cluster.wait_ready()
            ours(cluster, *WARM_UP)
            for title, processes, connections, callers, read in _loads():
                found[title].setdefault(OURS, []).append(ours(cluster, processes, connections, callers, read))
        for who, binary in peers.items():
            assert load is not None
            with EtcdCluster(binary=binary) as etcd:
                etcd.wait_ready()
                theirs(etcd, load, *WARM_UP)
                for title, processes, connections, callers, read in _loads():
                    row = theirs(etcd, load, processes, connections, callers, read)
                    found[title].setdefault(who, []).append(row)
    return found


def _loads() -> list[tuple[str, int, int, int, bool]]:
    return [(f"{what}, {shape[0]}", *shape[1:], read) for read, what in WHAT.items() for shape in SHAPES]


def main() -> None:
    """Measure and print; figures go to .bench/kv.json."""
    results: dict[str, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory(prefix="ringleader-bench-") as folder:
        load = _build_load(Path(folder))
        if load is None:
            print("etcd or Go's gRPC is missing (apt install etcd-server golang-go golang-google-grpc-dev): ours alone")
        for title, rows in measure(etcds() if load is not None else {}, load).items():
            results[title] = {who: _median(measured) for who, measured in rows.items()}
            _print(title, results[title])
    results |= pysyncobj.measure(SECONDS)
    for title in pysyncobj.TITLES:
        if title in results:
            _print(title, results[title])
    Path(".bench").mkdir(exist_ok=True)
    Path(".bench/kv.json").write_text(json.dumps(results, indent=1))


def _print(title: str, row: dict[str, Row]) -> None:
    print(title)
    for who, figures in row.items():
        ratio = "" if who in (OURS, "pysyncobj") else f"  ours {row[OURS]['rps'] / figures['rps']:.2f}x"
        print(
            f"  {who:10} {figures['rps']:9,.0f}/s  p50 {figures['p50']:7.2f} ms  p99 {figures['p99']:7.2f} ms"
            f"  server {figures['server_us']:6.1f} us/op  client {figures['client_us']:6.1f} us/op"
            f"  errors {figures['err']:.0f}{ratio}",
            flush=True,
        )


if __name__ == "__main__":
    main()
