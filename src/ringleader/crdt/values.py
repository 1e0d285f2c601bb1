"""What a user may put into a replicated type, and how such a value becomes a dictionary key that never lies.

Allowed: None, bool, int (64 bits), float, str, bytes, and tuples of these. They are immutable (nobody can change shared
state behind its back) and have exactly one encoding. Python thinks that 1 == True == 1.0 and that 0.0 == -0.0; if a set
thought so too, two replicas could hold "equal" sets with different bytes and repair each other for ever. So `freeze`
boxes every value whose Python equality is too generous.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from ringleader.errors import Reason, UsageError

__all__ = [
    "Key",
    "Value",
    "brief",
    "check_mapping",
    "check_value",
    "freeze",
    "order_of",
    "sort_keys",
    "thaw",
    "thaw_wire",
]

Value: TypeAlias = "bool | int | float | str | bytes | tuple[Value, ...] | None"
MIN_INT, MAX_INT = -(1 << 63), (1 << 64) - 1
MAX_DEPTH = 32
NAN = float("nan")

_encode = msgspec.msgpack.Encoder().encode


class Boxed:
    """A value that is compared by its encoding."""

    __slots__ = ("encoded", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.encoded = _encode(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boxed) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __repr__(self) -> str:
        return repr(self.value)


# What stands in our dictionaries: str, int or bytes as they are, everything else boxed.
Key: TypeAlias = "str | int | bytes | Boxed"


def freeze(value: Any) -> Any:
    """The dictionary key for a user's value. Raises `UsageError` for what cannot be replicated."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            check_value(value)
        return value
    if kind is bytes:
        return value
    if kind is int and MIN_INT <= value <= MAX_INT:
        return value
    return Boxed(check_value(value))


def thaw(key: Any) -> Any:
    """The user's value of a dictionary key."""
    return key.value if type(key) is Boxed else key


def check_value(value: Any, depth: int = 0) -> Any:
    """The value itself (NaN made the one canonical NaN). Raises `UsageError` when it cannot be replicated."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise UsageError("a string with half a surrogate pair", reason=Reason.INVALID_ARGUMENT) from None
        return value
    if kind is int:
        if not MIN_INT <= value <= MAX_INT:
            raise UsageError(
                f"integers must fit into 64 bits, {value:.3e} does not" if abs(value) < 10**300 else "a giant integer",
                reason=Reason.TOO_LARGE,
                hint="Store it as text or bytes",
            )
        return value
    if kind is float:
        return NAN if value != value else value
    if value is None or kind is bool or kind is bytes:
        return value
    if kind is tuple:
        if depth >= MAX_DEPTH:
            raise UsageError(f"tuples nested more than {MAX_DEPTH} deep", reason=Reason.TOO_LARGE)
        return tuple(check_value(item, depth + 1) for item in value)
    raise UsageError(
        f"a {kind.__name__} cannot be replicated as one value",
        reason=Reason.INVALID_ARGUMENT,
        hint="Use None, bool, int, float, str, bytes or a tuple of these; for what several may edit, nest a type",
    )


def brief(value: Any) -> str:
    """Any object for an error message: short, and never an error itself (it may be deep, or contain itself)."""
    try:
        text = repr(value) if type(value) is not int or abs(value) < 1 << 200 else "a giant integer"
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def check_mapping(value: Any) -> None:
    """Raise `UsageError` unless `value` has keys and values."""
    if not isinstance(value, Mapping):
        raise UsageError(f"a map is filled from a mapping, not from {brief(value)}", reason=Reason.INVALID_ARGUMENT)


def thaw_wire(value: Any, depth: int = 0) -> Any:
    """A decoded msgpack value as one of ours (arrays are tuples). Raises `ValueError` for anything else."""
    kind = type(value)
    if kind is str or kind is int or kind is bytes or kind is bool or value is None:
        return value
    if kind is float:
        return NAN if value != value else value
    if kind is list and depth < MAX_DEPTH:
        return tuple([thaw_wire(item, depth + 1) for item in value])
    raise ValueError(f"no replicated value: {kind.__name__}")


def key_from_wire(value: Any) -> Any:
    """The dictionary key of a decoded msgpack value. Raises `ValueError`."""
    kind = type(value)
    if kind is str or kind is int or kind is bytes:
        return value
    return Boxed(thaw_wire(value))


def sort_keys(keys: Iterable[Any]) -> list[Any]:
    """The keys in canonical order: integers, then text, then bytes, then boxed values by their encoding."""
    found = list(keys)
    try:
        found.sort()  # fails at once unless all are of one plain kind, for which Python's order is the canonical one
    except TypeError:
        found.sort(key=order_of)
    return found


def order_of(key: Any) -> tuple[int, Any]:
    """What a key is sorted by."""
    kind = type(key)
    if kind is int:
        return 0, key
    if kind is str:
        return 1, key
    if kind is bytes:
        return 2, key
    return 3, key.encoded
