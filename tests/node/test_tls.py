"""TLS on every port of running nodes: who gets in, who does not and hears why, and that files can be replaced."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.wireclient import WireClient, single, until
from ringleader.cli.freeports import free_ports as some_ports
from ringleader.client import Client, ClientOptions, connect
from ringleader.client.engine import Engine
from ringleader.client.tls import client_context
from ringleader.errors import Reason, RingleaderError, UsageError
from ringleader.node import Node, NodeConfig
from ringleader.node.certificates import make_authority, make_node, make_user
from ringleader.node.config import load_config


class Pki:
    """Two authorities: ours, and one that nobody here trusts."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = folder / "ours", folder / "theirs"
        for each in (self.ours, self.theirs):
            make_authority(each, each.name, 30)
            for name in ("n1", "n2", "n3"):
                make_node(each, name, ["127.0.0.1", "localhost"], 30)
            for user in ("ann", "bob"):
                make_user(each, user, 30)
        make_user(self.ours, "late", -1)
        make_node(self.ours, "old", ["127.0.0.1"], -1)
        self.ca = str(self.ours / "ca.pem")

    def node(self, name: str = "n1", whose: Path | None = None, ca: Path | None = None) -> dict[str, str]:
        folder = whose or self.ours
        return {
            "cert": str(folder / f"{name}.pem"),
            "key": str(folder / f"{name}-key.pem"),
            "ca": str((ca or self.ours) / "ca.pem"),
        }


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def node(tmp_path: Path, pki: Pki) -> AsyncIterator[Node]:
    async with Node(single(tmp_path / "data", http="127.0.0.1:0", **pki.node())) as node:
        await node.ready(60)
        yield node


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


async def hears(says: str, address: str, **login: str) -> None:
    """A client does not get in and hears why; with more time when a busy machine did not come to an answer."""
    for seconds in (0.5, 5.0, 60.0):
        client = connect(address, timeout=seconds, **login)  # type: ignore[arg-type]  # all of them text
        with pytest.raises(RingleaderError) as caught:
            await client.kv.put("a", "1")
        await client.close()
        if says in str(caught.value):
            return
    raise AssertionError(f"it hears: {caught.value}")


async def tells_once(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """The node says so as well, perhaps a little later."""
    await until(lambda: told(caplog, text))
    assert told(caplog, text) == 1


async def test_clients_speak_tls(node: Node, pki: Pki) -> None:
    async with connect(node.client_address, ca=pki.ca, timeout=60) as db:
        value = b"x" * 300_000
        await db.kv.put("a", value)
        got = await db.kv.get("a")
        assert got is not None
        assert got.value == value
        async with db.kv.watch("b") as stream:
            await db.kv.put("b", "1")
            assert (await anext(stream)).text == "1"


async def test_a_certificate_logs_in_as_the_user_it_names(node: Node, pki: Pki) -> None:
    async with Client(Engine(["local"], node.dialer, ClientOptions()), 60) as local:
        await local.auth.add_user("root", "root-pw", roles=["root"])
        await local.auth.add_user("ann")
        await local.auth.enable()
    for user, well in (("ann", True), ("bob", False)):
        cert, key = str(pki.ours / f"{user}.pem"), str(pki.ours / f"{user}-key.pem")
        db = connect(node.client_address, ca=pki.ca, cert=cert, key=key, timeout=60)
        if well:
            async with db:
                assert (await db.auth.status()).user == user
        else:
            with pytest.raises(RingleaderError, match="'bob', which is no user"):
                await db.kv.put("a", "1")
            await db.close()


@pytest.mark.parametrize(
    ("user", "whose", "client_hears", "node_says"),
    [
        ("late", "ours", "our certificate has expired", "certificate has expired"),
        ("ann", "theirs", "authority of our certificate", "unable to get local issuer certificate"),
        ("", "", "wants a certificate of ours", "did not return a certificate"),
    ],
)
async def test_a_client_with_a_wrong_certificate(
    user: str, whose: str, client_hears: str, node_says: str, tmp_path: Path, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    config = single(tmp_path, client_cert_required=True, **pki.node())
    folder: Path = pki.theirs if whose == "theirs" else pki.ours
    cert, key = (str(folder / f"{user}.pem"), str(folder / f"{user}-key.pem")) if user else ("", "")
    async with Node(config) as node:
        with caplog.at_level(logging.DEBUG):
            await hears(client_hears, node.client_address, ca=pki.ca, cert=cert, key=key)
            await tells_once(caplog, node_says)


@pytest.mark.parametrize(
    ("name", "whose", "client_hears", "node_says"),
    [
        ("old", "ours", "certificate has expired", "our certificate has expired"),
        ("n1", "theirs", "not trusted", "authority of our certificate"),
    ],
)
async def test_a_node_with_a_wrong_certificate(
    name: str, whose: str, client_hears: str, node_says: str, tmp_path: Path, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    config = single(tmp_path, **pki.node(name, getattr(pki, whose)))
    async with Node(config) as node:
        with caplog.at_level(logging.DEBUG):
            await hears(client_hears, node.client_address, ca=pki.ca)
            await tells_once(caplog, node_says)


async def test_a_name_that_the_certificate_is_not_for(tmp_path: Path, pki: Pki) -> None:
    folder = tmp_path / "pki"
    shutil.copytree(pki.ours, folder)
    make_node(folder, "elsewhere", ["example.com"], 30)
    async with Node(single(tmp_path / "data", **pki.node("elsewhere", folder))) as node:
        await hears("IP address mismatch", node.client_address, ca=pki.ca)


async def test_plain_text_on_a_tls_port_and_tls_on_a_plain_one(
    node: Node, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await hears("this port speaks TLS only", node.client_address)
        await tells_once(caplog, "does not speak TLS")
    caplog.clear()
    async with Node(single(tmp_path / "plain")) as plain:
        with caplog.at_level(logging.DEBUG):
            await hears("does not speak TLS", plain.client_address, ca=pki.ca)
            await tells_once(caplog, "this port does not speak TLS")


async def test_who_says_nothing_or_hangs_up_leaves_nothing_behind(node: Node) -> None:
    for data in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x05hello", b"\0" * 5000):
        client = await WireClient(node.client_address).open(hello=False)
        client.raw(data)
        await asyncio.sleep(0.01)
        await client.close()
    await until(lambda: node._client_tls is not None and not node._client_tls.under_way)
    assert not node._callers.door.connections


async def test_those_who_only_begin_a_handshake_keep_nobody_out(node: Node, pki: Pki) -> None:
    assert node._client_tls is not None
    node._client_tls.most = 3
    silent = [await WireClient(node.client_address).open(hello=False) for _ in range(5)]
    assert await silent[0].at_end()
    async with connect(node.client_address, ca=pki.ca, timeout=60) as db:
        await db.kv.put("a", "1")
    assert len(node._client_tls.under_way) == 2
    for client in silent:
        await client.close()


async def test_a_handshake_in_the_middle_keeps_nobody_from_ending(tmp_path: Path, pki: Pki) -> None:
    """Neither the node that waits for a client's next word, nor the client that waits for a node's."""
    async with Node(single(tmp_path, **pki.node())) as node:
        client = await WireClient(node.client_address).open(hello=False)
        client.raw(b"\x16\x03\x01")
        await until(lambda: node._client_tls is not None and node._client_tls.under_way)
    assert await client.at_end()
    await client.close()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    db = connect(f"{host}:{port}", ca=pki.ca, timeout=0.2)
    with pytest.raises(RingleaderError):
        await db.kv.put("a", "1")
    await db.close()
    server.close()
    await asyncio.wait_for(server.wait_closed(), 60)


async def test_http_speaks_tls_too(node: Node, pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    def get(scheme: str, context: ssl.SSLContext | None = None) -> str:
        with urllib.request.urlopen(f"{scheme}://{node.http_address}/healthz", timeout=60, context=context) as answer:
            return str(answer.read().decode())

    assert await asyncio.to_thread(get, "https", client_context(pki.ca)) == "ok\n"
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            with pytest.raises(OSError):
                await asyncio.to_thread(get, "http")
        await tells_once(caplog, "HTTP without TLS")


async def test_certificates_are_replaced_without_a_restart(tmp_path: Path, pki: Pki) -> None:
    folder = tmp_path / "pki"
    shutil.copytree(pki.ours, folder)
    make_node(folder, "n1", ["127.0.0.1"], -1, force=True)
    async with Node(single(tmp_path / "data", **pki.node("n1", folder))) as node:
        await hears("has expired", node.client_address, ca=pki.ca)
        make_node(folder, "n1", ["127.0.0.1"], 1, force=True)
        async with connect(node.client_address, ca=pki.ca, timeout=60) as db:
            await db.kv.put("a", "1")
        (folder / "n1.pem").write_text("rubbish")
        assert node._tls is not None
        node._tls.refresh()
        async with connect(node.client_address, ca=pki.ca, timeout=60) as db:
            await db.kv.put("a", "1")


async def test_a_node_is_known_by_the_name_that_its_certificate_is_for(tmp_path: Path, pki: Pki) -> None:
    folder = tmp_path / "pki"
    shutil.copytree(pki.ours, folder)
    make_node(folder, "n1", ["localhost"], 1, force=True)
    where = {"listen_client": "localhost:0", "http": "localhost:0"}
    config = msgspec.structs.replace(single(tmp_path / "data", **pki.node("n1", folder)), **where)
    async with Node(config) as node:
        await node.ready(60)
        port = node.client_address.rpartition(":")[2]
        async with connect(f"localhost:{port}", ca=pki.ca, timeout=60) as db:
            (found,) = (await db.status()).nodes
    assert found.client == f"localhost:{port}"
    assert found.http.startswith("localhost:")


async def test_a_client_takes_its_own_new_certificate_too(tmp_path: Path, pki: Pki) -> None:
    folder = tmp_path / "pki"
    shutil.copytree(pki.ours, folder)
    make_user(folder, "ann", -1, force=True)
    required = {**pki.node(), "client_cert_required": True}
    async with Node(single(tmp_path / "data", **required)) as node:
        db = connect(
            node.client_address,
            ca=str(folder / "ca.pem"),
            cert=str(folder / "ann.pem"),
            key=str(folder / "ann-key.pem"),
        )
        with pytest.raises(RingleaderError):
            await db.kv.put("a", "1", timeout=0.5)
        shutil.copy(pki.ours / "ann-key.pem", folder / "ann-key.pem")  # half of it, for a moment
        with pytest.raises(RingleaderError):
            await db.kv.put("a", "1", timeout=0.5)
        shutil.copy(pki.ours / "ann.pem", folder / "ann.pem")
        await db.kv.put("a", "1", timeout=60)
        await db.close()


# ------------------------------------------------------------------------------------------------------------ peers


@pytest.fixture
def free_ports() -> list[int]:
    return some_ports(3)


def members(folder: Path, ports: list[int], number: int, **change: Any) -> NodeConfig:
    peers = {f"n{each}": f"127.0.0.1:{port}" for each, port in enumerate(ports, 1)}
    return NodeConfig(
        name=f"n{number}", data_dir=str(folder / f"n{number}"), peers=peers, listen_client="127.0.0.1:0", http="",
        listen_peer=f"127.0.0.1:{ports[number - 1]}", cluster_token="s3cret-of-the-cluster", heartbeat_ms=50,
        election_ms=500, **change,
    )  # fmt: skip


async def test_nodes_speak_mutual_tls(tmp_path: Path, pki: Pki, free_ports: list[int]) -> None:
    nodes = [Node(members(tmp_path, free_ports, number, **pki.node(f"n{number}"))) for number in (1, 2, 3)]
    try:
        for each in nodes:
            await each.start()
        for each in nodes:
            await each.ready(60)
        async with connect(nodes[1].client_address, ca=pki.ca, timeout=60) as db:
            await db.kv.put("a", "1")
    finally:
        for each in nodes:
            await each.stop()


async def test_snapshots_travel_over_mutual_tls_too(tmp_path: Path, pki: Pki, free_ports: list[int]) -> None:
    """On connections of their own, which have to know whose certificate to expect."""
    small = {"snapshot_entries": 20, "snapshot_bytes": 1 << 20, "keep_entries": 0}
    nodes = [Node(members(tmp_path, free_ports, number, **pki.node(f"n{number}"), **small)) for number in (1, 2, 3)]
    try:
        for each in nodes[:2]:
            await each.start()
        await nodes[0].ready(60)
        async with connect(nodes[0].client_address, ca=pki.ca, timeout=60) as db:
            for number in range(100):
                await db.kv.put("a", str(number))
        await nodes[2].start()
        async with connect(nodes[2].client_address, ca=pki.ca, timeout=60) as db:
            found = await db.kv.get("a")
            assert found is not None
            assert found.text == "99"
        host = nodes[2]._driver.host
        assert host is not None
        await until(lambda: host.member.counts["snapshots_installed"] == 1)
    finally:
        for each in nodes:
            await each.stop()


@pytest.mark.parametrize(
    ("intruder", "dialler_says", "acceptor_says"),
    [
        ("another member's", "'localhost', not for the member 'n2'", "refused as a peer: the certificate is for 'n3'"),
        ("another authority's", "authority of our certificate", "unable to get local issuer certificate"),
        ("none", "this port speaks TLS only", "does not speak TLS"),
        ("another cluster's", "belongs to cluster", "belongs to cluster"),
    ],
)
async def test_a_peer_that_is_not_who_it_should_be(
    intruder: str, dialler_says: str, acceptor_says: str, tmp_path: Path, pki: Pki, free_ports: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    change: dict[str, Any] = {
        "another member's": pki.node("n3"),
        "another authority's": {**pki.node("n2", pki.theirs), "ca": pki.ca},
        "none": {},
        "another cluster's": pki.node("n2"),
    }[intruder]
    good = Node(members(tmp_path, free_ports, 1, **pki.node("n1")))
    config = members(tmp_path, free_ports, 2, **change)
    if intruder == "another cluster's":
        import msgspec

        config = msgspec.structs.replace(config, cluster_token="an0ther-secret")
    bad = Node(config)
    with caplog.at_level(logging.INFO):
        try:
            await good.start()
            await bad.start()
            await until(lambda: told(caplog, acceptor_says) and told(caplog, dialler_says))
            await asyncio.sleep(0.3)
        finally:
            await good.stop()
            await bad.stop()
    refused = [record for record in caplog.records if record.name == "ringleader.strangers"]
    assert 1 <= sum(acceptor_says in record.getMessage() for record in refused) <= 2  # once at each of the two ends
    assert not any("connected to node" in record.getMessage() for record in caplog.records)
    for secret in ("s3cret-of-the-cluster", "an0ther-secret"):
        assert secret not in caplog.text + repr(config)


# ----------------------------------------------------------------------------------------------------------- config


PEERS = {"n1": "a:1", "n2": "b:1"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"listen_client": "0.0.0.0:0", "advertise_client": "h:1"},
            "listen_client: 0.0.0.0:0 can be reached from other",
        ),
        ({"listen_client": "192.0.2.1:0"}, "anyone could read and write"),
        ({"http": "[::]:0", "advertise_http": "h:1"}, "http: "),
        ({"peers": PEERS, "listen_peer": "192.0.2.1:0", "cluster_token": "t"}, "read what members say"),
        ({"join": "a:1", "listen_peer": "192.0.2.1:0", "cluster_token": "t"}, "read what members say"),
        ({"key": "k"}, "key: is given without cert"),
        ({"ca": "k"}, "ca: is given without cert"),
        ({"client_cert_required": True}, "client_cert_required: needs ca"),
        ({"peer_key": "k"}, "peer_key: is given without peer_cert"),
    ],
)
def test_loopback_only_until_secured(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        NodeConfig(**change)
    assert says in str(caught.value)
    if "without TLS" in str(caught.value):
        assert "insecure" in caught.value.hint
        NodeConfig(**change, insecure=True)
        NodeConfig(**change, cert="c", ca="c")


async def test_insecure_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = single(
        tmp_path, listen_client="0.0.0.0:0", advertise_client="127.0.0.1:1", insecure=True,
        peers={"n1": "127.0.0.1:1", "n2": "127.0.0.1:2"}, listen_peer="0.0.0.0:0", cluster_token="t",
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        async with Node(config):
            assert told(caplog, "INSECURE") == 2
            assert told(caplog, "the cluster token is short") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cert": "none.pem"}, "cert: cannot read none.pem"),
        ({"cert": "{ours}/ca.pem"}, "cert: "),
        ({"cert": "{ours}/n1.pem", "key": "{ours}/n2-key.pem"}, "do not belong together"),
        ({"cert": "{ours}/n1.pem", "key": "{ours}/n1-key.pem", "ca": "{ours}/n1-key.pem"}, "ca: "),
    ],
)
async def test_files_that_cannot_be_used_are_named(change: dict[str, str], says: str, tmp_path: Path, pki: Pki) -> None:
    fields = {field: value.format(ours=pki.ours) for field, value in change.items()}
    with pytest.raises(UsageError) as caught:
        await Node(single(tmp_path, **fields)).start()
    assert says in str(caught.value)
    assert caught.value.reason is Reason.INVALID_ARGUMENT


def test_flags_from_the_environment() -> None:
    assert load_config({}, {"RINGLEADER_INSECURE": "yes"}).insecure
    with pytest.raises(UsageError, match="neither true nor false"):
        load_config({}, {"RINGLEADER_INSECURE": "perhaps"})
