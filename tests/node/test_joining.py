"""Real nodes on real sockets come and go: joining, removal, a wiped node, a whole restart of a cluster that has changed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from node.test_cluster import configs, keys, leads, put
from ringleader.cli.freeports import free_ports
from ringleader.consensus.protocols import PROTOCOLS
from ringleader.errors import Reason, RingleaderError, UsageError
from ringleader.node import Node, NodeConfig, load_config
from ringleader.node.identity import IDENTITY_FILE, JOINING_FILE
from ringleader.store.commands import Command, Failure, Result
from ringleader.store.member_ops import MemberAdd, MemberRemove, MemberResult, MemberTransfer
from ringleader.wire.frames import Refused, Results


def newcomer(folder: Path, name: str, members: list[Node], token: str = "test") -> NodeConfig:
    return NodeConfig(
        name=name,
        data_dir=str(folder / name),
        listen_client="127.0.0.1:0",
        listen_peer="127.0.0.1:0",
        http="",
        join=",".join(member.peer_address for member in members),
        heartbeat_ms=50,
        election_ms=600,
        cluster_token=token,
    )


async def start(*nodes: Node) -> list[Node]:
    await asyncio.gather(*(node.start() for node in nodes))
    await asyncio.gather(*(node.ready(60) for node in nodes))
    return list(nodes)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def do(node: Node, command: Command) -> Result:
    """As the node itself would ask for it; again while there is no leader or a change is under way."""
    async with asyncio.timeout(60):
        while True:
            done: asyncio.Future[Results | Refused] = asyncio.get_running_loop().create_future()
            assert node._driver.host is not None
            node._driver.host.ask([command], done.set_result)
            node._driver.plan()
            answer = await done
            if isinstance(answer, Results):
                (result,) = answer.results
                if not (isinstance(result, Failure) and result.reason is Reason.CHANGE_UNDER_WAY):
                    return result
            await asyncio.sleep(0.05)


def voters(node: Node) -> set[int]:
    assert node._driver.host is not None
    return set(node._driver.host.core.config.voters) if node._driver.host.core.config_settled else set()


def leader_of(nodes: list[Node]) -> Node:
    return next(node for node in nodes if leads(node))


@pytest.mark.parametrize("consensus", PROTOCOLS)
async def test_grow_replace_and_shrink_and_start_again_elsewhere(tmp_path: Path, consensus: str) -> None:
    first = await start(*(Node(config) for config in configs(tmp_path, consensus=consensus)))
    await put(first[0], b"a", b"1")
    (four,) = await start(Node(newcomer(tmp_path, "n4", first)))
    (five,) = await start(Node(newcomer(tmp_path, "n5", [four])))  # any member will do
    assert (four.node_id, five.node_id) == (4, 5)
    everyone = [*first, four, five]
    await until(lambda: all(voters(node) == {1, 2, 3, 4, 5} for node in everyone))
    assert not (tmp_path / "n4" / JOINING_FILE).exists()
    await put(five, b"b", b"2")
    assert await keys(four) == {b"a", b"b"}
    # All who started the cluster go, the leader too.
    for node in sorted(first, key=leads):
        result = await do(four, MemberRemove(node.config.name))
        assert isinstance(result, MemberResult), result
        async with asyncio.timeout(60):
            error = await node.failed
        assert error.reason is Reason.MEMBER_REMOVED
        assert "--join" in error.hint
        await node.stop()
        with pytest.raises(UsageError, match="was removed from its cluster"):
            await Node(node.config).start()
    await until(lambda: voters(four) == voters(five) == {4, 5})
    await put(four, b"c", b"3")
    await asyncio.gather(four.stop(), five.stop())
    # Its folder says that it has a peer port, which others are not to reach just because the flags of the start are gone.
    bare = msgspec.structs.replace(four.config, join="", listen_peer="0.0.0.0:0", cluster_token="", insecure=True)
    with pytest.raises(UsageError, match="cluster_token: is empty"):
        await Node(bare).start()
    with pytest.raises(UsageError, match="read what members say"):
        await Node(msgspec.structs.replace(bare, cluster_token="t", insecure=False)).start()
    # Nobody is left whom a configuration file names; they find each other by what they remember.
    again = [msgspec.structs.replace(node.config, join="", listen_peer=node.peer_address) for node in (four, five)]
    four, five = await start(*(Node(config) for config in again))
    assert await keys(five) == {b"a", b"b", b"c"}
    await asyncio.gather(four.stop(), five.stop())


async def test_a_node_that_moved_is_found_again(tmp_path: Path) -> None:
    first = await start(*(Node(config) for config in configs(tmp_path)))
    moved = first[2]
    await moved.stop()
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    config = msgspec.structs.replace(moved.config, listen_peer=address, advertise_peer=address)
    (moved,) = await start(Node(config))  # the others learn of it from its own link
    await until(
        lambda: all(node._driver.host.store.members.rows[3].peer == address for node in first[:2] if node._driver.host)
    )
    await put(moved, b"a", b"1")
    await asyncio.gather(first[0].stop(), first[1].stop(), moved.stop())


@pytest.mark.parametrize("consensus", PROTOCOLS)
async def test_a_wiped_node_is_turned_away_with_the_remedy(tmp_path: Path, consensus: str) -> None:
    first = await start(*(Node(config) for config in configs(tmp_path, consensus=consensus)))
    victim = next(node for node in first if not leads(node))
    others = [node for node in first if node is not victim]
    await until(lambda: all(len([r for r in n._driver.host.store.members.rows.values() if r.incarnation]) == 3
                            for n in others if n._driver.host))  # fmt: skip
    await victim.stop()
    shutil.rmtree(victim.config.data_dir)
    wiped = Node(victim.config)
    await wiped.start()
    async with asyncio.timeout(60):
        error = await wiped.failed
    assert error.reason is Reason.DATA_REPLACED
    assert f"cluster remove {victim.config.name}" in error.hint
    await wiped.stop()
    # Nor does it get in by the other door, until the old member is removed.
    shutil.rmtree(victim.config.data_dir)
    config = newcomer(tmp_path, victim.config.name, others)
    with pytest.raises(UsageError, match="already a member") as caught:
        await Node(config).start()
    assert caught.value.reason is Reason.MEMBER_EXISTS
    await do(others[0], MemberRemove(victim.config.name))
    (back,) = await start(Node(config))
    assert back.node_id == 4
    await until(lambda: len(voters(others[0])) == 3)
    await asyncio.gather(*(node.stop() for node in (*others, back)))


async def test_a_wrong_token_and_a_name_in_use(tmp_path: Path) -> None:
    (one,) = await start(Node(configs(tmp_path, 1)[0]))
    with pytest.raises(UsageError, match="does not know this cluster token") as caught:
        await Node(newcomer(tmp_path, "n2", [one], token="guess")).start()
    assert caught.value.reason is Reason.WRONG_CLUSTER
    assert not (tmp_path / "n2" / IDENTITY_FILE).exists()
    with pytest.raises(UsageError, match="already a member 'n1'"):
        await Node(newcomer(tmp_path / "x", "n1", [one])).start()
    await one.stop()


async def test_a_join_at_the_port_for_clients_and_one_without_a_token_say_what_is_wrong(tmp_path: Path) -> None:
    (one,) = await start(Node(configs(tmp_path, 1)[0]))
    wrong = msgspec.structs.replace(newcomer(tmp_path, "n2", [one]), join=one.client_address)
    with pytest.raises(UsageError, match="a port for clients, not a peer port"):
        await Node(wrong).start()
    with pytest.raises(UsageError, match="does not know this cluster token") as caught:
        await Node(newcomer(tmp_path, "n2", [one], token="")).start()
    assert "cluster_token is not set" in caught.value.hint
    assert "ringleader dev" in caught.value.hint
    await one.stop()


async def test_nobody_takes_the_node_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = free_ports(2)
    config = NodeConfig(
        name="n4",
        data_dir=str(tmp_path / "n4"),
        listen_client="127.0.0.1:0",
        listen_peer="127.0.0.1:0",
        http="",
        join=",".join(f"127.0.0.1:{port}" for port in ports),
    )
    for patience in (0.5, 30.0):  # a busy machine may not come to the second address within the first
        monkeypatch.setattr("ringleader.node.join.PATIENCE", patience)
        with pytest.raises(RingleaderError) as caught:
            await Node(config).start()
        assert caught.value.reason is Reason.UNREACHABLE
        if f"127.0.0.1:{ports[1]}: " in str(caught.value):
            break
    assert f"127.0.0.1:{ports[1]}: " in str(caught.value)
    assert not (tmp_path / "n4" / IDENTITY_FILE).exists()


async def test_one_grows_to_two_and_an_interrupted_join_goes_on(tmp_path: Path) -> None:
    (one,) = await start(Node(configs(tmp_path, 1)[0]))
    folder = tmp_path / "n2"
    folder.mkdir()
    (folder / JOINING_FILE).write_text('"abcd"')  # it asked before, and its answer was lost
    result = await do(one, MemberAdd("n2", "127.0.0.1:1", incarnation="abcd"))
    assert isinstance(result, MemberResult)
    config = newcomer(tmp_path, "n2", [one])
    (two,) = await start(Node(config))
    assert two.node_id == result.member.id == 2
    await until(lambda: voters(one) == voters(two) == {1, 2})
    while not leads(two):  # on a busy machine it may be silent for a moment, or too slow to take over in time
        await do(one, MemberTransfer("n2"))
        await asyncio.sleep(0.1)
    await two.stop()
    two = Node(config)  # --join is still there, and means nothing any more
    await start(two)
    assert two.node_id == 2
    await asyncio.gather(one.stop(), two.stop())


def test_settings_that_contradict_each_other() -> None:
    for flags, words in [
        ({"join": "a:1", "peers": "n1=b:1"}, "does not go together with peers"),
        ({"join": "a"}, "is not host:port"),
        ({"join": ","}, "names no member"),
        ({"join": "a:1", "listen_peer": ""}, "have to reach this node"),
        ({"join": "a:1", "listen_peer": "10.0.0.1:4401"}, "cluster_token"),
        ({"join": "a:1", "listen_peer": "0.0.0.0:4401", "cluster_token": "t"}, "advertise_peer"),
        ({"advertise_peer": "x"}, "is not host:port"),
    ]:
        with pytest.raises(UsageError, match=words):
            load_config(flags, {})
