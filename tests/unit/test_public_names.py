"""The public surface: every name on purpose, cheap to import, typed for users under `mypy --strict`."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ringleader

NAMES = {
    "ringleader": """
        KV Auth Barrier Cache Client ClientOptions Cluster ClusterSettings CompactedError Condition Consumer Counter
        DeadlineError DeleteResult DoubleBarrier Election Event Holder Key KeyValue Leader Leadership Lease LeaseInfo
        Leases Lock Member Membership Message NodeStatus NotAppliedError Operation OutcomeUnknownError PutResult Queue QueueSize
        RangeResult ReadLock ReadWriteLock Reason RingleaderError Semaphore Shard ShardChange ShardGroup ShardWorker
        Shards Status TxnResult UnknownDeadlineError UsageError WatchBatch WatchStream WriteLock changes connect
        embedded key op replica
    """,
    "ringleader.sync": """
        KV Auth Barrier Cache Client Cluster Consumer Counter DoubleBarrier Election Leadership Lease Leases Lock Lost Message
        Queue ReadLock ReadWriteLock Semaphore Shard ShardChange Shards WatchStream WriteLock connect embedded
    """,
    "ringleader.crdt": """
        Alarm BoundedCounter CausalBuffer Change ChangeStream Conflict Crdt DWFlag DecodeError Delta Difference
        DuplicateIdentityError EWFlag GCounter GSet GapError History HyperLogLog InsufficientRightsError JsonDocument
        LWWMap LWWRegister Limits List MVRegister Model ORMap ORSet PNCounter RWSet ReadOnlyCopyError Replica
        ReplicaContext Shape SortedSet Text TextEdit TwoPhaseSet UndoStack register shape_of type_of
    """,
    "ringleader.clock": """
        ClockDriftError Dot DotContext HybridClock Order Stability VersionVector format_stamp pack_stamp unpack_stamp
    """,
    "ringleader.placement": """
        BoundedLoads Diff Hash JumpHash KetamaRing Key Maglev Memento Move MultiProbe Node PartitionMove PartitionTable
        Placement Plan Preference Rendezvous Ring Violation jump plan redis_slot
    """,
    "ringleader.client.ops": "Condition Key Operation Subject check delete get key put range span txn",
}
SOURCE = Path(ringleader.__file__).parent.parent


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_is_there_on_purpose(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(NAMES[module].split()), "change this list together with the documentation"
    for name in found.__all__:
        assert getattr(found, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ringleader.no_such_name
    assert {"connect", "embedded", "__version__"} <= set(dir(ringleader))


def python(code: str) -> str:
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n" + textwrap.dedent(code)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_importing_it_loads_nothing_heavy() -> None:
    """That it is fast is a matter of what it loads: that can be tested without a clock."""
    loaded = python("before = set(sys.modules); import ringleader; print(*sorted(set(sys.modules) - before))").split()
    assert "ringleader.errors" in loaded
    heavy = {"asyncio", "uvloop", "typer", "rich", "google", "grpc", "msgspec", "socket", "ssl", "prometheus_client"}
    assert heavy & {name.split(".")[0] for name in loaded} == set()
    assert [name for name in loaded if name.startswith("ringleader")] == ["ringleader", "ringleader.errors"]
    assert len(loaded) < 40


def test_the_client_loads_neither_node_nor_command_line() -> None:
    loaded = python("import ringleader; ringleader.connect; print(*sys.modules)").split()
    assert "ringleader.client" in loaded
    for room in ("node", "runtime", "group", "consensus", "log", "cli", "sim"):
        assert f"ringleader.{room}" not in loaded
    assert not {"uvloop", "typer", "rich"} & set(loaded)


USER = """
    import asyncio
    import ringleader
    import ringleader.sync
    from ringleader import key, op

    async def main() -> None:
        async with ringleader.connect("127.0.0.1:4400", timeout=1.0) as db:
            put: ringleader.PutResult = await db.kv.put("a", b"1")
            got = await db.kv.get("a", consistency="stale", max_staleness=0.5)
            text: str = got.text if got is not None else ""
            result = await db.kv.txn(compare=[key("a").version == 0, key("b").missing], success=[op.put("a", text)])
            reveal_type(result.succeeded)
            async for event in db.kv.watch("a", prefix=True, start_revision=put.revision + 1):
                reveal_type(event.key)
                break
            async with db.lease(10) as lease, db.lock("x", ttl=5) as lock:
                reveal_type(lease.id + lock.fencing_token)
            leadership = await db.election("e").campaign("me")
            await leadership.resign()
            async for leader in db.election("e").observe():
                reveal_type(leader)
            try:
                await db.kv.delete("a", timeout=0.1)
            except ringleader.OutcomeUnknownError as error:
                reveal_type(error.reason)
        with ringleader.sync.embedded("data") as local:
            reveal_type(local.kv.range("a", prefix=True)[0].value)
            with local.lock("x") as held:
                reveal_type(held.held)

    asyncio.run(main())
"""
REVEALED = ["bool", "bytes", "int", "Leader | None", "Reason", "bytes", "bool"]


def test_a_users_code_is_typed(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(textwrap.dedent(USER))
    arguments = ["--strict", "--config-file=", f"--cache-dir={tmp_path}/cache", str(tmp_path / "user.py")]
    arguments += ["--follow-imports=silent"]  # as for an installed package: what mypy says of our files, lint shows
    command = [sys.executable, "-m", "mypy", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env={"MYPYPATH": str(SOURCE)}, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    revealed = [line.split('"')[1] for line in run.stdout.splitlines() if "Revealed type" in line]
    shown = [each.replace("builtins.", "").replace("ringleader.client.recipes.election.", "").replace("ringleader.errors.", "")
             for each in revealed]  # fmt: skip
    assert shown == REVEALED
    wrong = textwrap.dedent("""
        import ringleader
        async def main(db: ringleader.Client) -> None:
            await db.kv.put("a", 1)
    """)
    (tmp_path / "user.py").write_text(wrong)
    run = subprocess.run(command, capture_output=True, text=True, env={"MYPYPATH": str(SOURCE)}, check=False)
    assert 'incompatible type "int"' in run.stdout
