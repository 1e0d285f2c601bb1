"""Objects as nested tuples of plain values and back: equal states of a core become equal, hashable keys.

A core is made of plain classes, msgspec structs, lists, deques, dicts and atoms. Frozen, each container is a tuple that begins
with its class; a dict is sorted by its keys, so the order in which it was filled makes no difference (a core must not depend
on it but for the order in which it hands out messages, which the checker's network does not keep). Attributes named in
`shared` (options, the source of randomness) are the same in all states: they are left out and put back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

__all__ = ["Freezer"]

_ATOMS = (int, bool, float, str, bytes, type(None))


class Freezer:
    """Freezes and thaws objects whose attributes `shared` (name: value) are the same everywhere.

    Raises `TypeError` for anything that could hide state: functions, files, objects without attributes.
    """

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared
        self._freezers: dict[type, Callable[[Any], Any]] = dict.fromkeys(_ATOMS, _itself)
        self._thawers: dict[type, Callable[[tuple[Any, ...]], Any]] = {}

    def freeze(self, value: Any) -> Any:
        """`value` as a key: atoms as they are, everything else a tuple that begins with its class."""
        kind = value.__class__
        known = self._freezers.get(kind)
        if known is None:
            known = self._learn(kind)
        return known(value)

    def thaw(self, frozen: Any) -> Any:
        """A new object equal to the one that was frozen; nothing mutable is shared with any other."""
        if frozen.__class__ is not tuple:
            return frozen
        return self._thawers[frozen[0]](frozen)

    def _learn(self, kind: type) -> Callable[[Any], Any]:
        """How to freeze and thaw a class that is met for the first time."""
        freeze: Callable[[Any], Any]
        if issubclass(kind, Enum):
            freeze = _itself
        elif kind in (list, tuple, deque):
            freeze = self._sequence(kind)
        elif kind is dict:
            freeze = self._mapping()
        elif kind in (set, frozenset):
            freeze = self._set(kind)
        elif issubclass(kind, msgspec.Struct):
            freeze = self._struct(kind)
        else:
            freeze = self._object(kind)
        self._freezers[kind] = freeze
        return freeze

    def _sequence(self, kind: Any) -> Callable[[Any], Any]:
        freeze, thaw = self.freeze, self.thaw
        self._thawers[kind] = lambda frozen: kind([thaw(item) for item in frozen[1:]])
        return lambda value: (kind, *[freeze(item) for item in value])

    def _set(self, kind: Any) -> Callable[[Any], Any]:
        self._thawers[kind] = lambda frozen: kind(frozen[1:])
        return lambda value: (kind, *sorted(value))

    def _mapping(self) -> Callable[[Any], Any]:
        freeze, thaw = self.freeze, self.thaw
        self._thawers[dict] = lambda frozen: {thaw(key): thaw(value) for key, value in frozen[1:]}
        return lambda value: (dict, *[(freeze(key), freeze(value[key])) for key in sorted(value)])

    def _struct(self, kind: type[msgspec.Struct]) -> Callable[[Any], Any]:
        freeze, thaw, fields = self.freeze, self.thaw, kind.__struct_fields__
        self._thawers[kind] = lambda frozen: kind(*[thaw(item) for item in frozen[1:]])
        return lambda value: (kind, *[freeze(getattr(value, name)) for name in fields])

    def _object(self, kind: type) -> Callable[[Any], Any]:
        slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        if slots:
            return self._slotted(kind, tuple(sorted(slots)))
        if not hasattr(kind, "__dict__") or kind.__module__ == "builtins":
            raise TypeError(f"the model checker does not know how to copy a {kind.__name__}")
        freeze, thaw, shared = self.freeze, self.thaw, self.shared

        def rebuild(frozen: tuple[Any, ...]) -> Any:
            made: Any = object.__new__(kind)
            attributes = made.__dict__
            attributes.update(shared)
            for name, value in zip(frozen[1], frozen[2:], strict=True):
                attributes[name] = thaw(value)
            return made

        def flatten(value: Any) -> Any:
            attributes = value.__dict__
            names = tuple([name for name in attributes if name not in shared])
            return (kind, names, *[freeze(attributes[name]) for name in names])

        self._thawers[kind] = rebuild
        return flatten

    def _slotted(self, kind: type, slots: tuple[str, ...]) -> Callable[[Any], Any]:
        freeze, thaw = self.freeze, self.thaw

        def rebuild(frozen: tuple[Any, ...]) -> Any:
            made: Any = object.__new__(kind)
            for name, value in zip(slots, frozen[1:], strict=True):
                setattr(made, name, thaw(value))
            return made

        self._thawers[kind] = rebuild
        return lambda value: (kind, *[freeze(getattr(value, name)) for name in slots])


def _itself(value: Any) -> Any:
    return value
