"""A key becomes 64 bits: str as UTF-8, bytes as they are, int as eight little-endian bytes, then one hash over that.

The default hash is XXH3 with 64 bits (Yann Collet), whose short-input path is also written out for numpy arrays in
`batch.py`; both give the same bits. Nothing here depends on `PYTHONHASHSEED` or on the machine's byte order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import xxhash

from ringleader.errors import Reason, UsageError

__all__ = ["MASK64", "SPACE", "Hash", "Key", "checked_hash", "key_bytes", "mix", "xxh3"]

Key = str | bytes | int
Hash = Callable[[bytes], int]

SPACE = 1 << 64
MASK64 = SPACE - 1

xxh3: Hash = xxhash.xxh3_64_intdigest


def key_bytes(key: object) -> bytes:
    """The bytes that are hashed for `key`; raises `UsageError` for any other type, and for an int beyond 64 bits.

    A negative int counts as its two's complement, so that -1 and 2**64 - 1 are the same key.
    """
    if isinstance(key, str):
        try:
            return key.encode()
        except UnicodeEncodeError:  # a lone surrogate; naming the error handler costs time for every key
            return key.encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return bytes(key)
    if isinstance(key, int) and not isinstance(key, bool):
        if -(1 << 63) <= key < SPACE:
            return (key & MASK64).to_bytes(8, "little")
        raise UsageError(
            f"int keys must fit in 64 bits, this one has {key.bit_length()} bits",
            reason=Reason.INVALID_ARGUMENT,
            hint="Pass str(key) or its bytes",
        )
    raise UsageError(
        f"a key must be str, bytes or int, not {type(key).__name__}: {key!r:.60}", reason=Reason.INVALID_ARGUMENT
    )


@dataclass(frozen=True, slots=True)
class CheckedHash:
    """A hash function of the caller's, whose result is checked: outside 0..2**64-1 it is a clear error."""

    inner: Hash

    def __call__(self, data: bytes) -> int:
        value: object = self.inner(data)
        if not isinstance(value, int) or not 0 <= value < SPACE:
            name = getattr(self.inner, "__name__", repr(self.inner))
            raise UsageError(
                f"the hash function {name} gave {value!r:.60}, not an int of 64 bits", reason=Reason.INVALID_ARGUMENT
            )
        return value


def checked_hash(hash: object) -> Hash:
    """`hash` itself when it is the default, otherwise wrapped in `CheckedHash` (once)."""
    if hash is xxh3 or isinstance(hash, CheckedHash):
        return hash
    if not callable(hash):
        raise UsageError(
            f"hash must be a function from bytes to int, not {type(hash).__name__}", reason=Reason.INVALID_ARGUMENT
        )
    return CheckedHash(hash)


def mix(h: int, seed: int) -> int:
    """A second, independent-looking hash of a key's hash: XXH3 of its eight bytes with `seed` (64 bits)."""
    return xxhash.xxh3_64_intdigest(h.to_bytes(8, "little"), seed)
