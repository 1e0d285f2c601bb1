"""Batches, commands, reads and results as bytes: msgpack arrays, decoded with every type checked.

What comes from a client is decoded here before it may enter the log. msgspec follows nested transactions on the C stack,
so the depth is bounded here too: what passes this door can be decoded again on every member, however deep its own call
stack is.
"""

from __future__ import annotations

import msgspec

from ringleader.store.commands import Batch, Command, Read, Result, Txn

__all__ = [
    "BATCH_DECODER",
    "BATCH_VERSION",
    "COMMANDS_DECODER",
    "ENCODER",
    "MAX_DEPTH",
    "READS_DECODER",
    "RESULTS_DECODER",
    "decode_batch",
    "decode_commands",
    "decode_reads",
    "encode_batch",
]

BATCH_VERSION = 1
MAX_DEPTH = 64
"""How deep transactions may nest to be decoded at all; the store's own limit is below."""

ENCODER = msgspec.msgpack.Encoder()
BATCH_DECODER = msgspec.msgpack.Decoder(Batch)
COMMANDS_DECODER = msgspec.msgpack.Decoder(list[tuple[int, Command]])
READS_DECODER = msgspec.msgpack.Decoder(list[Read])
RESULTS_DECODER = msgspec.msgpack.Decoder(list[Result])


def encode_batch(batch: Batch) -> bytes:
    """The data of one log entry."""
    return ENCODER.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """The batch of a log entry; raises `ValueError` saying what is wrong, also for a version that is too new."""
    try:
        batch = BATCH_DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a batch of commands: {error}") from error
    if batch.version > BATCH_VERSION:
        raise ValueError(f"the batch has format version {batch.version}; this release knows up to {BATCH_VERSION}")
    return batch


def decode_commands(data: bytes | msgspec.Raw) -> list[tuple[int, Command]]:
    """What a client wants in the log, as (sequence number, command); raises `ValueError` saying what is wrong."""
    try:
        commands = COMMANDS_DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a list of numbered commands: {error}") from error
    for _, command in commands:
        if type(command) is Txn:
            _check_depth(command)
    return commands


def decode_reads(data: bytes | msgspec.Raw) -> list[Read]:
    """What a client wants to read; raises `ValueError` saying what is wrong."""
    try:
        reads = READS_DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a list of reads: {error}") from error
    for read in reads:
        if type(read) is Txn:
            _check_depth(read)
    return reads


def _check_depth(txn: Txn) -> None:
    level = [txn]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"transactions nest deeper than {MAX_DEPTH}")
        level = [op for one in level for ops in (one.success, one.failure) for op in ops if type(op) is Txn]
