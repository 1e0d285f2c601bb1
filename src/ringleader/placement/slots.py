"""Redis Cluster's key slots: CRC16 of the key, or of its {hash tag}, modulo 16,384.

Redis Cluster specification, "Key distribution model" and "Hash tags". A partition table with Q partitions maps slot s
to partition s * Q // 16384, so a cluster-aware Redis client and the table agree.
"""

from __future__ import annotations

import binascii

from ringleader.placement.keys import Key, key_bytes

__all__ = ["REDIS_SLOTS", "hash_tag", "redis_slot"]

REDIS_SLOTS = 16_384


def hash_tag(key: bytes) -> bytes:
    """What of a key is hashed: the bytes between the first `{` and the next `}`, if there are any, else all."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key


def redis_slot(key: Key) -> int:
    """The slot, 0 to 16,383. CRC16 is the XMODEM variant (polynomial 0x1021, from 0), as in CPython's binascii."""
    data = str(key).encode() if isinstance(key, int) and not isinstance(key, bool) else key_bytes(key)
    return binascii.crc_hqx(hash_tag(data), 0) % REDIS_SLOTS
