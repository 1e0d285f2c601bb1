"""The links of a node follow its members: one to everyone that the host wants to reach, none to anyone else.

Where a peer is reached is told by three: the table of members, the peer itself in the handshake of its own link, and the
configuration for those that the cluster started with. The newest word is tried first, the others after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ringleader.errors import Reason
from ringleader.group.roster import Peer
from ringleader.node.config import NodeConfig, parse_address
from ringleader.ports import Entropy
from ringleader.runtime.peerdoor import PeerDoor
from ringleader.runtime.peerlink import PeerLink
from ringleader.wire.peer import PeerRefused

__all__ = ["PeerLinks"]

Message = tuple[int, int, Any]
"""A message for a node: (node, group, message)."""


class PeerLinks:
    """All links to and from peers, once `open` has told where to listen; a node without a peer port has none.

    `links`: by node. `on_change`: a link has come or gone. `on_turned_away`: a member that proved to be one refuses us.
    """

    def __init__(
        self,
        config: NodeConfig,
        entropy: Entropy,
        on_change: Callable[[], object],
        on_turned_away: Callable[[PeerRefused], object],
    ) -> None:
        self.config = config
        self.entropy = entropy
        self.on_change = on_change
        self.on_turned_away = on_turned_away
        self.door: PeerDoor | None = None
        self.links: dict[int, PeerLink] = {}
        self._bulk: dict[int, PeerLink] = {}  # for snapshots; made when first needed
        self._parting: set[asyncio.Task[None]] = set()  # links that end
        self._told: dict[int, tuple[str, int]] = {}  # addresses as the table last had them
        self._said: dict[int, tuple[str, int]] = {}  # and as the peers themselves say

    def open(self, door: PeerDoor) -> None:
        """From now on others can link to us."""
        self.door = door

    @property
    def connected(self) -> int:
        """How many peers are reached."""
        return sum(link.connected for link in self.links.values())

    @property
    def dropped(self) -> int:
        """How many messages could not leave."""
        return sum(link.dropped for link in self.links.values())

    def reaches(self, node: int) -> bool:
        """Whether messages to that node leave now."""
        return node in self.links and self.links[node].connected

    # ------------------------------------------------------------------------------------------------ who is reached

    def keep(self, peers: Iterable[Peer]) -> None:
        """Links to exactly these: dial the new ones, end those to nodes that are no members any more."""
        door = self.door
        if door is None:
            return
        wanted = {peer.id: peer for peer in peers}
        for peer in wanted.values():
            self._keep(door, peer)
        for number in self.links.keys() - wanted.keys():
            self.expel(number, PeerRefused(Reason.MEMBER_REMOVED, f"node {number} was removed from this cluster"))
            for links in (self.links, self._bulk):
                if number in links:
                    task = asyncio.get_running_loop().create_task(links.pop(number).stop())
                    self._parting.add(task)
                    task.add_done_callback(self._parting.discard)

    def _keep(self, door: PeerDoor, peer: Peer) -> None:
        address = _place(peer.address) or self._said.get(peer.id)
        link = self.links.get(peer.id)
        if link is None:
            link = PeerLink(door.me, peer.id, address, self.entropy, door.options, self.on_change, self.on_turned_away)
            link.name = peer.name
            self.links[peer.id] = link
            link.start()
        elif address is not None and address != self._told.get(peer.id):
            link.move(address)
        link.name = peer.name or link.name  # of one that came while this node was away it becomes known later
        if address is not None:
            self._told[peer.id] = address
        first = _place(self.config.peers.get(peer.name, ""))
        if first is not None:  # the table may still have the place where it was before
            link.try_also(first)

    def known(self, node: int, name: str, address: str) -> None:
        """A peer has linked to us and says what it is called, and that it is reached at `address`."""
        link, place = self.links.get(node), _place(address)
        if place is not None:
            self._said[node] = place
        if link is not None:
            link.name = link.name or name
            if place is not None:
                link.move(place)
            link.wake()

    def expel(self, node: int, refusal: PeerRefused) -> None:
        """End the link of a peer to us, and say why."""
        if self.door is not None:
            self.door.expel(node, refusal)

    # ------------------------------------------------------------------------------------------------------- sending

    def send(self, messages: Iterable[Message]) -> None:
        """Send messages in order, one frame for each peer; those that cannot leave are dropped."""
        for node, group, message in messages:
            link = self.links.get(node)
            if link is not None:
                link.send(group, message)
        for link in self.links.values():
            link.flush()

    def send_bulk(self, messages: Iterable[Message]) -> None:
        """Send parts of snapshots, on connections of their own."""
        for node, group, message in messages:
            link = self._bulk_link(node)
            if link is not None:
                link.send(group, message)
                link.flush()

    def _bulk_link(self, node: int) -> PeerLink | None:
        """The connection to `node` on which snapshots travel; the first message asks for it in vain, and comes again."""
        link, control = self._bulk.get(node), self.links.get(node)
        if link is None and control is not None:
            link = self._bulk[node] = control.beside("bulk")
            link.start()
        if link is not None and control is not None:
            link.places, link.name = control.places, control.name  # wherever it has moved to
        return link

    # ----------------------------------------------------------------------------------------------------------- end

    def sweep(self, now: float) -> None:
        """Look for connections that are slow, silent or stuck; `now`: loop time."""
        if self.door is not None:
            self.door.sweep(now)
        for link in [*self.links.values(), *self._bulk.values()]:
            link.sweep(now)

    async def stop(self) -> None:
        """End all links to others."""
        links = [*self.links.values(), *self._bulk.values()]
        await asyncio.gather(*(link.stop() for link in links), *self._parting)

    def abort(self) -> None:
        """End all links of others to us, at once."""
        if self.door is not None:
            self.door.abort_all()


def _place(address: str) -> tuple[str, int] | None:
    """Where to dial; None for an address that is not known, or makes no sense."""
    try:
        return parse_address(address)
    except ValueError:
        return None
