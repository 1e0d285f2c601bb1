"""What the page for operators says of the choice of a consensus protocol, done: try it, choose it, keep it, leave it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from cli.harness import Dev, Shell, eventually
from cli.test_start import ANYWHERE, Node
from docs.blocks import ROOT, blocks
from ringleader.consensus.paxos.ballot import ballot
from ringleader.consensus.paxos.quorum import phase1_size, phase2_size
from ringleader.consensus.protocols import Choice, check_choice
from ringleader.node.config import load_config

PAGE = ROOT / "docs" / "operations.md"


def _commands() -> list[list[str]]:
    (block,) = blocks(PAGE, "sh")
    return [shlex.split(line, comments=True) for line in block.text.splitlines()]


def test_the_configuration_of_the_page(tmp_path: Path) -> None:
    (block,) = blocks(PAGE, "toml")
    file = tmp_path / "ringleader.toml"
    file.write_text(block.text)
    config = load_config({}, {}, file)
    assert config.choice == Choice("paxos", 2)
    assert len(config.members) == 5
    env = {"RINGLEADER_CONSENSUS": "raft", "RINGLEADER_PHASE2_QUORUM": "0"}
    assert load_config({}, env, file).choice == Choice("raft")


def test_the_quorums_of_the_page() -> None:
    table = PAGE.read_text().split("| `phase2_quorum` | writes")[1].splitlines()[2:5]
    rows = [[int(number) for number in re.findall(r"\d+", line)] for line in table]
    assert [row[0] for row in rows] == [0, 2, 4]
    for row in rows:
        accept, promise = phase2_size(5, row[0]), phase1_size(5, row[0])
        assert row[-3:] == [accept, promise, accept - 1]
    assert ballot(3, 2) == 3_000_002


def test_a_cluster_is_tried_out_as_the_page_says() -> None:
    try_it, five = _commands()
    assert try_it[:2] == five[:2] == ["ringleader", "dev"]
    told = dict(zip(five[2::2], five[3::2], strict=True))
    check_choice(Choice(told["--consensus"], int(told["--phase2-quorum"])), int(told["--nodes"]))
    with Dev(*try_it[2:]) as dev:
        cli = Shell(dev.endpoints)
        cli.ok("kv", "put", "greeting", "hello")
        assert cli.ok("kv", "get", "greeting") == "hello\n"
        assert "Consensus: paxos\n" in cli.ok("status")


def test_the_data_moves_to_another_protocol_by_way_of_a_back_up(endpoints: str, tmp_path: Path) -> None:
    old = Shell(endpoints)
    old.ok("kv", "put", "greeting", "hello")
    assert "Consensus: raft\n" in old.ok("status")
    file, data = str(tmp_path / "today"), str(tmp_path / "n1")
    old.ok("snapshot", "save", file)
    Shell("").ok("snapshot", "restore", file, "--data-dir", data, "--consensus", "paxos")
    with Node(tmp_path, "--data-dir", data, *ANYWHERE) as node:
        new = Shell(re.findall(r"clients (\S+),", node.wait_up())[0])
        eventually(lambda: new("kv", "get", "greeting").returncode == 0, "the restored cluster does not answer")
        assert new.ok("kv", "get", "greeting") == "hello\n"
        assert "Consensus: paxos\n" in new.ok("status")
    message = Shell("").fails(2, "start", "--data-dir", data, "--consensus", "raft", *ANYWHERE)
    assert "belongs to a cluster that runs paxos; this configuration asks for raft" in message
