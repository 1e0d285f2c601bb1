"""What CPython's cyclic collector may do in a node: next to nothing, since the state holds no cycles.

Keys, versions and changes are structs that the collector does not track; what it would walk are a few large lists and
dicts. A full collection over a million keys takes about 50 ms here, all of it in vain. So what start-up made (the state
read from disk, modules) is frozen, and full collections come seldom: garbage in cycles comes from exceptions and from
connections that end, which is little, and is found by the cheap collections of what is young.
"""

from __future__ import annotations

import gc

__all__ = ["settle"]

YOUNG = 20_000
"""New tracked objects between two collections of the young."""


def settle() -> None:
    """Start-up is over: what is there now lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 100)
