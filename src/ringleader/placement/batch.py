"""Owners of whole arrays of keys, with numpy (the extra `numpy`); the same answers as one key at a time.

Work goes through chunks that stay in the processor's cache. A ring is looked up in a table of equal slices of the
circle, eight for a cell: most slices lie within one cell and name the owner at once, the others are searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.cells import Cells
from ringleader.placement.jump import JumpHash
from ringleader.placement.keys import Key, key_bytes, xxh3
from ringleader.placement.maglev import Maglev
from ringleader.placement.rendezvous import Rendezvous
from ringleader.placement.ring import Ring

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Owners = NDArray[np.uint16]

__all__ = ["hash_ints", "hashes_of", "load_numpy", "owners_of", "owners_of_hashes"]

CHUNK = 1 << 15
_MIXED = 0xFFFF
# XXH3: the two secret words that its path for 4 to 8 bytes combines, and that path's multiplier.
_SECRET = 0xC73AB174C5ECD5A2
_MULTIPLIER = 0x9FB21C651E98DF25


def load_numpy() -> ModuleType:
    """numpy, or a `UsageError` that says how to get it."""
    try:
        import numpy
    except ImportError:
        raise UsageError(
            "batches need numpy, which is not installed",
            reason=Reason.UNSUPPORTED,
            hint='Run: pip install "ringleader[numpy]"',
        ) from None
    return numpy


def owners_of(placement: Placement, keys: object) -> Owners:
    """See `Placement.owner_batch`."""
    return owners_of_hashes(placement, hashes_of(placement, keys))


def hashes_of(placement: Placement, keys: object) -> Hashes:
    """The 64-bit hashes of many keys, as `placement` sees them (uint64, one for each key)."""
    np = load_numpy()
    if isinstance(keys, np.ndarray):
        if keys.ndim != 1:
            raise _usage(f"keys must be a one-dimensional array, not one of shape {keys.shape}")
        if keys.dtype.kind in "iu" and placement._hash is xxh3:
            return hash_ints(keys)
        if keys.dtype.kind not in "iuUSO":
            raise _usage(f"keys must be an array of ints, str or bytes, not of {keys.dtype}")
        keys = keys.tolist()
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise _usage(f"keys must be an array or a sequence of keys, not {type(keys).__name__}")
    hash = placement._hash
    items: list[Key] = list(keys)
    out: Hashes = np.fromiter((hash(key_bytes(k)) for k in items), dtype=np.uint64, count=len(items))
    return out


def hash_ints(keys: NDArray[Any]) -> Hashes:
    """XXH3 of each int's eight little-endian bytes: the same as `key_hash`, for an array of any int type."""
    np = load_numpy()
    out: Hashes = np.empty(len(keys), dtype=np.uint64)
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        wide = chunk.astype(np.int64).view(np.uint64) if chunk.dtype.kind == "i" else chunk.astype(np.uint64)
        _mix_words(np, wide, np.uint64(_SECRET), out[start : start + CHUNK])
    return out


def _mix_words(np: ModuleType, words: Hashes, flip: Any, out: Hashes) -> None:
    """XXH3's path for eight bytes (`XXH3_len_4to8_64b`) over an array; `flip` is the secret less the seed."""
    half, a, b = np.uint64(32), np.uint64(49), np.uint64(24)
    h = out
    tmp = words >> half
    np.left_shift(words, half, out=h)
    h |= tmp  # the upper input half plus the lower one, shifted: no carry, so `or` is the sum
    h ^= flip
    left = (h << a) | (h >> np.uint64(64 - 49))
    np.left_shift(h, b, out=tmp)
    tmp |= h >> np.uint64(64 - 24)
    h ^= left
    h ^= tmp
    h *= np.uint64(_MULTIPLIER)
    np.right_shift(h, np.uint64(35), out=tmp)
    tmp += np.uint64(8)
    h ^= tmp
    h *= np.uint64(_MULTIPLIER)
    np.right_shift(h, np.uint64(28), out=tmp)
    h ^= tmp


def owners_of_hashes(placement: Placement, hashes: Hashes) -> Owners:
    """See `Placement.owner_batch_hashed`."""
    np = load_numpy()
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        found = f"{hashes.dtype} of shape {hashes.shape}" if isinstance(hashes, np.ndarray) else type(hashes).__name__
        raise _usage(f"hashes must be a one-dimensional numpy array of uint64, not {found}")
    out: Owners = np.empty(len(hashes), dtype=np.uint16)
    look_up = _look_up(np, placement)
    for start in range(0, len(hashes), CHUNK):
        out[start : start + CHUNK] = look_up(hashes[start : start + CHUNK])
    return out


def _look_up(np: ModuleType, placement: Placement) -> Callable[[Hashes], Any]:
    """A function from hashes to owners."""
    if isinstance(placement, Ring):
        return _ring_table(np, placement.cells)
    if isinstance(placement, Maglev):
        table, size = np.frombuffer(placement.table, dtype=np.uint16), np.uint64(len(placement.table))
        return lambda h: table[h % size]
    if isinstance(placement, JumpHash):
        return lambda h: _jump(np, h, len(placement.nodes))
    if isinstance(placement, Rendezvous):
        return lambda h: _rendezvous(np, placement, h)
    find = placement.owner_index  # multi-probe, Memento, ketama: one at a time
    return lambda h: np.fromiter(map(find, h.tolist()), dtype=np.uint16, count=len(h))


def _ring_table(np: ModuleType, cells: Cells) -> Callable[[Hashes], Any]:
    """A function from hashes to owners by a table of slices; made once for a set of cells and kept with them."""
    if cells.batch is not None:
        return cells.batch
    bounds = np.frombuffer(cells.bounds, dtype=np.uint64)
    owners = np.frombuffer(cells.owners, dtype=np.uint16)
    bits = min(26, max(4, len(bounds).bit_length() + 3))
    shift = np.uint64(64 - bits)
    inside = np.bincount((bounds >> shift).astype(np.int64), minlength=1 << bits)  # bounds that fall into each slice
    first = np.cumsum(inside) - inside
    table = np.where(inside == 0, owners[np.minimum(first, len(owners) - 1)], np.uint16(_MIXED))

    def look_up(hashes: Hashes) -> Owners:
        found: Owners = table.take(hashes >> shift)
        mixed = np.flatnonzero(found == _MIXED)
        found[mixed] = owners.take(np.searchsorted(bounds, hashes.take(mixed)))
        return found

    cells.batch = look_up
    return look_up


def _jump(np: ModuleType, hashes: Hashes, buckets: int) -> Any:
    """Jump hash of an array: every step is taken by the hashes that are still jumping."""
    out = np.zeros(len(hashes), dtype=np.uint16)
    live = np.arange(len(hashes))
    state, j = hashes.copy(), np.zeros(len(hashes), dtype=np.float64)
    while live.size:
        out[live] = j
        state = state * np.uint64(2862933555777941757) + np.uint64(1)
        j = np.floor((np.floor(j) + 1.0) * (float(1 << 31) / ((state >> np.uint64(33)) + np.uint64(1)).astype(float)))
        going = j < buckets
        live, state, j = live[going], state[going], j[going]
    return out


def _rendezvous(np: ModuleType, placement: Rendezvous, hashes: Hashes) -> Any:
    """Rendezvous for an array: the draws of one node after the other, keeping the best so far."""
    best_node = np.zeros(len(hashes), dtype=np.uint16)
    draws = np.empty(len(hashes), dtype=np.uint64)
    best: Any = None
    for i, (seed, node) in enumerate(zip(placement.seeds, placement.nodes, strict=True)):
        turned = seed ^ (int.from_bytes((seed & 0xFFFFFFFF).to_bytes(4, "little"), "big") << 32)
        _mix_words(np, hashes, np.uint64((_SECRET - turned) % (1 << 64)), draws)
        if placement.equal:
            score = draws.copy() if best is None else draws
        else:
            score = -node.weight / np.log(((draws >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)
        if best is None:
            best = score
            continue
        better = score > best
        best[better] = score[better]
        best_node[better] = i
    return best_node


def _usage(message: str) -> UsageError:
    return UsageError(message, reason=Reason.INVALID_ARGUMENT)
