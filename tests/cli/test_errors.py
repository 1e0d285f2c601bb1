"""A wrong call is answered in one line that names the culprit, with the exit code of its kind; never with a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import ringleader
from cli.harness import COMMAND, Shell, environment, eventually, failure, run
from ringleader.cli.common import MOST_INPUT
from ringleader.cli.main import GROUPS
from ringleader.client import Client, ClientOptions


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["kv", "nosuch"], "No such command 'nosuch'"),
        (["kv", "put", "a"], "Missing argument 'VALUE'"),
        (["kv", "get", "a", "--wrong"], "No such option: --wrong"),
        (["kv", "get", "a", "--revision", "x"], "--revision"),
        (["kv", "get", "a", "--revision", str(2**70)], "--revision"),
        (["kv", "get", "a", "--revision", str(2**60)], "lies in the future"),
        (["kv", "get", "a", "--consistency", "nope"], "'nope' is not one of linearizable, leader_lease, stale"),
        (["kv", "range", "a", "--prefix", "--range-end", "b"], "either prefix=True or range_end"),
        (["kv", "range", "--sort-by", "nope"], "'nope' is not known"),
        (["kv", "put", "", "x"], "a key must not be empty"),
        (["kv", "put", "a" * 5000, "x"], "4096"),
        (["kv", "put", "a", "x", "--lease", "77"], "there is no lease 77"),
        (["kv", "put", "a", "x", "--lease", "x"], "a lease id must be a whole number, not 'x'"),
        (["lease", "revoke", str(2**70)], "a lease id is a number from 0"),
        (["lock", "", "--", "true"], "a lock needs a name"),
        (["lock", b"\xff", "--", "true"], "must be UTF-8"),
        (["lock", "a", "--wiat", "3", "--", "true"], "No such option: --wiat"),
        (["elect", "", "me"], "an election needs a name"),
        (["kv", "get", "a", "--endpoints", "http://x"], "'http://x' is not an endpoint"),
        (["kv", "get", "a", "--endpoints", "localhost:99999"], "is not an endpoint"),
        (["dev", "--nodes", "0"], "--nodes"),
        (["role", "grant", "r", "read"], "the right 'read' needs a KEY; with --prefix"),
        (["settings", "set", "--quota", "99999999999G"], "change of settings"),
        (["settings", "set", "--retention-revisions", str(2**80)], "change of settings"),
        (["user", "add", b"\xff", "--no-password"], "adding user"),
        (["role", "add", b"\xff"], "adding role"),
        (["cluster", "add", b"\xff"], "adding member"),
        (["token", "list", b"\xff"], "a user's name is UTF-8"),
        (["kv", "range", "--sort-by", b"\xff"], "a sort_by is UTF-8"),
        (["kv", "txn", "--file", "/no/such/file"], "/no/such/file cannot be read: No such file or directory"),
    ],
)
def test_wrong_calls(cli: Shell, arguments: list[str | bytes], says: str) -> None:
    assert says in cli.fails(2, *arguments)
    if b"--" not in map(bytes, (a if isinstance(a, bytes) else a.encode() for a in arguments)):
        error = cli.json(*arguments, code=2)["error"]
        assert says in error["message"] + error["hint"]
        assert error["applied"] == "no"


def test_a_password_that_is_no_text_is_refused_and_not_shown(cli: Shell) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ringleader.cli.user._new_password", lambda _: "secret\udcff")
        message = cli.fails(2, "user", "add", "ann")
    assert "the password is not UTF-8" in message
    assert "secret" not in message


@pytest.mark.parametrize("arguments", [["kv", "put", "full", "x"], ["status"], ["cluster", "members"], ["--help"]])
def test_a_standard_output_that_is_full_is_said(cli: Shell, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], env=environment(cli.endpoints), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 74
    assert done.stderr == b"ringleader: cannot write to standard output: No space left on device\n"


def test_an_interruption_while_it_loads() -> None:
    code = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "ringleader.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
runpy.run_module("ringleader", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_closed_streams(cli: Shell) -> None:
    def shell(line: str) -> subprocess.CompletedProcess[bytes]:
        command = ["sh", "-c", line, "sh", *COMMAND]
        return subprocess.run(command, env=environment(cli.endpoints), capture_output=True, check=False)

    assert shell('"$@" kv put closed x >&-').returncode == 0
    assert shell('"$@" kv get closed').stdout == b"x\n"
    assert "standard input is closed" in failure(shell('"$@" kv put closed - <&-'), 2)


def test_an_endless_standard_input_is_not_read_for_ever(cli: Shell) -> None:
    message = cli.fails(2, "kv", "put", "endless", "-", stdin=bytes(MOST_INPUT + 1))
    assert f"more than {MOST_INPUT} bytes" in message


@pytest.mark.parametrize("arguments", [["replay", "1", "--svg"], ["shrink", "1", "--out"], ["check", "--out"]])
def test_what_cannot_be_written_is_said_before_the_run(arguments: list[str]) -> None:
    message = Shell("").fails(2, "sim", *arguments, "/no/such/file")
    assert "cannot write /no/such/file: No such file or directory" in message


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_group_says_what_it_is_for(group: str) -> None:
    page = " ".join(Shell("").ok(group, "--help").replace("\u2502", " ").split())
    assert GROUPS[group][1] in page
    assert "completion" not in page
    assert GROUPS[group][1][:20] in Shell("").ok("--help")


def test_oversized_value(cli: Shell) -> None:
    assert "1048576 are allowed" in cli.fails(2, "kv", "put", "big", "-", stdin=b"x" * (1024 * 1024 + 1))
    cli.ok("kv", "put", "big", "-", stdin=b"x" * (1024 * 1024))
    cli.ok("kv", "delete", "big")


def _nobody(cli: Shell) -> str:
    """On a busy machine it may not come to an answer within so short a time."""
    return cli.fails(1, "kv", "put", "a", "b", "--endpoints", "127.0.0.1:1", "--timeout", "0.3")


def test_nobody_there(cli: Shell) -> None:
    eventually(lambda: "Connection refused" in _nobody(cli), "it does not say why")
    assert "127.0.0.1:1" in _nobody(cli)
    error = cli.json("kv", "put", "a", "b", "-e", "127.0.0.1:1", "--timeout", "0.3", code=1)["error"]
    assert error["applied"] == "no"


def test_the_port_for_other_nodes_is_not_the_one_for_clients(cli: Shell) -> None:
    members = json.loads(cli("cluster", "members", "--json").stdout)["members"]
    peer = members[0]["peer"]

    def told() -> bool:
        message = cli.fails(1, "kv", "get", "a", "-e", peer, "--timeout", "1")
        where, hint = f"{peer}: a frame made no sense", "is this a node's port for clients (listen_client)?"
        return where in message and hint in message

    eventually(told, "it does not say why")


def test_a_flag_beats_the_environment(cli: Shell) -> None:
    done = run("kv", "get", "nothing-here", "-e", cli.endpoints, endpoints="127.0.0.1:1")
    assert "there is no key" in failure(done, 1)
    assert "127.0.0.1:1" in failure(run("kv", "get", "a", "--timeout", "0.3", endpoints="127.0.0.1:1"), 1)


COMPARE = {"key": "a", "target": "version", "value": 0}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is an object"),
        ({"sucess": []}, "is an object with"),
        ({"success": {}}, '"success" is a list'),
        ({"success": [{"put": {"key": "a"}, "get": {"key": "a"}}]}, "is no operation"),
        ({"success": [{"incr": {"key": "a"}}]}, '"incr" is no operation'),
        ({"success": [{"put": {"key": "a", "ttl": 1}}]}, "may have the fields"),
        ({"success": [{"put": {"key": 5, "value": "1"}}]}, '"key" is a string, not 5'),
        ({"success": [{"put": {"key": "a", "value": 1}}]}, '"value" is a string, not 1'),
        ({"success": [{"put": {"key": "a", "value": "1", "lease": None}}]}, '"lease" is a whole number'),
        ({"success": [{"put": {"key": "\ud800", "value": "1"}}]}, "half a character"),
        ({"success": [{"put": {"key": "", "value": "1"}}]}, "a key must not be empty"),
        ({"success": [{"range": {"key": "a", "prefix": "yes"}}]}, '"prefix" is true or false'),
        ({"compare": [{**COMPARE, "value": None}]}, '"value" is a whole number'),
        ({"compare": [{**COMPARE, "value": 1.5}]}, '"value" is a whole number'),
        ({"compare": [{**COMPARE, "value": True}]}, '"value" is a whole number'),
        ({"compare": [{**COMPARE, "target": "value"}]}, '"value" is a string'),
        ({"compare": [{**COMPARE, "target": "size"}]}, "'size'"),
        ({"compare": [{**COMPARE, "op": "~"}]}, "'~'"),
        ({"compare": [5]}, "5 may have the fields"),
        ({"success": [{"put": {"key": str(i), "value": ""}} for i in range(129)]}, "128"),
        ({"success": [{"put": {"key": "twice", "value": ""}}] * 2}, "twice"),
    ],
)
def test_transactions_that_make_no_sense(cli: Shell, body: object, says: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert says in cli.fails(2, "kv", "txn", stdin=text.encode())


def test_a_transaction_that_is_not_utf8(cli: Shell) -> None:
    assert "is not JSON" in cli.fails(2, "kv", "txn", stdin=b"\xff\xfe\xfd")


def test_a_bug_is_one_line_too(cli: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import ringleader

    def broken(*_: object, **__: object) -> None:
        raise TypeError("not\nexpected")

    monkeypatch.setattr(ringleader, "connect", broken, raising=False)
    message = cli.fails(70, "kv", "get", "a")
    assert "this is a bug, please report it: TypeError: not expected" in message


def test_the_timeout_may_come_from_the_environment(cli: Shell) -> None:
    env = {"RINGLEADER_TIMEOUT": "0.2"}
    assert "within 0.2 s" in failure(run("kv", "get", "a", endpoints="127.0.0.1:1", env=env), 1)
    assert "RINGLEADER_TIMEOUT" in failure(run("kv", "get", "a", env={"RINGLEADER_TIMEOUT": "soon"}), 2)


def test_who_has_more_time_for_a_call_has_more_for_each_attempt_to_connect(
    cli: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node on the other side of the world needs more than a second for a connection, TLS and a login."""
    given: list[float] = []
    real = ringleader.connect

    def connect(*endpoints: str, options: ClientOptions, **more: Any) -> Client:
        given.append(options.connect_timeout)
        return real(*endpoints, options=options, **more)

    monkeypatch.setattr(ringleader, "connect", connect)
    for timeout in ("2", "5", "20", "1000"):
        cli.ok("kv", "range", "far/", "--prefix", "--timeout", timeout)
    assert given == [1.0, 1.0, 4.0, 5.0]
