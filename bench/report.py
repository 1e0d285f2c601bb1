"""Puts the measured figures of `.bench/kv.json` into docs/benchmarks.md, between its marks, with machine and date.

python -m bench kv && python -m bench.report
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
from pathlib import Path

__all__ = ["main"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
MARKS = re.compile(r"(<!-- kv -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite the table."""
    results: dict[str, dict[str, dict[str, float]]] = json.loads(Path(".bench/kv.json").read_text())
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
    table = "\n".join(lines) + "\n"
    PAGE.write_text(MARKS.sub(lambda match: match[1] + table + match[2], PAGE.read_text()))


if __name__ == "__main__":
    main()
