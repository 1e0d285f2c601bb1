"""`ringleader cluster` from the shell, and `db.cluster` behind it, on a real cluster of three."""

from __future__ import annotations

import json
from typing import Any

import pytest

import ringleader
import ringleader.sync
from cli.harness import Dev, Shell
from ringleader.errors import Reason, UsageError


def members_when_all_are_well(cli: Shell) -> Any:
    """The members once all have told where clients reach them; on a busy machine a node may be silent for a moment."""
    while True:
        done = cli("cluster", "members", "--json")
        seen = json.loads(done.stdout)
        well = [member["healthy"] for member in seen["members"]]
        assert done.returncode == (0 if all(well) else 1), done
        if all(well) and all(member["client"] for member in seen["members"]):
            return seen


def test_members_and_transfer(cli: Shell) -> None:
    seen = members_when_all_are_well(cli)
    assert [member["name"] for member in seen["members"]] == ["n1", "n2", "n3"]
    assert seen["change"] == ""
    assert all(member["peer"] for member in seen["members"])
    (leader,) = [member["name"] for member in seen["members"] if member["role"] == "leader"]
    assert leader == seen["leader"]
    heir = next(member["name"] for member in seen["members"] if member["name"] != leader)
    assert cli.ok("cluster", "transfer", heir).startswith(f"leads now: {heir} ")
    assert cli.json("cluster", "transfer")["name"] != heir
    members_when_all_are_well(cli)
    table = cli("cluster", "members").stdout.decode()
    assert all(word in table for word in ("n1", "n2", "n3", "leader", "voter", "healthy"))


def test_a_learner_is_added_and_removed(cli: Shell) -> None:
    assert "(node 4, learner)" in cli.ok("cluster", "add", "n9", "--no-promote")
    seen = cli.json("cluster", "members", code=1)
    assert [(m["id"], m["role"], m["healthy"], m["lag"]) for m in seen["members"]][3] == (4, "learner", False, None)
    assert "silent" in cli("cluster", "members").stdout.decode()
    assert "already a member 'n9'" in cli.fails(2, "cluster", "add", "n9")
    assert "has not caught up" in cli.fails(1, "cluster", "promote", "n9")
    assert "cannot lead" in cli.fails(2, "cluster", "transfer", "n9")
    assert "removed: n9 (node 4)" in cli.ok("cluster", "remove", "4")
    assert "has been removed" in cli.fails(2, "cluster", "remove", "n9")
    assert "members are n1, n2, n3" in cli.fails(2, "cluster", "remove", "n7")
    assert "is no name" in cli.fails(2, "cluster", "add", "a b")


async def test_the_same_from_python(dev: Dev) -> None:
    async with ringleader.connect(dev.endpoints) as db:
        before = await db.cluster.members()
        assert before.member(before.leader).role == "leader"
        with pytest.raises(KeyError):
            before.member("n7")
        with pytest.raises(UsageError) as caught:
            await db.cluster.promote("n7")
        assert caught.value.reason is Reason.MEMBER_NOT_FOUND
        for nonsense in ("", 0, None, True):
            with pytest.raises(UsageError, match="by its name or id"):
                await db.cluster.remove(nonsense)  # type: ignore[arg-type]  # what untyped code may do
        assert (await db.cluster.promote(before.leader)).role == "leader", "a voter is one already"


def test_the_same_blocking(dev: Dev) -> None:
    with ringleader.sync.connect(dev.endpoints) as db:
        members = db.cluster.members()
        assert len(members.members) == 3
        heir = next(member for member in members.members if member.role == "voter")
        assert db.cluster.transfer(heir.id).name == heir.name
        assert db.cluster.members().leader == heir.name
