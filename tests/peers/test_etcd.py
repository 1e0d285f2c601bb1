"""Our store and a real etcd are asked the same things and must say the same: keys, values, counts, every revision.

etcd is asked through its JSON gateway. Left out is where we differ on purpose: overlaps of puts and deletes inside one
transaction that etcd does not notice, and a limit with a sort target but no order.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringleader.cli.freeports import free_ports
from ringleader.store.commands import (
    Batch,
    Command,
    Compare,
    Delete,
    DeleteResult,
    Envelope,
    Failure,
    KeyValue,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    SessionResult,
    Txn,
    TxnResult,
)
from ringleader.store.store import Store

KEYS = [b"a", b"a1", b"a2", b"b", b"c", b"c\xff"]
TARGETS = {"version": "VERSION", "create": "CREATE", "mod": "MOD", "value": "VALUE", "key": "KEY"}
SIGNS = {"=": "EQUAL", "!=": "NOT_EQUAL", "<": "LESS", ">": "GREATER"}
NUMBERS = {"version": "version", "create": "create_revision", "mod": "mod_revision"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Etcd:
    """One etcd on loopback, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        command = ["etcd", "--data-dir", str(folder / "etcd"), "--log-level", "error"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        self.url = client
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if b"true" in self._read(f"{client}/health"):
                    return
            assert time.monotonic() < end, "etcd does not get ready"
            time.sleep(0.05)

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._read(f"{self.url}/v3/kv/{path}", json.dumps(body).encode()))
        return answer

    @staticmethod
    def _read(url: str, body: bytes | None = None) -> bytes:
        """What it answers, also with an error."""
        try:
            with urllib.request.urlopen(url, body, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.read()


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    server = Etcd(tmp_path_factory.mktemp("etcd"))
    yield server
    server.process.terminate()
    server.process.wait(60)


# ------------------------------------------------------------------------------------------------ our words in theirs


def request(op: Any) -> dict[str, Any]:
    """An operation as etcd's JSON."""
    match op:
        case Put(key=key, value=value, prev_kv=prev):
            return {"key": b64(key), "value": b64(value), "prev_kv": prev}
        case Delete(key=key, range_end=end, prev_kv=prev):
            return {"key": b64(key), "range_end": b64(end), "prev_kv": prev}
        case Range():
            return {
                "key": b64(op.key),
                "range_end": b64(op.range_end),
                "revision": op.revision,
                "limit": op.limit,
                "sort_order": op.sort_order.upper(),
                "sort_target": TARGETS[op.sort_target],
                "keys_only": op.keys_only,
                "count_only": op.count_only,
                "min_mod_revision": op.min_mod_revision,
                "max_create_revision": op.max_create_revision,
            }
        case Txn(compares=compares, success=success, failure=failure):
            return {
                "compare": [compare(each) for each in compares],
                "success": [{f"request_{word(each)}": request(each)} for each in success],
                "failure": [{f"request_{word(each)}": request(each)} for each in failure],
            }
    raise AssertionError(op)


def word(op: Any) -> str:
    return {"Put": "put", "Delete": "delete_range", "Range": "range", "Txn": "txn"}[type(op).__name__]


def compare(each: Compare) -> dict[str, Any]:
    body: dict[str, Any] = {"key": b64(each.key), "range_end": b64(each.range_end)}
    body |= {"target": TARGETS[each.target], "result": SIGNS[each.op]}
    if isinstance(each.value, bytes):
        return body | {"value": b64(each.value)}
    return body | {NUMBERS[each.target]: each.value}


def kv(found: dict[str, Any]) -> tuple[bytes, bytes, int, int, int]:
    numbers = (int(found[field]) for field in ("create_revision", "mod_revision", "version"))
    create, mod, version = numbers
    return base64.b64decode(found["key"]), base64.b64decode(found.get("value", "")), create, mod, version


def ours(each: KeyValue) -> tuple[bytes, bytes, int, int, int]:
    return each.key, each.value, each.create_revision, each.mod_revision, each.version


def assert_same(result: Result, answer: dict[str, Any], *, header: bool = True) -> None:
    if isinstance(result, Failure):
        assert "error" in answer, (result, answer)
        return
    assert "error" not in answer, (result, answer)
    if header and not isinstance(result, SessionResult):
        assert result.revision == int(answer["header"]["revision"])
    match result:
        case PutResult(prev_kv=prev):
            assert (ours(prev) if prev else None) == (kv(answer["prev_kv"]) if "prev_kv" in answer else None)
        case DeleteResult(deleted=deleted, prev_kvs=prev_kvs):
            assert deleted == int(answer.get("deleted", 0))
            assert list(map(ours, prev_kvs)) == list(map(kv, answer.get("prev_kvs", [])))
        case RangeResult(kvs=kvs, count=count, more=more):
            assert list(map(ours, kvs)) == list(map(kv, answer.get("kvs", [])))
            assert (count, more) == (int(answer.get("count", 0)), answer.get("more", False))
        case TxnResult(succeeded=succeeded, results=results):
            assert succeeded == answer.get("succeeded", False)
            parts = [next(iter(part.values())) for part in answer.get("responses", [])]
            for mine, theirs in zip(results, parts, strict=True):
                assert_same(mine, theirs, header=False)


# ------------------------------------------------------------------------------------------------------ random walks


class Walk:
    def __init__(self, seed: int, revision: int) -> None:
        self.random = random.Random(seed)
        self.revision = revision
        self.values = 0

    def span(self) -> tuple[bytes, bytes]:
        key = self.random.choice(KEYS)
        end = self.random.choice([b"", b"", b"", b"\0", b"b", b"c", b"d", key + b"\xff"])
        return key, end if end in (b"", b"\0") or end > key else b""

    def put(self, key: bytes | None = None) -> Put:
        self.values += 1
        value = b"v%d" % self.values
        return Put(self.random.choice(KEYS) if key is None else key, value, prev_kv=self.random.random() < 0.3)

    def range(self) -> Range:
        pick = self.random.choice
        key, end = self.span()
        target = pick(["key", "version", "create", "mod", "value"])
        return Range(
            key,
            end,
            revision=pick([0, 0, 0, max(2, self.revision - pick(range(6))), self.revision + 9]),
            limit=pick([0, 0, 1, 2]),
            # Asked for a target and no order, etcd cuts at the limit before it sorts; we sort first.
            sort_order=pick(["none", "ascend", "descend"] if target == "key" else ["ascend", "descend"]),
            sort_target=target,
            keys_only=self.random.random() < 0.1,
            count_only=self.random.random() < 0.1,
            min_mod_revision=pick([0, 0, 0, self.revision - 3]),
            max_create_revision=pick([0, 0, 0, self.revision]),
        )

    def compare(self) -> Compare:
        key, end = self.span()
        target = self.random.choice(["version", "create", "mod", "value"])
        value: int | bytes = self.random.choice([0, 1, 2, self.revision, self.revision - 1])
        if target == "value":
            value = b"v%d" % self.random.randint(0, self.values)
        return Compare(key, target, self.random.choice(list(SIGNS)), value, end)

    def branch(self) -> list[Put | Delete | Range | Txn]:
        keys = self.random.sample(KEYS, 2)
        some: list[Put | Delete | Range | Txn] = [self.put(keys[0]), self.put(keys[1]), self.range()]
        if self.random.random() < 0.3:
            some = [Delete(keys[0]), self.put(keys[1]), self.range()]
        self.random.shuffle(some)
        return some[: self.random.randint(0, 3)]

    def step(self) -> Put | Delete | Range | Txn:
        dice = self.random.random()
        if dice < 0.35:
            return self.put()
        if dice < 0.5:
            return Delete(*self.span(), prev_kv=self.random.random() < 0.5)
        if dice < 0.75:
            return self.range()
        compares = [self.compare() for _ in range(self.random.randint(0, 2))]
        return Txn(compares, self.branch(), self.branch())


@pytest.mark.peer("etcd")
@pytest.mark.parametrize("seed", [1])
def test_the_same_questions_get_the_same_answers(etcd: Etcd, seed: int) -> None:
    store = Store()
    walk = Walk(seed, store.revision)
    paths = {"Put": "put", "Delete": "deleterange", "Range": "range", "Txn": "txn"}
    for index in range(1, 600):
        op = walk.step()
        if isinstance(op, Range):
            store.skip(index)
            result = store.read(op)
        else:
            command: Command = op
            ((result,),) = store.apply(index, Batch(1, 0, [Envelope(0, 0, 0, [(0, command)])]))
        answer = etcd.call(paths[type(op).__name__], request(op))
        try:
            assert_same(result, answer)
        except AssertionError as error:
            raise AssertionError(f"step {index}: {op}\nours:  {result}\netcd: {answer}") from error
        walk.revision = store.revision
