"""A map from plain keys to nested replicated values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from ringleader.crdt.base import Crdt, Shape, register, shape_of
from ringleader.crdt.identity import ReplicaContext, read_only
from ringleader.crdt.places import Places
from ringleader.crdt.values import check_mapping, freeze, sort_keys, thaw
from ringleader.errors import Reason, UsageError

__all__ = ["ORMap"]

K = TypeVar("K")
V = TypeVar("V", bound=Crdt)


@register
class ORMap(Places, Generic[K, V]):
    """Key -> nested replicated value.

    `ORMap(replica, PNCounter)` holds counters: `m["apple"] += 2` creates on first write. Without a type it holds any:
    `m.create("tags", ORSet)`; plain values become an `LWWRegister`.

    When one key holds several types, the visible one is that of the latest creation (greatest hybrid clock stamp, then
    replica id); `conflicts(key)` shows the others; removing the key removes all.
    """

    __slots__ = ()
    tag = 12
    name = "ORMap"

    def __init__(self, replica: ReplicaContext | None = None, values: type[V] | Shape | None = None) -> None:
        self._values: Shape | None = None if values is None else shape_of(values)
        super().__init__(replica)

    # ---- reading -----------------------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        frozen = freeze(key)
        if self._values is not None:
            return self._handle(frozen, self._values.cls.tag)  # type: ignore[return-value]  # V is what users say it holds
        node = self._shown(frozen)
        if node is None:
            raise KeyError(key)
        return node  # type: ignore[return-value]  # V is what users say it holds

    def get(self, key: K) -> V | None:
        """The nested value at `key`, None when there is none (nothing is created, not even for a typed map)."""
        return self._shown(freeze(key))  # type: ignore[return-value]  # V is what users say it holds

    def __contains__(self, key: object) -> bool:
        return self._shown(freeze(key)) is not None

    def __len__(self) -> int:
        return sum(self._shown(key) is not None for key in self._slots)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def keys(self) -> list[K]:
        """The keys in canonical order."""
        return [thaw(key) for key in sort_keys([key for key in self._slots if self._shown(key) is not None])]

    def values(self) -> list[V]:
        """The nested values in canonical order of keys."""
        return [node for key in self.keys() if (node := self.get(key)) is not None]

    def items(self) -> list[tuple[K, V]]:
        """Keys and nested values in canonical order of keys."""
        return [(key, node) for key in self.keys() if (node := self.get(key)) is not None]

    def conflicts(self, key: K) -> list[Crdt]:
        """The hidden values of other types at `key`; empty when nobody disagreed about the type."""
        frozen = freeze(key)
        shown = self._shown(frozen)
        places = self._slots.get(frozen, {})
        return [places[tag] for tag in sorted(places) if places[tag] is not shown and self._seen(places[tag])]

    @property
    def value(self) -> dict[K, Any]:
        """Plain nested data, in canonical order of keys."""
        return self._value()

    # ---- writing -----------------------------------------------------------------------------------------------

    def child(self, key: K, kind: Any) -> Any:
        """A handle to the place (key, type); its first write creates it."""
        return self._child(key, kind)

    def create(self, key: K, kind: Any = None) -> Any:
        """Create a nested value, or find it; an empty one counts as present until it is removed."""
        if kind is None and self._values is None:
            raise UsageError("create(key, kind) needs a type here", reason=Reason.INVALID_ARGUMENT)
        return self._create(key, self._values if kind is None else kind)

    def __setitem__(self, key: K, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: K) -> None:
        if self._doc.me is None:
            raise read_only()
        if key not in self:
            raise KeyError(key)
        self.discard(key)

    def discard(self, key: K) -> None:
        """Remove everything seen at `key`; what others write there at the same time stays."""
        if self._doc.me is None:
            raise read_only()
        nodes = [node for node in self._slots.get(freeze(key), {}).values() if self._seen(node)]
        for node in nodes:
            node._check_clear()
        self._remove_nodes(nodes)

    def clear(self) -> None:
        """Remove every key seen here."""
        if self._doc.me is None:
            raise read_only()
        self._check_clear()
        self._remove_nodes([n for places in self._slots.values() for n in places.values() if self._seen(n)])

    def _assign(self, value: Any) -> None:
        check_mapping(value)
        with self.transaction():
            for key in self.keys():
                if key not in value:
                    self.discard(key)
            for key, item in value.items():
                self[key] = item
