"""Recipes for coordination, made of transactions, leases and watches alone.

lock            one holder                           election        one leader, whom all can see
rwlock          many readers or one writer           semaphore       so many holders at once
barrier         nobody passes while it is held       double_barrier  begin together, end together
queue           messages, each to one consumer       consumer        who takes them, and waits for them
messages        one that was handed out              counter         a number that many add to, exactly
cache           a copy of a prefix, kept current

line            a place in a fair queue              place, held     holding it, and noticing its loss
patience        waiting for the store                names           where each keeps its keys
"""

from ringleader.client.recipes.barrier import Barrier
from ringleader.client.recipes.cache import Cache
from ringleader.client.recipes.consumer import Consumer
from ringleader.client.recipes.counter import Counter
from ringleader.client.recipes.double_barrier import DoubleBarrier
from ringleader.client.recipes.election import Election, Leader, Leadership
from ringleader.client.recipes.lock import Lock
from ringleader.client.recipes.messages import Message
from ringleader.client.recipes.queue import Queue, QueueSize
from ringleader.client.recipes.rwlock import ReadLock, ReadWriteLock, WriteLock
from ringleader.client.recipes.semaphore import Holder, Semaphore

__all__ = [
    "Barrier",
    "Cache",
    "Consumer",
    "Counter",
    "DoubleBarrier",
    "Election",
    "Holder",
    "Leader",
    "Leadership",
    "Lock",
    "Message",
    "Queue",
    "QueueSize",
    "ReadLock",
    "ReadWriteLock",
    "Semaphore",
    "WriteLock",
]
