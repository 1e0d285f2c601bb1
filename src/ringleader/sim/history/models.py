"""What a correct store would answer, one call after the other: the sequential specifications that histories are held to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from ringleader.sim.history.operations import Operation

__all__ = ["Model", "RegisterModel", "StoreModel"]


class Model(Protocol):
    """A sequential specification; states are hashable and never changed in place."""

    def initial(self) -> Hashable:
        """The state before all calls."""
        ...

    def partition(self, operation: Operation) -> Hashable:
        """Operations of different partitions cannot influence each other (P-compositionality)."""
        ...

    def step(self, state: Any, operation: Operation) -> tuple[bool, Any]:
        """Whether `operation` may have its result in `state`, and the state after it. Results that the client was not told
        are not judged."""
        ...

    def reads(self, operation: Operation) -> bool:
        """Whether `operation`, with the result it had, changes nothing in any state."""
        ...

    def removable(self, operation: Operation, rest: Sequence[Operation]) -> bool:
        """Whether an order of `rest` and `operation` always gives one of `rest` alone. Only used to shorten explanations."""
        ...


class RegisterModel:
    """A register for each key. Operations, with the key first, and their results:

    `get(key)` -> value or None; `put(key, value)` -> not looked at; `delete(key)` -> whether there was a value, or None when
    that was not told; `cas(key, expected, new)` (expected None: only if absent) -> whether it was done.
    """

    def initial(self) -> Hashable:
        """Absent."""
        return None

    def partition(self, operation: Operation) -> Hashable:
        """By key."""
        key: Hashable = operation.arguments[0]
        return key

    def step(self, state: Any, operation: Operation) -> tuple[bool, Any]:
        """See `Model.step`. Raises `ValueError` for an operation that a register does not have."""
        told = operation.result if operation.known else None
        match operation.name:
            case "get":
                return (told == state or not operation.known), state
            case "put":
                return True, operation.arguments[1]
            case "delete":
                return told is None or told == (state is not None), None
            case "cas":
                _, expected, new = operation.arguments
                done = state == expected
                return told is None or told == done, new if done else state
        raise ValueError(f"a register has no operation {operation.name!r}")

    def reads(self, operation: Operation) -> bool:
        """Gets, refused swaps and deletes of nothing."""
        return operation.name == "get" or (operation.known and operation.name != "put" and operation.result is False)

    def removable(self, operation: Operation, rest: Sequence[Operation]) -> bool:
        """What reads, and a put that nobody has seen."""
        if self.reads(operation):
            return True
        if operation.name != "put":
            return False
        value = operation.arguments[1]
        return not any(
            other.name == "delete" or other.name == "cas" or (other.name == "get" and other.result == value)
            for other in rest
        )


class StoreModel:
    """The whole store with its global revision, as in etcd; the revision couples all keys, so there is one partition.

    `put(key, value)` -> revision; `get(key)` -> (revision, value or None, mod revision or 0); `delete(key)` -> (revision,
    deleted); `cas(key, expected, new)` -> (revision, done). A write makes the next revision; what changes nothing tells the
    present one. `first`: the revision of the empty store.
    """

    def __init__(self, first: int = 1) -> None:
        self.first = first

    def initial(self) -> Hashable:
        """Revision and the present keys, as sorted (key, value, mod revision)."""
        return (self.first, ())

    def partition(self, operation: Operation) -> Hashable:
        """One for all."""
        return None

    def step(self, state: Any, operation: Operation) -> tuple[bool, Any]:
        """See `Model.step`. Raises `ValueError` for an operation that it does not know."""
        revision, held = state
        key = operation.arguments[0]
        value, mod = next(((value, mod) for name, value, mod in held if name == key), (None, 0))
        told = operation.result
        match operation.name:
            case "get":
                return (not operation.known or told == (revision, value, mod)), state
            case "put":
                after = self._write(state, key, operation.arguments[1])
                return (not operation.known or told == after[0]), after
            case "delete":
                after = state if value is None else self._write(state, key, None)
                return (not operation.known or told == (after[0], value is not None)), after
            case "cas":
                done = value == operation.arguments[1]
                after = self._write(state, key, operation.arguments[2]) if done else state
                return (not operation.known or told == (after[0], done)), after
        raise ValueError(f"the store has no operation {operation.name!r}")

    @staticmethod
    def _write(state: Any, key: Any, value: Any) -> tuple[int, tuple[tuple[Any, Any, int], ...]]:
        revision = state[0] + 1
        rest = [item for item in state[1] if item[0] != key]
        if value is not None:
            rest.append((key, value, revision))
        return revision, tuple(sorted(rest, key=lambda item: item[0]))

    def reads(self, operation: Operation) -> bool:
        """Gets, refused swaps and deletes of nothing."""
        if operation.name == "get":
            return True
        return operation.known and operation.name != "put" and not operation.result[1]

    def removable(self, operation: Operation, rest: Sequence[Operation]) -> bool:
        """What reads; every write shows in the revision."""
        return self.reads(operation)
