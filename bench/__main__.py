"""`python -m bench [NAME ...]`: all benchmarks, or the named ones."""

import importlib
import sys

NAMES = ["kv", "consensus", "capacity", "burst", "store", "placement", "crdt", "text"]


def main() -> None:
    """Run them one after the other."""
    unknown = [name for name in sys.argv[1:] if name not in NAMES]
    if unknown:
        sys.exit(f"usage: python -m bench [NAME ...]; there is no {unknown[0]!r} among {', '.join(NAMES)}")
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
