"""Flags beat the environment, which beats the file; every error names the field and where its value came from."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from ringleader.errors import Reason, UsageError
from ringleader.node.config import NodeConfig, format_address, load_config, parse_address, parse_peers
from ringleader.node.opening import bind_ports


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        'name = "n2"\ndata_dir = "file"\nheartbeat_ms = 50\nelection_ms = 700\n'
        '[peers]\nn1 = "127.0.0.1:1"\nn2 = "127.0.0.1:2"\n'
    )
    environ = {"RINGLEADER_DATA_DIR": "environment", "RINGLEADER_ELECTION_MS": "800", "RINGLEADER_ENDPOINTS": "x:1"}
    config = load_config({"election_ms": 900, "name": None}, environ, file)
    assert (config.name, config.data_dir) == ("n2", "environment")
    assert (config.heartbeat_ms, config.election_ms) == (50, 900)
    assert config.peers == {"n1": "127.0.0.1:1", "n2": "127.0.0.1:2"}
    assert load_config({}, {"RINGLEADER_CONFIG": str(file)}).name == "n2"
    assert load_config({}, {}) == NodeConfig()
    config = load_config({"peers": "n1=a:1,n2=b:2"}, {}, listens=False)
    assert config.peers == {"n1": "a:1", "n2": "b:2"}


def test_where_a_node_listens_that_was_not_told() -> None:
    """Where the others dial it, if it is told that; else where nobody else can reach it."""

    def listens(**flags: str) -> str:
        return load_config({"cluster_token": "t", "insecure": True, **flags}, {}).listen_peer

    assert listens() == "127.0.0.1:4401"
    assert listens(peers="n1=127.0.0.1:4701,n2=127.0.0.1:4702") == "127.0.0.1:4701"
    assert listens(peers="n1=127.0.0.1:4701,n2=10.0.0.2:4702", name="n2") == "10.0.0.2:4702"
    assert listens(peers="n1=127.0.0.1:1,n2=127.0.0.1:2", advertise_peer="127.0.0.1:3") == "127.0.0.1:3"
    assert listens(join="10.0.0.1:4401", advertise_peer="10.0.0.4:4401") == "10.0.0.4:4401"
    assert listens(join="127.0.0.1:4401") == "127.0.0.1:4401"
    assert listens(peers="n1=10.0.0.1:4401", listen_peer="0.0.0.0:4401") == "0.0.0.0:4401"
    with pytest.raises(UsageError, match=r"elsewhere \(10.0.0.1:4401\) could not reach this node at 127"):
        listens(join="127.0.0.1:1,10.0.0.1:4401")
    with pytest.raises(UsageError, match="cluster_token"):
        load_config({"peers": "n1=10.0.0.1:4401,n2=10.0.0.2:4401"}, {})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"heartbeat_ms": "soon"}, ["heartbeat_ms", "'soon' is not a whole number", "command line"]),
        ({"heartbeat_ms": 0}, ["heartbeat_ms", "between"]),
        ({"heartbeat_ms": 500}, ["election_ms", "three times"]),
        ({"name": "a b"}, ["name", "'a b' is no name"]),
        ({"data_dir": ""}, ["data_dir"]),
        ({"listen_client": "4400"}, ["listen_client", "not host:port"]),
        ({"listen_client": "::1:4400"}, ["listen_client", "brackets"]),
        ({"http": "localhost:port"}, ["http", "port must be a number"]),
        ({"http": "localhost:65536"}, ["http", "65535"]),
        ({"peers": "n1"}, ["peers", "name=host:port"]),
        ({"peers": "n1=a:1,n1=b:1"}, ["peers", "named twice"]),
        ({"peers": "n2=a:1,n3=b:1"}, ["peers", "'n1', is not among n2, n3"]),
        ({"peers": "n1=a:1,n2=a:1"}, ["peers", "same address"]),
        ({"join": "a:1"}, ["listen_peer", "is not given", "a:1"]),
        ({"peers": "n1=a:1,n2="}, ["peers (n2)", "not host:port"]),
        ({"peers": "n1=a:1,n2=b:1", "listen_peer": "10.0.0.1:4401"}, ["cluster_token", "other machines"]),
        ({"peers": "n1=a:1,n2=b:1", "listen_peer": ""}, ["listen_peer"]),
        ({"listen_client": "0.0.0.0:4400"}, ["advertise_client", "dial"]),
        ({"log_level": "loud"}, ["log_level"]),
        ({"segment_bytes": 1}, ["segment_bytes"]),
        ({"consensus": "zab"}, ["consensus", "'zab' is none of raft"]),
        ({"phase2_quorum": 2}, ["phase2_quorum", "only with consensus = paxos"]),
        ({"consensus": "raft", "phase2_quorum": 1}, ["phase2_quorum", "Raft decides by majorities"]),
    ],
)
def test_errors_name_the_field(flags: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(flags, {})
    assert caught.value.reason is Reason.INVALID_ARGUMENT
    for word in words:
        assert word in str(caught.value)


def test_errors_name_the_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"election_ms: 'x' is not a whole number \(from RINGLEADER_ELECTION_MS"):
        load_config({}, {"RINGLEADER_ELECTION_MS": "x"})
    file = tmp_path / "node.toml"
    with pytest.raises(UsageError, match="cannot read"):
        load_config({}, {}, file)
    file.write_text("name = [")
    with pytest.raises(UsageError, match="is not TOML"):
        load_config({}, {}, file)
    file.write_text("heartbeat = 3")
    with pytest.raises(UsageError, match="no field 'heartbeat'") as caught:
        load_config({}, {}, file)
    assert "heartbeat_ms" in caught.value.hint
    file.write_text("heartbeat_ms = true")
    with pytest.raises(UsageError, match="heartbeat_ms: True is not a whole number"):
        load_config({}, {}, file)
    file.write_text("name = 5")
    with pytest.raises(UsageError, match="name: 5 is not text"):
        load_config({}, {}, file)


def test_ids_and_the_cluster_follow_from_names_and_token() -> None:
    peers = {"west": "a:1", "east": "b:1", "north": "c:1"}
    config = NodeConfig(name="north", peers=peers, cluster_token="t")
    assert config.members == {"east": 1, "north": 2, "west": 3}
    assert config.node_id == 2
    same = NodeConfig(name="west", peers={name: f"elsewhere:{n}" for n, name in enumerate(peers)}, cluster_token="t")
    assert same.cluster_id == config.cluster_id
    assert NodeConfig(name="west", peers=peers, cluster_token="u").cluster_id != config.cluster_id
    assert (
        NodeConfig(name="west", peers={"west": "a:1", "east": "b:1"}, cluster_token="t").cluster_id != config.cluster_id
    )
    assert NodeConfig(name="alone").members == {"alone": 1}


def test_addresses() -> None:
    for text, pair in {"a:1": ("a", 1), "[::1]:4400": ("::1", 4400), "10.0.0.1:0": ("10.0.0.1", 0)}.items():
        assert parse_address(text) == pair
        assert format_address(*pair) == text
    assert parse_peers(" n1=a:1 , n2=[::1]:2,") == {"n1": "a:1", "n2": "[::1]:2"}


def test_a_name_that_is_loopback_here_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Debian has it for the name of the machine itself: nobody else would reach the node, and nothing would say so."""
    look_up = socket.getaddrinfo

    def mine(host: str, *rest: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if host == "mine.example" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", mine)
    flags = {"peers": "n1=mine.example:0", "data_dir": str(tmp_path), "listen_client": "localhost:0", "http": ""}
    with caplog.at_level(logging.WARNING, "ringleader.node"):
        sockets = bind_ports(load_config({**flags, "cluster_token": "t", "insecure": True}, {}))
    for sock in sockets.values():
        sock.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "listen_peer: mine.example:0 is 127.0.0.1:" in caplog.text
