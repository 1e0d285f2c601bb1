"""A data folder belongs to one node of one cluster, durably, from the first moment on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ringleader.consensus.protocols import Choice
from ringleader.errors import Reason, UsageError
from ringleader.log import Identity, LogCorruptError, LogOptions, create
from ringleader.node.config import NodeConfig
from ringleader.node.identity import IDENTITY_FILE, claim_folder, mark_started
from ringleader.ports import Create, DiskOp, Sync, Truncate, Unlink, Write
from ringleader.runtime.disk import FolderDisk
from unit.log.crashdisk import CrashDisk

PEERS = {"n1": "a:1", "n2": "b:1"}
CONFIG = NodeConfig(name="n1", peers=PEERS, cluster_token="t")


def start(disk: CrashDisk) -> None:
    identity = claim_folder(disk, CONFIG, "first")
    create(Identity(identity.cluster, identity.node, identity.incarnation), LogOptions(), disk)
    mark_started(disk, identity)


def test_the_first_claim_stays(tmp_path: Path) -> None:
    disk = FolderDisk(tmp_path)
    first = claim_folder(disk, CONFIG, "first")
    assert (first.node, first.incarnation, first.started) == (1, "first", False)
    assert claim_folder(disk, CONFIG, "second") == first
    disk.close()


def test_someone_elses_folder_is_refused_with_the_reason() -> None:
    disk = CrashDisk()
    start(disk)
    for config, reason in [
        (NodeConfig(name="n1", peers=PEERS, cluster_token="other"), Reason.WRONG_CLUSTER),
        (NodeConfig(name="n1", peers={**PEERS, "n3": "c:1"}, cluster_token="t"), Reason.WRONG_CLUSTER),
        (NodeConfig(name="n2", peers=PEERS, cluster_token="t"), Reason.WRONG_NODE),
    ]:
        with pytest.raises(UsageError) as caught:
            claim_folder(disk, config, "second")
        assert caught.value.reason is reason
        assert caught.value.hint


def test_a_cluster_keeps_the_consensus_that_it_began_with() -> None:
    disk = CrashDisk()
    start(disk)
    asked = replace(CONFIG, consensus="raft")
    assert claim_folder(disk, asked, "second") == claim_folder(disk, CONFIG, "second")
    data = disk.read(IDENTITY_FILE).replace(b'"protocol": "raft"', b'"protocol": "paxos"')
    disk.execute([Unlink(IDENTITY_FILE), Create(IDENTITY_FILE), Write(IDENTITY_FILE, 0, data), Sync(IDENTITY_FILE)])
    with pytest.raises(UsageError, match="a cluster that runs paxos; this configuration asks for raft") as caught:
        claim_folder(disk, asked, "second")
    assert caught.value.reason is Reason.WRONG_CLUSTER
    assert claim_folder(disk, CONFIG, "second").consensus == Choice("paxos")


def test_a_crash_anywhere_leaves_no_claim_or_a_whole_one() -> None:
    class Stepwise(CrashDisk):
        def execute(self, ops: Iterable[DiskOp]) -> None:
            for op in ops:
                self.step(op)
                ends.extend(self.crashes(limit=4))

    ends: list[CrashDisk] = []
    start_disk = Stepwise()
    identity = claim_folder(start_disk, CONFIG, "first")
    assert len(ends) > 20
    for end in ends:
        again = claim_folder(end, CONFIG, "second")
        assert again.incarnation in ("first", "second")
        assert claim_folder(end, CONFIG, "third") == again
    assert claim_folder(start_disk.crashed([False] * start_disk.choices()), CONFIG, "second") == identity


def test_a_lost_log_or_identity_is_noticed() -> None:
    disk = CrashDisk()
    start(disk)
    wiped = disk.killed()
    wiped.execute([Unlink(name) for name in wiped.names() if name.startswith("log-")])
    with pytest.raises(LogCorruptError, match="has had a log, which is gone"):
        claim_folder(wiped, CONFIG, "second")
    nameless = disk.killed()
    nameless.execute([Unlink(IDENTITY_FILE)])
    with pytest.raises(LogCorruptError, match="no identity file"):
        claim_folder(nameless, CONFIG, "second")
    never_started = CrashDisk()
    claim_folder(never_started, CONFIG, "first")
    assert claim_folder(never_started, CONFIG, "second").incarnation == "first"


def test_a_damaged_or_newer_file_is_refused(tmp_path: Path) -> None:
    disk = FolderDisk(tmp_path)
    claim_folder(disk, CONFIG, "first")
    data = disk.read(IDENTITY_FILE)
    disk.execute([Truncate(IDENTITY_FILE, len(data) - 5)])
    with pytest.raises(LogCorruptError, match="identity file is damaged"):
        claim_folder(disk, CONFIG, "second")
    disk.execute([Unlink(IDENTITY_FILE), Create(IDENTITY_FILE)])
    disk.execute([Write(IDENTITY_FILE, 0, data.replace(b'"version": 1', b'"version": 2')), Sync(IDENTITY_FILE)])
    with pytest.raises(UsageError, match="newer release") as caught:
        claim_folder(disk, CONFIG, "second")
    assert caught.value.reason is Reason.VERSION
    disk.close()
