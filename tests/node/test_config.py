"""Flags beat the environment, which beats the file; every error names the field and where its value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringleader.errors import Reason, UsageError
from ringleader.node.config import NodeConfig, format_address, load_config, parse_address, parse_peers


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
    assert load_config({"peers": "n1=a:1,n2=b:2"}, {}).peers == {"n1": "a:1", "n2": "b:2"}


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
