"""Where a client looks for the cluster: what it was given, what it was told of while that is so, names looked up anew."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from ringleader.client.core import ClientCore
from ringleader.client.links import Endpoints
from ringleader.client.transport import TcpDialer
from ringleader.wire.frames import Hello, NodeInfo, ServerFrame, Topology, Welcome
from unit.client.fakes import Bench, FakeCluster


def nodes(*ids: int) -> list[NodeInfo]:
    return [NodeInfo(id, f"n{id}", f"n{id}:1") for id in ids]


def known(endpoints: Endpoints) -> list[str]:
    """Every address that would be tried now."""
    found: list[str] = []
    while (address := endpoints.pick(0.0)) is not None and address not in found:
        found.append(address)
    return sorted(found)


def endpoints() -> Endpoints:
    return Endpoints(["given:1"], random.Random(1), 0.02, 1.0)


def test_what_is_given_stays_and_what_is_gone_is_forgotten() -> None:
    them = endpoints()
    them.learn(nodes(1, 2, 3), 10)
    assert known(them) == ["given:1", "n1:1", "n2:1", "n3:1"]
    them.learn(nodes(3, 4), 20)
    assert known(them) == ["given:1", "n3:1", "n4:1"]


def test_a_node_that_lags_behind_does_not_bring_back_the_dead() -> None:
    them = endpoints()
    them.learn(nodes(4, 5, 6), 20)
    them.learn(nodes(1, 2, 3), 10)
    assert known(them) == ["given:1", "n4:1", "n5:1", "n6:1"]
    assert set(them.nodes) == {4, 5, 6}
    them.learn(nodes(1, 2, 3))
    assert set(them.nodes) == {1, 2, 3}, "a node that does not say as of when is believed"


def test_when_nothing_known_works_an_older_word_is_better_than_none() -> None:
    """A cluster that was restored from a backup counts from the beginning."""
    them = endpoints()
    them.learn(nodes(4, 5), 20)
    them.failed("n4:1", 0.0)
    them.learn(nodes(1), 10)
    assert set(them.nodes) == {4, 5}
    them.failed("n5:1", 0.0)
    them.learn(nodes(1), 10)
    assert known(them) == ["given:1", "n1:1"]


def test_a_removed_node_does_not_lead_the_client_away() -> None:
    """All founders are replaced while one of them, cut off, still runs and tells of the old ones: the case of the issue."""
    core = ClientCore(["n1:1"], random.Random(3), 0.0)
    now, links = 0.0, dict[int, int]()
    dialled: list[int] = []

    def turn(alive: dict[int, tuple[list[NodeInfo], int]]) -> None:
        core.tick(now)
        while (out := core.take_output()).dial or out.send:
            for link, address in out.dial:
                links[link] = int(address[1:].partition(":")[0])
                dialled.append(links[link])
                if links[link] in alive:
                    core.connected(link)
                else:
                    core.closed(link, "connection refused")
            for link, frame in out.send:
                if isinstance(frame, Hello) and links[link] in alive:
                    told, as_of = alive[links[link]]
                    core.received(link, Welcome(1, "c", links[link], "n", 0, told, as_of=as_of))

    old, new = (nodes(1, 2, 3), 10), (nodes(4, 5, 6), 50)
    turn({1: old})
    core.received(max(links), Topology(0, new[0], new[1]))
    core.closed(max(links), "reset")
    for _ in range(20):  # only the removed node answers for a while, then it is gone for good
        now += 0.1
        turn({1: old})
    core.closed(max(links), "reset")
    dialled.clear()
    for _ in range(40):
        now += 0.1
        turn({5: new})
    assert 5 in dialled
    assert core.node == "n"


def test_when_all_are_gone_it_goes_back_to_what_it_was_given() -> None:
    """The nodes behind the given names are replaced, while the client hears nothing of it."""
    bench = Bench(FakeCluster(3))
    bench.settle()
    for pipe in bench.pipes.values():
        pipe.back.append(Topology(0, nodes(7, 8, 9), 5))
    bench.cluster.infos += nodes(7, 8, 9)
    bench.settle()
    bench.down = {1, 2, 3, 7, 8, 9}
    for link in list(bench.pipes):
        bench.break_link(link)
    bench.settle(20.0)
    bench.dials.clear()
    bench.settle(5.0)
    assert set(bench.dials) >= {"n1:1", "n2:1", "n3:1"}
    bench.down = {1, 3, 7, 8, 9}  # behind one of the names there is a new node
    bench.settle(5.0)
    assert bench.core.node == "n2"


class Ear:
    """Hears what becomes of one connection."""

    def __init__(self) -> None:
        self.told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def link_connected(self, link: int) -> None:
        self.told.set_result("connected")

    def link_received(self, link: int, frames: Sequence[ServerFrame]) -> None: ...

    def link_closed(self, link: int, why: str) -> None:
        if not self.told.done():
            self.told.set_result(why)


async def test_a_name_is_looked_up_at_every_connection_and_its_addresses_take_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    met: list[str] = []

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer.get_extra_info("sockname")[0])
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.2", 0)
    port = server.sockets[0].getsockname()[1]
    other = await asyncio.start_server(accepted, "127.0.0.3", port)
    behind: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        assert host == "db.example"
        if not behind:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in behind]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    dialer = TcpDialer()

    async def dial(heard: int = 0) -> str:
        """Connect and go; the servers have met so many by then."""
        ear = Ear()
        transport = dialer.dial(1, f"db.example:{port}", ear)
        told = await ear.told
        transport.close()
        while told == "connected" and len(met) < heard:
            await asyncio.sleep(0.001)
        return told

    assert "not known" in await dial()
    behind[:] = ["127.0.0.4"]  # nobody listens there
    assert "refused" in (await dial()).lower()
    behind[:] = ["127.0.0.4", "127.0.0.2"]
    assert await dial(1) == "connected"
    assert met == ["127.0.0.2"]
    behind[:] = ["127.0.0.2", "127.0.0.3"]
    for heard in (2, 3):
        assert await dial(heard) == "connected"
    assert sorted(met[1:]) == ["127.0.0.2", "127.0.0.3"], "each connection begins with the next"
    for each in (server, other):
        each.close()
        await each.wait_closed()
