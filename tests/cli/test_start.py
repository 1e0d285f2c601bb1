"""`ringleader start`: where a setting comes from, and what is said when a node cannot start."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from cli.harness import COMMAND, PATIENCE, Shell, environment, eventually, run
from ringleader.cli.freeports import free_ports
from ringleader.node.certificates import make_authority, make_node, make_user
from ringleader.node.config import NodeConfig

ANYWHERE = ["--listen-client", "127.0.0.1:0", "--http", "127.0.0.1:0"]


class Node:
    """One `ringleader start` that stays up; `log` is what it has said so far."""

    def __init__(self, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self._log = folder / "log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "start", *arguments], env=environment(**(env or {})), stdout=log, stderr=log, cwd=folder
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_up(self) -> str:
        """The line that says that it is up."""
        eventually(lambda: " is up: " in self.log or self.process.poll() is not None, "not up")
        (line,) = [line for line in self.log.splitlines() if " is up: " in line] or [self.log]
        return line

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    ports = dict(zip(("flag", "environment", "file"), free_ports(3), strict=True))
    file = tmp_path / "node.toml"
    file.write_text(
        f'name = "from-file"\nlisten_client = "127.0.0.1:{ports["file"]}"\nhttp = "127.0.0.1:{ports["file"]}"\n'
        f'data_dir = "{tmp_path}/data-file"\n'
    )
    env = {
        "RINGLEADER_CONFIG": str(file),
        "RINGLEADER_LISTEN_CLIENT": f"127.0.0.1:{ports['environment']}",
        "RINGLEADER_HTTP": f"127.0.0.1:{ports['environment']}",
    }
    with Node(tmp_path, "--listen-client", f"127.0.0.1:{ports['flag']}", env=env) as node:
        line = node.wait_up()
        assert "node from-file" in line
        assert f"clients 127.0.0.1:{ports['flag']}," in line
        assert f"http 127.0.0.1:{ports['environment']};" in line
        url = f"http://127.0.0.1:{ports['environment']}/status"
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert json.load(answer)["name"] == "from-file"
    assert node.process.returncode == 0
    assert (tmp_path / "data-file" / "identity.json").exists()


def test_a_folder_in_use_and_a_folder_of_another_node(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    cli = Shell("")
    with Node(tmp_path, "--name", "n1", "--data-dir", data, *ANYWHERE) as node:
        node.wait_up()
        message = cli.fails(2, "start", "--name", "n1", "--data-dir", data, *ANYWHERE)
        assert f"the data folder {data} is in use by process {node.process.pid}" in message
        client = re.findall(r"clients (\S+),", node.wait_up())[0]
        other = ["--data-dir", str(tmp_path / "other"), "--http", "127.0.0.1:0"]
        assert f"listen_client: {client} is in use" in cli.fails(2, "start", *other, "--listen-client", client)
        Shell(client).ok("kv", "put", "still", "here")
    renamed = run("start", "--name", "n2", "--data-dir", data, *ANYWHERE)
    assert renamed.returncode == 2
    assert b"belongs to" in renamed.stderr.splitlines()[-1]


def test_every_setting_is_a_flag() -> None:
    page = Shell("").ok("start", "--help")
    for field in NodeConfig.__struct_fields__:
        assert f"--{field.replace('_', '-')} " in page


def _asks(node: Node) -> bool:
    return "not a member yet" in node.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_while_it_waits_to_be_let_in(tmp_path: Path, number: signal.Signals) -> None:
    """Nobody listens at that port; a node that is no member yet ends at once, and leaves its folder to the next try."""
    joining = [
        "--name",
        "n1",
        "--data-dir",
        str(tmp_path / "data"),
        "--join",
        f"127.0.0.1:{free_ports(1)[0]}",
        *ANYWHERE,
    ]
    joining += ["--listen-peer", "127.0.0.1:0"]
    for _ in range(2):
        with Node(tmp_path, *joining) as node:
            eventually(partial(_asks, node), "it does not ask")
            node.process.send_signal(number)
            assert node.process.wait(60) == 0
            assert "was asked to stop before it was up" in node.log


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--heartbeat-ms", "x"], "--heartbeat-ms"),
        (["--heartbeat-ms", "100", "--election-ms", "200"], "election_ms"),
        (["--listen-client", "here"], "listen_client: 'here' is not host:port"),
        (["--name", "not a name"], "name: 'not a name' is no name"),
        (["--peers", "n1"], "peers: 'n1' is not name=host:port (from the command line)"),
        (["--name", "n9", "--peers", "n1=a:1,n2=a:2"], "this node, 'n9', is not among n1, n2"),
        (["--config", "/no/such/file"], "cannot read /no/such/file: No such file or directory"),
        (["--log-level", "loud"], "log_level: 'loud' is none of"),
        (["--data-dir", "/proc/nothing", *ANYWHERE], "cannot use the data folder /proc/nothing"),
        (["--listen-peer", "0.0.0.0:1", "--peers", "n1=a:1,n2=a:2"], "cluster_token"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, arguments: list[str], says: str) -> None:
    given = arguments if "--data-dir" in arguments else [*arguments, "--data-dir", str(tmp_path / "data")]
    assert says in Shell("").fails(2, "start", *given)
    assert not (tmp_path / "data").exists()


def test_a_file_that_makes_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    for text, says in (
        ("name = [", "is not TOML"),
        ("nmae = 'n1'", "there is no field 'nmae'"),
        ("name = 5", "5 is not text"),
    ):
        file.write_text(text)
        message = Shell("").fails(2, "start", "--config", str(file))
        assert says in message
        assert str(file) in message


def test_status_of_a_node_that_speaks_tls(tmp_path: Path) -> None:
    """By the options before the command as by the environment; and not by a proxy that the environment names."""
    certs = tmp_path / "certs"
    make_authority(certs, "ca", 1)
    make_node(certs, "n1", ["127.0.0.1"], 1)
    make_user(certs, "ann", 1)
    client, http = (f"127.0.0.1:{port}" for port in free_ports(2))
    files = ["--cert", str(certs / "n1.pem"), "--key", str(certs / "n1-key.pem"), "--ca", str(certs / "ca.pem")]
    where = ["--data-dir", str(tmp_path / "data"), "--listen-client", client, "--http", http, "--client-cert-required"]
    with Node(tmp_path, *where, *files) as node:
        node.wait_up()
        ann = ["--ca", str(certs / "ca.pem"), "--cert", str(certs / "ann.pem"), "--key", str(certs / "ann-key.pem")]
        proxy = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        done = run(*ann, "status", "--json", endpoints=client, env=proxy)
        assert (done.returncode, json.loads(done.stdout)["nodes"][0].get("role")) == (0, "leader"), done
        names = {f"RINGLEADER_{name[2:].upper()}": value for name, value in zip(ann[::2], ann[1::2], strict=True)}
        assert run("status", endpoints=client, env=proxy | names).returncode == 0
