"""The links of a node follow its members: names and addresses that become known later reach the links that exist."""

from __future__ import annotations

import asyncio
import random
import time

from ringleader.group.roster import Peer
from ringleader.node.config import NodeConfig
from ringleader.node.links import PeerLinks
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.peerdoor import PeerDoor
from ringleader.runtime.peers import PeerOptions, PeerSelf
from ringleader.wire.frames import NodeInfo


async def test_a_name_that_becomes_known_later_is_taken() -> None:
    """By it the certificate of the peer is judged, on the connection for snapshots as well."""
    links = PeerLinks(NodeConfig(), random.Random(1), lambda: None, lambda _: None)
    me = PeerSelf("cluster", "secret", NodeInfo(1, "n1", ""), "127.0.0.1:1", "incarnation")
    links.open(PeerDoor(me, None, random.Random(1), Complaints(None, time.monotonic), PeerOptions()))  # type: ignore[arg-type]  # nobody calls
    try:
        links.keep([Peer(2, "", ""), Peer(3, "", ""), Peer(4, "n4", "")])
        bulk = [links._bulk_link(node) for node in (2, 4)]
        assert [each.name for each in bulk if each is not None] == ["", "n4"]
        links.known(2, "n2", "127.0.0.1:2")
        links.keep([Peer(2, "", ""), Peer(3, "n3", ""), Peer(4, "n4", "")])
        assert [links.links[node].name for node in (2, 3, 4)] == ["n2", "n3", "n4"]
        again = links._bulk_link(2)
        assert again is bulk[0]
        assert again is not None
        assert (again.name, again.places) == ("n2", [("127.0.0.1", 2)])
    finally:
        await links.stop()
        await asyncio.sleep(0)
