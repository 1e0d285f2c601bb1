"""A model, replicas by name, and everyone hearing of everyone."""

from __future__ import annotations

from typing import Any

from ringleader.crdt import (
    LWWRegister,
    Model,
    ORMap,
    ORSet,
    PNCounter,
    ReplicaContext,
)


class Cart(Model):
    items: ORMap[str, PNCounter]
    owner: LWWRegister[str]
    tags: ORSet[str]


class NewCart(Cart):
    note: LWWRegister[str]


def ctx(name: str = "a") -> ReplicaContext:
    return ReplicaContext(name)


def sync(*roots: Any) -> None:
    for _ in range(2):
        for one in roots:
            for other in roots:
                one.merge(other)
