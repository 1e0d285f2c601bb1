"""Puts the measured figures of `.bench/*.json` into docs/benchmarks.md, between its marks, with machine and date.

python -m bench kv capacity burst && python -m bench.report
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
from pathlib import Path
from typing import Any

__all__ = ["main"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def main() -> None:
    """Rewrite the tables that were measured."""
    text = PAGE.read_text()
    for name, table in (("kv", kv_table), ("capacity", capacity_table), ("burst", burst_table)):
        file = Path(f".bench/{name}.json")
        if file.exists():
            lines = table(json.loads(file.read_text()))
            marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            text = marks.sub(lambda match, lines=lines: match[1] + "\n".join(lines) + "\n" + match[2], text)  # type: ignore[misc]  # a default binds the loop's value
    PAGE.write_text(text)


def capacity_table(results: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """A row for each kind of idle thing."""
    lines = [
        "| | made in | memory each, on the fullest node | put p50 / p99, empty | with them "
        "| idle CPU of three nodes, empty / with |",
        "|---|---|---|---|---|---|",
    ]
    for what, rows in results.items():
        empty, held = rows["empty"], rows["with"]
        lines.append(
            f"| {what} | {held['seconds']:.1f} s | {held['bytes_each']:,.0f} bytes "
            f"| {empty['p50']:.2f} / {empty['p99']:.2f} ms | {held['p50']:.2f} / {held['p99']:.2f} ms "
            f"(**{held['p50'] / empty['p50']:.2f}x**) "
            f"| {empty['idle_cpu'] * 100:.1f} % / {held['idle_cpu'] * 100:.1f} % of a core |"
        )
    return lines


def burst_table(result: dict[str, Any]) -> list[str]:
    """What was offered, accepted and refused."""
    return [
        "| | puts/s | p50 | p99 |",
        "|---|---|---|---|",
        *(
            f"| {words} | {result[f'{what}, puts/s']:,} "
            f"| {result[times]['p50'] * 1e3:,.0f} ms | {result[times]['p99'] * 1e3:,.0f} ms |"
            for words, what, times in (
                ("at capacity", "capacity", "at capacity, s"),
                ("accepted in the burst", "accepted", "accepted, s"),
                ("refused in the burst", "refused", "refused, s"),
            )
        ),
        f"| offered in the burst | {result['offered, puts/s']:,} | | |",
    ]


def kv_table(results: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """A row for each load and each side."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    lines = [
        f"Measured {today} on {os.cpu_count()} cores ({platform.machine()}, {platform.system()}), "
        f"CPython {platform.python_version()}; clients and all three servers share the cores.",
        "",
        "| load | | calls/s | p50 ms | p99 ms | server CPU us/call (three nodes) | client CPU us/call |",
        "|---|---|---|---|---|---|---|",
    ]
    for load, rows in results.items():
        for who, row in rows.items():
            theirs = [each["rps"] for peer, each in rows.items() if peer.startswith("etcd")]
            ratio = ""
            if who == "ringleader" and theirs:
                ratio = " (**" + ", ".join(f"{row['rps'] / each:.1f}x" for each in theirs) + "**)"
            client = f"{row['client_us']:.0f}" if row["client_us"] else "-"
            lines.append(
                f"| {load} | {who} | {row['rps']:,.0f}{ratio} | {row['p50']:.2f} | {row['p99']:.1f} "
                f"| {row['server_us']:.0f} | {client} |"
            )
    return lines


if __name__ == "__main__":
    main()
