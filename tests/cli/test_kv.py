"""`ringleader kv` from the shell: what goes in comes out, as text and as JSON."""

from __future__ import annotations

import json
import signal
import subprocess

from cli.harness import COMMAND, Shell, environment


def test_put_get_delete(cli: Shell) -> None:
    revision = cli.json("kv", "put", "kv/a", "one")["revision"]
    assert cli.ok("kv", "get", "kv/a") == "one\n"
    put = cli.json("kv", "put", "kv/a", "-", "--prev", stdin=b"two\nlines")
    assert put["previous"]["value"] == "one"
    assert put["revision"] > revision
    assert cli.json("kv", "get", "kv/a")["kv"] == {
        "key": "kv/a",
        "value": "two\nlines",
        "create_revision": revision,
        "mod_revision": put["revision"],
        "version": 2,
        "lease": 0,
    }
    assert cli.ok("kv", "get", "kv/a", "--revision", str(revision), "--consistency", "stale") == "one\n"
    assert cli.ok("kv", "delete", "kv/a") == "deleted 1\n"
    assert cli.json("kv", "delete", "kv/a")["deleted"] == 0
    assert cli.json("kv", "get", "kv/a", code=1) == {"kv": None}
    assert "there is no key 'kv/a'" in cli.fails(1, "kv", "get", "kv/a")


def test_bytes_that_are_no_text_survive(cli: Shell) -> None:
    cli.ok("kv", "put", b"raw/\xff\xfe", b"\x80value")
    done = cli("kv", "get", b"raw/\xff\xfe")
    assert done.stdout == b"\x80value\n"
    assert cli.json("kv", "get", b"raw/\xff\xfe")["kv"]["key"] == "raw/\\xff\\xfe"
    cli.ok("kv", "put", "raw/stdin", "-", stdin=bytes(range(256)))
    assert cli("kv", "get", "raw/stdin").stdout == bytes(range(256)) + b"\n"


def test_range(cli: Shell) -> None:
    for name in "abc":
        cli.ok("kv", "put", f"range/{name}", name.upper())
    assert cli.ok("kv", "range", "range/", "--prefix") == "range/a\tA\nrange/b\tB\nrange/c\tC\n"
    assert cli.ok("kv", "range", "range/a", "--range-end", "range/c", "--keys-only") == "range/a\nrange/b\n"
    assert cli.ok("kv", "range", "range/", "--prefix", "--count-only") == "3\n"
    body = cli.json("kv", "range", "range/", "--prefix", "--limit", "2", "--sort-by", "value", "--descending")
    assert [kv["value"] for kv in body["kvs"]] == ["C", "B"]
    assert (body["count"], body["more"]) == (3, True)
    assert int(cli.ok("kv", "range", "--count-only")) >= 3
    assert cli.ok("kv", "delete", "range/", "--prefix") == "deleted 3\n"


def test_watch_tells_changes_until_ctrl_c(cli: Shell) -> None:
    first = cli.json("kv", "put", "watched/x", "0")["revision"]
    with cli.start("kv", "watch", "watched/", "--prefix", "--prev", "--json", "--revision", str(first)) as watch:
        assert watch.json()["value"] == "0"
        second = cli.json("kv", "put", "watched/x", "1")["revision"]
        cli.ok("kv", "delete", "watched/x")
        put, deletion = watch.json(), watch.json()
        assert (put["event"], put["value"], put["revision"], put["version"]) == ("put", "1", second, 2)
        assert put["previous"]["value"] == "0"
        assert (deletion["event"], deletion["previous"]["value"]) == ("delete", "1")
        watch.signal(signal.SIGINT)
        assert watch.wait() == 130
        assert (watch.rest(), watch.errors) == ([], "")
    lines = cli.ok("kv", "watch", "watched/x", "--revision", str(first), "--count", "3")
    assert lines == "PUT\twatched/x\t0\nPUT\twatched/x\t1\nDELETE\twatched/x\n"


def test_txn(cli: Shell) -> None:
    body = {
        "compare": [{"key": "txn/a", "target": "version", "op": "=", "value": 0}],
        "success": [{"put": {"key": "txn/a", "value": "1"}}, {"range": {"key": "txn/", "prefix": True}}],
        "failure": [{"get": {"key": "txn/a"}}, {"delete": {"key": "txn/a"}}],
    }
    text = json.dumps(body).encode()
    first = cli.json("kv", "txn", stdin=text)
    assert first["succeeded"]
    assert first["results"][0] == {"revision": first["revision"]}
    assert [kv["value"] for kv in first["results"][1]["kvs"]] == ["1"]
    second = cli.json("kv", "txn", stdin=text, code=1)
    assert not second["succeeded"]
    assert second["results"][0]["kvs"][0]["value"] == "1"
    assert second["results"][1] == {"deleted": 1}
    assert cli.ok("kv", "txn", stdin=text).startswith("success revision ")
    compare_value = {"compare": [{"key": "txn/a", "value": "1"}], "success": [{"delete": {"key": "txn/a"}}]}
    assert cli.json("kv", "txn", stdin=json.dumps(compare_value).encode())["succeeded"]


def test_a_reader_that_leaves_ends_the_command_quietly(cli: Shell) -> None:
    for place in range(3):
        cli.ok("kv", "put", f"pipe/{place}", "-", stdin=b"x" * 100_000)
    with subprocess.Popen(
        [*COMMAND, "kv", "range", "pipe/", "--prefix"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(cli.endpoints),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == b"pipe/0\txxx"
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
