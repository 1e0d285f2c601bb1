"""Who owns a key: consistent hashing in all its useful forms behind one small interface, and partition tables.

`Ring` is the one to start with. Everything here is pure and immutable: no clock, no network, no randomness.
"""

from ringleader.placement.base import Placement, Preference
from ringleader.placement.bounded import BoundedLoads
from ringleader.placement.diff import Diff, Move
from ringleader.placement.jump import JumpHash, jump
from ringleader.placement.ketama import KetamaRing
from ringleader.placement.keys import Hash, Key
from ringleader.placement.maglev import Maglev
from ringleader.placement.memento import Memento
from ringleader.placement.node import Node
from ringleader.placement.plan import PartitionMove, Plan, Violation, plan
from ringleader.placement.probe import MultiProbe
from ringleader.placement.rendezvous import Rendezvous
from ringleader.placement.ring import Ring
from ringleader.placement.slots import redis_slot
from ringleader.placement.table import PartitionTable

__all__ = [
    "BoundedLoads",
    "Diff",
    "Hash",
    "JumpHash",
    "Key",
    "KetamaRing",
    "Maglev",
    "Memento",
    "Move",
    "MultiProbe",
    "Node",
    "PartitionMove",
    "PartitionTable",
    "Placement",
    "Plan",
    "Preference",
    "Rendezvous",
    "Ring",
    "Violation",
    "jump",
    "plan",
    "redis_slot",
]
