"""Replicated data types (CRDTs): values that every replica may change at any time, and that always agree in the end.

Pure: identity, clock and randomness come in; deltas and bytes go out; no network. `ringleader.replica()` supplies real
identities and clocks.
"""

from ringleader.crdt.base import Crdt, Shape, register, shape_of, type_of
from ringleader.crdt.counters import GCounter, PNCounter
from ringleader.crdt.delta import Delta
from ringleader.crdt.identity import DuplicateIdentityError, GapError, ReadOnlyCopyError, ReplicaContext
from ringleader.crdt.wire import DecodeError, Limits

__all__ = [
    "Crdt",
    "DecodeError",
    "Delta",
    "DuplicateIdentityError",
    "GCounter",
    "GapError",
    "Limits",
    "PNCounter",
    "ReadOnlyCopyError",
    "ReplicaContext",
    "Shape",
    "register",
    "shape_of",
    "type_of",
]
