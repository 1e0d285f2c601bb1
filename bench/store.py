"""What the store costs: `python bench/store.py [--keys N]` prints microseconds per operation and bytes per key."""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections.abc import Callable
from random import Random
from time import perf_counter, process_time

from ringleader.store.codec import decode_batch, encode_batch
from ringleader.store.commands import (
    Batch,
    Command,
    Compact,
    Compare,
    Envelope,
    LeaseGrant,
    LeaseKeepAlive,
    Put,
    Range,
    SessionOpen,
    Txn,
)
from ringleader.store.store import Store
from ringleader.store.watch import Watcher

VALUE = bytes(256)
PER_BATCH = 64


def keys_of(count: int) -> list[bytes]:
    keys = [b"/bench/%012d" % number for number in range(count)]
    Random(1).shuffle(keys)
    return keys


def timed(name: str, count: int, work: Callable[[], object]) -> None:
    gc.collect()
    start, start_cpu = perf_counter(), process_time()
    work()
    took, cpu = perf_counter() - start, process_time() - start_cpu
    print(f"{name:55} {cpu / count * 1e6:9.2f} us of CPU each   {count / took:12,.0f}/s")


class Driver:
    """A store with one session, fed in batches."""

    def __init__(self) -> None:
        self.store = Store()
        self.index = 0
        self.seq = 0
        self.session = 0
        self.run([SessionOpen()])
        self.session = 1

    def batches(self, commands: list[Command]) -> list[Batch]:
        batches = []
        for at in range(0, len(commands), PER_BATCH):
            part = commands[at : at + PER_BATCH]
            calls = list(enumerate(part, self.seq + 1))
            batches.append(Batch(1, 0, [Envelope(1, self.session, self.seq + 1, calls)]))
            self.seq += len(part)
        return batches

    def apply(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.index += 1
            self.store.apply(self.index, batch)

    def run(self, commands: list[Command]) -> None:
        self.apply(self.batches(commands))

    def timed(self, name: str, commands: list[Command]) -> None:
        batches = self.batches(commands)
        del commands
        timed(name, sum(len(one.envelopes[0].commands) for one in batches), lambda: self.apply(batches))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    count = parser.parse_args().keys
    keys = keys_of(count)
    print(
        f"{count:,} keys of {len(keys[0])} bytes, values of {len(VALUE)} bytes, {PER_BATCH} commands a batch, one session"
    )

    tracemalloc.start()
    driver = Driver()
    before = tracemalloc.get_traced_memory()[0]
    data = [encode_batch(one) for one in driver.batches([Put(key, VALUE) for key in keys])]
    start = tracemalloc.get_traced_memory()[0]
    for one in data:
        driver.apply([decode_batch(one)])
    held = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    print(f"{'memory per new key, key and value included':55} {held / count:9.0f} bytes (traced; start {before:,})")
    del data

    driver = Driver()
    fresh = [encode_batch(one) for one in driver.batches([Put(key, VALUE) for key in keys])]
    timed("decode a put", count, lambda: [decode_batch(one) for one in fresh])
    driver = Driver()
    driver.timed("put, new key, in random order", [Put(key, VALUE) for key in keys])
    driver.timed("put, existing key", [Put(key, VALUE) for key in keys])
    driver.timed("put, existing key, previous value wanted", [Put(key, VALUE, prev_kv=True) for key in keys])
    store = driver.store
    timed("compact, per revision", 3 * count, lambda: driver.run([Compact(store.revision)]))
    driver.timed("transaction: compare, put", [Txn([Compare(k, "version", ">", 0)], [Put(k, VALUE)]) for k in keys])
    driver.run([LeaseGrant(60_000, 1)])
    driver.timed("lease keep-alive", [LeaseKeepAlive(1)] * count)
    driver.timed("put with a lease", [Put(key, VALUE, 1) for key in keys])
    timed("get", count, lambda: [store.read(Range(key)) for key in keys])
    timed("range of 100 of all", 1000, lambda: [store.read(Range(k, b"\0", limit=100)) for k in keys[:1000]])
    past = store.revision - count
    timed("get at an old revision", count, lambda: [store.read(Range(key, revision=past)) for key in keys])

    watchers = [store.watches.create(key, b"", 0, False, False, False) for key in keys[:10_000]]
    watchers += [store.watches.create(b"/bench/", b"/bench0", 0, False, False, False) for _ in range(100)]
    for length in (8, 10, 12, 14):
        watchers.append(store.watches.create(keys[0][:length], keys[0][: length - 1] + b"5", 0, False, False, False))
    assert all(isinstance(one, Watcher) for one in watchers)
    batches = driver.batches([Put(key, VALUE) for key in keys])

    def watched() -> None:
        events = 0
        for batch in batches:
            driver.apply([batch])
            for watcher in store.watches.ready():
                polled = store.watches.poll(watcher, 1 << 20)
                assert isinstance(polled, tuple)
                events += len(polled[1])
        print(f"  {events:,} events")

    timed("put with 10,104 watchers, 100 of them on all keys", count, watched)
    timed("snapshot, per key and change", count + store.revision - store.compact_revision, store.snapshot)
    data_of = store.snapshot()
    timed(f"restore of {len(data_of):,} bytes, per key", count, lambda: Store().restore(data_of))
    timed("hash_kv, per key", count, store.hash_kv)


if __name__ == "__main__":
    main()
