"""`python -m bench [NAME ...]`: all benchmarks, or the named ones."""

import importlib
import sys

NAMES = ["kv", "capacity", "burst", "store", "placement", "crdt", "text"]


def main() -> None:
    """Run them one after the other."""
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
