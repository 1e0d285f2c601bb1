"""Replicated data types (CRDTs): values that every replica may change at any time, and that always agree in the end.

Pure: identity, clock and randomness come in; deltas and bytes go out; no network. `ringleader.replica()` supplies real
identities and clocks.
"""

from ringleader.crdt.base import Crdt, Shape, register, shape_of, type_of
from ringleader.crdt.bounded import BoundedCounter, InsufficientRightsError
from ringleader.crdt.buffer import CausalBuffer
from ringleader.crdt.counters import GCounter, PNCounter
from ringleader.crdt.delta import Delta
from ringleader.crdt.flags import DWFlag, EWFlag
from ringleader.crdt.history import Difference, History
from ringleader.crdt.hyperloglog import HyperLogLog
from ringleader.crdt.identity import DuplicateIdentityError, GapError, ReadOnlyCopyError, ReplicaContext
from ringleader.crdt.lwwmap import LWWMap
from ringleader.crdt.model import Model
from ringleader.crdt.ormap import ORMap
from ringleader.crdt.registers import Conflict, LWWRegister, MVRegister
from ringleader.crdt.replica import Alarm, Replica
from ringleader.crdt.sequence import JsonDocument, List
from ringleader.crdt.sets import GSet, ORSet, RWSet, TwoPhaseSet
from ringleader.crdt.sortedset import SortedSet
from ringleader.crdt.text import Text, TextEdit
from ringleader.crdt.undo import UndoStack
from ringleader.crdt.watch import Change, ChangeStream
from ringleader.crdt.wire import DecodeError, Limits

__all__ = [
    "Alarm",
    "BoundedCounter",
    "CausalBuffer",
    "Change",
    "ChangeStream",
    "Conflict",
    "Crdt",
    "DWFlag",
    "DecodeError",
    "Delta",
    "Difference",
    "DuplicateIdentityError",
    "EWFlag",
    "GCounter",
    "GSet",
    "GapError",
    "History",
    "HyperLogLog",
    "InsufficientRightsError",
    "JsonDocument",
    "LWWMap",
    "LWWRegister",
    "Limits",
    "List",
    "MVRegister",
    "Model",
    "ORMap",
    "ORSet",
    "PNCounter",
    "RWSet",
    "ReadOnlyCopyError",
    "Replica",
    "ReplicaContext",
    "Shape",
    "SortedSet",
    "Text",
    "TextEdit",
    "TwoPhaseSet",
    "UndoStack",
    "register",
    "shape_of",
    "type_of",
]
