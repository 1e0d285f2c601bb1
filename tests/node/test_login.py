"""Logging in to a running node with the real client: by password and token, refused, logged out, and nothing leaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import ringleader
from node.wireclient import WireClient, single
from ringleader.client import Client, ClientOptions, connect
from ringleader.client.credentials import Credentials
from ringleader.client.engine import Engine
from ringleader.errors import Reason, UsageError
from ringleader.node import Node
from ringleader.wire.frames import MAGIC, PROTOCOL_VERSION, Hello, Refused
from ringleader.wire.login import Challenge, LoginStart

ROOT_PASSWORD, ANN_PASSWORD = "corr3ct-horse-battery", "st4ple-of-ann"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Auth is on; root, and ann with the role app."""
    async with Node(single(tmp_path / "data", http="127.0.0.1:0")) as node:
        await node.ready(60)
        async with Client(Engine(["local"], node.dialer, ClientOptions()), 60) as local:
            auth = local.auth
            await auth.add_user("root", ROOT_PASSWORD, roles=["root"])
            await auth.add_role("app")
            await auth.grant("app", "readwrite", "app/", prefix=True)
            await auth.grant("app", "readwrite", "ringleader/locks/app", prefix=True)
            await auth.add_user("ann", ANN_PASSWORD, roles=["app"])
            await auth.enable()
        yield node


def as_ann(node: Node) -> Client:
    return connect(node.client_address, timeout=60, username="ann", password=ANN_PASSWORD)


async def test_a_user_works_within_its_rights(node: Node) -> None:
    async with as_ann(node) as db:
        await db.kv.put("app/x", "1")
        async with db.lock("app/lock") as lock:
            assert lock.fencing_token
        status = await db.auth.status()
        assert (status.enabled, status.user, status.roles) == (True, "ann", ["app"])
        with pytest.raises(UsageError, match="'ann' lacks the right: write 'other'") as caught:
            await db.kv.put("other", "1")
        assert caught.value.reason is Reason.PERMISSION_DENIED
        assert "role grant" in caught.value.hint
        with pytest.raises(UsageError, match="lacks the right") as caught:
            async for _ in db.kv.watch("", prefix=True):
                pass
        assert caught.value.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"username": "ann", "password": "w0rd-that-is-wrong"}, "no user 'ann' with this password"),
        ({"username": "bob", "password": ANN_PASSWORD}, "no user 'bob' with this password"),
        ({"token": "rlt_0123456789abcdef_n0-such-secret"}, "the token is not valid"),
        ({}, "this cluster requires a login"),
    ],
)
async def test_a_wrong_login_fails_at_once_and_says_why(
    node: Node, login: dict[str, str], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    db = connect(node.client_address, timeout=60, **login)  # type: ignore[arg-type]  # all of them text
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            with pytest.raises(UsageError, match=says) as caught:
                await db.kv.put("app/x", "1")
            assert caught.value.reason is Reason.UNAUTHENTICATED
            assert caught.value.hint
        with pytest.raises(UsageError, match=says):
            await db
        await db.close()
    told = [record for record in caplog.records if says in record.getMessage()]
    assert len(told) == 1, "once, however often it tries"
    assert "127.0.0.1" in told[0].getMessage()


async def test_tokens_log_in_until_they_are_revoked(node: Node) -> None:
    async with as_ann(node) as db:
        token = await db.auth.create_token("ann", "ci", ttl=3600)
        (kept,) = await db.auth.tokens("ann")
        assert (kept.user, kept.name) == ("ann", "ci")
        assert kept.remaining is not None
        assert 3000 < kept.remaining <= 3600
        async with connect(node.client_address, timeout=60, token=token) as job:
            await job.kv.put("app/x", "1")
            stream = job.kv.watch("app/", prefix=True)
            await stream.ready()
            with pytest.raises(UsageError, match="lacks the right"):
                await job.auth.create_token("ann", "forever")
            await db.auth.revoke_token(kept.id)
            with pytest.raises(UsageError) as caught:
                await anext(stream)
            assert caught.value.reason is Reason.UNAUTHENTICATED
            with pytest.raises(UsageError) as caught:
                await job.kv.put("app/x", "2")
            assert caught.value.reason is Reason.UNAUTHENTICATED


async def test_a_client_with_credentials_logs_in_when_auth_is_switched_on(node: Node) -> None:
    root = connect(node.client_address, timeout=60, username="root", password=ROOT_PASSWORD)
    async with root, as_ann(node) as db:
        await root.auth.disable()
        await db.kv.put("free", "1")
        await root.auth.enable()
        await db.kv.put("app/x", "2")  # logged in by itself
        with pytest.raises(UsageError, match="lacks the right"):
            await db.kv.put("free", "2")
        await db.auth.set_password("ann", "an0ther-one")
        with pytest.raises(UsageError, match="with this password"):
            await db.kv.put("app/x", "3")


async def test_administration(node: Node) -> None:
    async with connect(node.client_address, timeout=60, username="root", password=ROOT_PASSWORD) as db:
        auth = db.auth
        await auth.grant("app", "lease")
        await auth.revoke("app", "readwrite", "app/", prefix=True)
        await auth.revoke("app", "readwrite", "ringleader/locks/app", prefix=True)
        (role,) = await auth.roles()
        assert [(each.right, each.key) for each in role.permissions] == [("lease", b"")]
        await auth.revoke_role("ann", "app")
        assert [(user.name, user.password, user.roles) for user in await auth.users()] == [
            ("ann", True, []),
            ("root", True, ["root"]),
        ]
        await auth.grant_role("ann", "root")
        await auth.delete_role("app")
        await auth.delete_user("ann")
        for wrong in (
            auth.add_user("root", "x"), auth.add_user("a b", "x"), auth.delete_user("root"), auth.add_role("root"),
            auth.grant("none", "lease"), auth.grant("app", "read"), auth.grant("app", "lease", "k"),
            auth.revoke_role("root", "root"), auth.set_password("root", None), auth.set_password("root", ""),
            auth.create_token("root", "x", ttl=-1), auth.revoke_token("none"),
        ):  # fmt: skip
            with pytest.raises(UsageError):
                await wrong


def test_credentials_show_nothing_and_are_checked() -> None:
    for wrong in ({"username": "ann"}, {"password": "x"}, {"token": "rlt_x"}, {"token": "x", "username": "ann"}):
        with pytest.raises(UsageError) as caught:
            Credentials(**wrong)
        assert "rlt_x" not in str(caught.value)
    options = ClientOptions(credentials=Credentials(username="ann", password=ANN_PASSWORD))
    assert ANN_PASSWORD not in repr(options)
    with pytest.raises(UsageError, match="not UTF-8") as caught:
        Credentials(username="ann", password="se\udcffcret")
    assert "cret" not in str(caught.value)
    assert caught.value.__suppress_context__
    with pytest.raises(TypeError):
        Credentials(token="rlt_a_b").__reduce__()


async def test_who_greets_and_proves_nothing_holds_no_place(tmp_path: Path) -> None:
    async with Node(single(tmp_path / "data", max_connections=3)) as node:
        await node.ready(60)
        async with Client(Engine(["local"], node.dialer, ClientOptions()), 60) as local:
            await local.auth.add_user("root", ROOT_PASSWORD, roles=["root"])
            await local.auth.enable()
        login = LoginStart("password", "root", bytes(16))

        async def greet() -> WireClient:
            wire = await WireClient(node.client_address).open(hello=False)
            wire.send(Hello(MAGIC, PROTOCOL_VERSION, login=login))
            await wire.receive(Challenge)
            return wire

        strangers = [await greet() for _ in range(3)]
        async with connect(node.client_address, timeout=60, username="root", password=ROOT_PASSWORD) as db:
            await db.kv.put("x", "1")  # there is room for who logs in
            told = await strangers[0].receive(Refused)
            assert told.reason is Reason.OVERLOADED
            node._callers.door.sweep(asyncio.get_running_loop().time() + 11)
            for stranger in strangers[1:]:
                assert "login was not finished" in (await stranger.receive(Refused)).message
                assert await stranger.at_end()
            assert await db.kv.get("x")
        for stranger in strangers:
            await stranger.close()


async def test_no_secret_is_found_anywhere(node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in logs, nor on disk, nor in what the node tells; and no wrong password either, which may be a typing slip."""
    import asyncio
    import urllib.request

    heard = []
    with caplog.at_level(logging.DEBUG):
        async with as_ann(node) as db:
            token = await db.auth.create_token("ann", "ci")
            async with connect(node.client_address, token=token, timeout=60) as job:
                await job.kv.put("app/x", "1")
            wrong = connect(node.client_address, username="ann", password=ANN_PASSWORD + "0", timeout=60)
            with pytest.raises(UsageError) as caught:
                await wrong.kv.put("app/x", "1")
            heard.append(str(caught.value) + repr(caught.value) + repr(wrong) + repr(db))
            await wrong.close()

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://{node.http_address}{path}", timeout=60) as answer:
                return str(answer.read())

        for path in ("/metrics", "/status", "/healthz"):
            heard.append(await asyncio.to_thread(get, path))
    await node.stop()
    everything = caplog.text + "".join(heard)
    files = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert len(files) >= 2
    data = b"".join(file.read_bytes() for file in files)
    assert b"ann" in data
    for secret in (ROOT_PASSWORD, ANN_PASSWORD, token, token.rsplit("_", 1)[1]):
        assert secret not in everything
        assert secret.encode() not in data


async def test_the_environment_can_log_in(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGLEADER_USERNAME", "ann")
    monkeypatch.setenv("RINGLEADER_PASSWORD", ANN_PASSWORD)
    async with ringleader.connect(node.client_address, timeout=60) as db:
        await db.kv.put("app/x", "1")
