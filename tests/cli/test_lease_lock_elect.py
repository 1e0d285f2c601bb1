"""`ringleader lease`, `lock`, `elect` and `status`: who holds what, who follows, and what is said when it is lost."""

from __future__ import annotations

import signal
import sys

import pytest

from cli.harness import Dev, Running, Shell, alive, eventually, run

PYTHON = sys.executable


def queue_of(cli: Shell, kind: str, name: str) -> list[dict[str, int]]:
    """The keys of those who hold or wait, first come first."""
    found = cli.json("kv", "range", f"ringleader/{kind}/{name}/", "--prefix", "--sort-by", "create")
    return list(found["kvs"])


def test_leases(cli: Shell) -> None:
    granted = cli.json("lease", "grant", "60")
    number = str(granted["lease"])
    assert granted["ttl"] == 60
    cli.ok("kv", "put", "leased", "x", "--lease", number)
    info = cli.json("lease", "info", number, "--keys")
    assert info["keys"] == ["leased"]
    assert 0 < info["remaining"] <= 60
    assert cli.json("lease", "keep-alive", number, "--once") == {"lease": int(number), "ttl": 60}
    assert cli.ok("lease", "keep-alive", hex(int(number)), "--once") == f"lease {number} alive for 60 s\n"
    assert int(number) in cli.json("lease", "list")["leases"]
    assert cli.json("lease", "revoke", number) == {"revoked": int(number)}
    assert cli.json("kv", "get", "leased", code=1) == {"kv": None}
    assert cli.json("lease", "info", number, code=1) == {"lease": None}
    assert "there is no lease" in cli.fails(2, "lease", "revoke", number)
    assert "there is no lease" in cli.fails(2, "lease", "keep-alive", number, "--once")
    assert "there is no lease" in cli.fails(2, "kv", "put", "leased", "x", "--lease", number)


def test_lock_passes_on_exit_code_and_token(cli: Shell) -> None:
    script = "import os, sys; print(os.environ['RINGLEADER_FENCING_TOKEN']); sys.exit(int(sys.argv[1]))"
    tokens = []
    for code in (0, 7):
        done = run("lock", "exit", "--", PYTHON, "-c", script, str(code), endpoints=cli.endpoints)
        assert (done.returncode, done.stderr) == (code, b"")
        tokens.append(int(done.stdout))
    assert tokens[0] < tokens[1]
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run("lock", "exit", "--", PYTHON, "-c", script, endpoints=cli.endpoints).returncode == 128 + 9
    assert "'/no/such/program' cannot be run" in cli.fails(2, "lock", "exit", "--", "/no/such/program")
    assert queue_of(cli, "locks", "exit") == []


def test_lock_waits_its_turn(cli: Shell) -> None:
    with cli.start("lock", "turn", "--json") as holder:
        first = holder.json()
        assert first["lock"] == "turn"
        assert "others held it" in cli.fails(1, "lock", "turn", "--wait", "0.2", "--", "true")
        body = cli.json("lock", "turn", "--wait", "0.2", code=1)
        assert (body["error"]["reason"], body["error"]["applied"]) == ("deadline", "no")
        with cli.start("lock", "turn", "--json") as waiter:
            eventually(lambda: len(queue_of(cli, "locks", "turn")) == 2, "nobody waits")
            holder.signal(signal.SIGTERM)  # gives the lock back: nobody waits for its ttl
            assert holder.wait() == 128 + signal.SIGTERM
            assert waiter.json()["fencing_token"] > first["fencing_token"]
            waiter.signal(signal.SIGINT)
            assert waiter.wait() == 128 + signal.SIGINT
    assert queue_of(cli, "locks", "turn") == []


def test_a_waiter_that_is_ended_leaves_the_queue(cli: Shell) -> None:
    with cli.start("lock", "leave") as holder:
        holder.line()
        with cli.start("lock", "leave") as waiter:
            eventually(lambda: len(queue_of(cli, "locks", "leave")) == 2, "nobody waits")
            waiter.signal(signal.SIGTERM)
            assert waiter.wait() == 128 + signal.SIGTERM
        assert len(queue_of(cli, "locks", "leave")) == 1


def sleeper(cli: Shell, name: str) -> Running:
    """A command under a lock that says when it runs, and how it ends."""
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('asked to end', flush=True), sys.exit(3)))\n"
        "print('runs', flush=True)\n"
        "time.sleep(600)\n"
    )
    running = cli.start("lock", name, "--ttl", "60", "--", PYTHON, "-c", script)
    try:
        assert running.line() == "runs"
    except BaseException:
        running.__exit__(None, None, None)
        raise
    return running


def test_a_lost_lock_ends_the_command(cli: Shell) -> None:
    with sleeper(cli, "lost") as holder:
        (key,) = queue_of(cli, "locks", "lost")
        cli.ok("lease", "revoke", str(key["lease"]))
        assert holder.line() == "asked to end"
        assert holder.wait() == 75
        assert holder.errors == "ringleader: the lock is lost; the command is ended\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is below a process")
def test_a_lost_lock_ends_what_the_command_leaves_behind(cli: Shell) -> None:
    """A shell that is ended leaves what it waits for to work on, beside the next holder."""
    deep = "sh -c 'sleep 1000 & echo $!; wait' & echo $!; wait"
    with cli.start("lock", "deep", "--", "sh", "-c", deep) as holder:
        below = [int(holder.line()), int(holder.line())]
        (key,) = queue_of(cli, "locks", "deep")
        cli.ok("lease", "revoke", str(key["lease"]))
        assert holder.wait() == 75
        assert [alive(pid) for pid in below] == [False, False]


def test_sigterm_reaches_the_command_and_then_the_lock_is_released(cli: Shell) -> None:
    with sleeper(cli, "passed-on") as holder:
        holder.signal(signal.SIGTERM)
        assert holder.line() == "asked to end"
        assert holder.wait() == 3  # what the command made of it
    assert queue_of(cli, "locks", "passed-on") == []


def test_election(cli: Shell) -> None:
    with cli.start("elect", "chief", "--json") as observer:
        assert observer.json() == {"election": "chief", "value": None, "fencing_token": None}
        with cli.start("elect", "chief", "anna", "--json") as anna:
            first = anna.json()
            assert first == {"election": "chief", "value": "anna", "fencing_token": first["fencing_token"]}
            assert observer.json() == first
            with cli.start("elect", "chief", "bert") as bert:
                eventually(lambda: len(queue_of(cli, "elections", "chief")) == 2, "bert does not stand")
                cli.ok("lease", "revoke", str(queue_of(cli, "elections", "chief")[0]["lease"]))
                assert anna.wait() == 75
                following = observer.json()
                assert following["value"] == "bert"
                assert following["fencing_token"] > first["fencing_token"]
                assert bert.line() == f"elected bert fencing token {following['fencing_token']}"
                bert.signal(signal.SIGTERM)
                assert bert.wait() == 128 + signal.SIGTERM
            assert observer.json()["value"] is None


def test_status(cli: Shell, dev: Dev) -> None:
    while True:  # outside a change of leader
        nodes = cli.json("status")["nodes"]
        if [node["role"] for node in nodes].count("leader") == 1 and all(node["http"] for node in nodes):
            break
    assert [(node["name"], node["client"], node["http"]) for node in nodes] == [
        (node["name"], node["client"], node["http"]) for node in dev.nodes
    ]
    assert sorted(node["role"] for node in nodes) == ["follower", "follower", "leader"]
    table = cli("status").stdout.decode()
    assert all(node["client"] in table for node in dev.nodes)


@pytest.mark.parametrize("seconds", ["nan", "-1", "0", "inf", "x"])
def test_periods_that_make_no_sense(cli: Shell, seconds: str) -> None:
    cli.fails(2, "lease", "grant", "--", seconds)
    cli.fails(2, "lock", "period", "--ttl", seconds, "--", "true")
    cli.fails(2, "kv", "get", "a", "--timeout", seconds)
    cli.fails(2, "elect", "period", "me", "--ttl", seconds)
    if seconds not in ("0", "inf"):
        cli.fails(2, "lock", "period", "--wait", seconds, "--", "true")
