"""Positions in other languages' units.

Python counts code points, and so does `Text`. JavaScript, Java and C# count UTF-16 code units (an emoji is two),
editors' protocols sometimes UTF-8 bytes. Both conversions go through the text's chunks once; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ringleader.crdt.values import brief
from ringleader.errors import Reason, UsageError

__all__ = ["index_from_units", "units_before", "utf8_length", "utf16_length"]


def utf16_length(text: str) -> int:
    """The number of UTF-16 code units of `text`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def utf8_length(text: str) -> int:
    """The number of UTF-8 bytes of `text`."""
    return len(text) if text.isascii() else len(text.encode())


def units_before(chunks: Iterable[str], index: int, measure: Callable[[str], int]) -> int:
    """How many units, by `measure`, the first `index` code points take."""
    units = 0
    for chunk in chunks:
        if index <= len(chunk):
            return units + measure(chunk[:index])
        units += measure(chunk)
        index -= len(chunk)
    return units


def index_from_units(chunks: Iterable[str], units: int, measure: Callable[[str], int]) -> int:
    """How many code points the first `units` units are. Raises `UsageError` inside a code point or beyond the end."""
    if type(units) is not int:
        raise UsageError(f"a position is an integer, not {brief(units)}", reason=Reason.INVALID_ARGUMENT)
    index = 0
    rest = units
    for chunk in chunks:
        size = measure(chunk)
        if rest > size:
            rest -= size
            index += len(chunk)
            continue
        low, high = 0, len(chunk)
        while low < high:  # the first position with at least `rest` units before it
            middle = (low + high) // 2
            low, high = (middle + 1, high) if measure(chunk[:middle]) < rest else (low, middle)
        if measure(chunk[:low]) == rest:
            return index + low
        break
    else:
        if rest == 0:
            return index
    raise UsageError(f"{units} units is not the start of a character of this text", reason=Reason.INVALID_ARGUMENT)
