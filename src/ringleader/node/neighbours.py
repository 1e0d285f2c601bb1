"""What other nodes say to this one: who may link, who wants to join, and messages of consensus, which go into the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringleader.client.steady import steady
from ringleader.errors import Reason, RingleaderError
from ringleader.group.roster import Peer
from ringleader.group.standing import expulsion
from ringleader.node.config import NodeConfig
from ringleader.node.driver import ALONE, Driver
from ringleader.node.identity import FolderIdentity
from ringleader.node.join import answer_join
from ringleader.node.links import PeerLinks
from ringleader.ports import Entropy
from ringleader.runtime.complaints import Complaints
from ringleader.wire.frames import NodeInfo
from ringleader.wire.peer import PeerHello, PeerJoined, PeerRefused

__all__ = ["Neighbours"]


class Neighbours:
    """`links`: to and from all peers. `names`: of all members, by id. `identity`: of this node, set before any link is open.

    `expelled`: why this node is no member any more.
    """

    def __init__(self, config: NodeConfig, driver: Driver, complaints: Complaints, entropy: Entropy) -> None:
        self.config = config
        self.driver = driver
        self.identity: FolderIdentity | None = None
        self.names: dict[int, str] = {}
        self.expelled: RingleaderError | None = None
        self.links = PeerLinks(config, entropy, self._count_links, self._turned_away)
        self._complaints = complaints

    def keep(self, peers: list[Peer]) -> None:
        """The members have changed."""
        assert self.identity is not None, "there is a host, so the folder is claimed"
        self.names = {peer.id: peer.name for peer in peers} | {self.identity.node: self.config.name}
        if self.links.door is not None:
            self.driver.period = max(self.config.heartbeat_ms / 10_000, 0.001) if peers else ALONE
        self.links.keep(peers)

    def _count_links(self) -> None:
        self.driver.stats.peers_connected = self.links.connected

    def _turned_away(self, refusal: PeerRefused) -> None:
        """A member that proved to be one says that this node is none."""
        if refusal.reason in (Reason.MEMBER_REMOVED, Reason.DATA_REPLACED) and self.expelled is None:
            self.expelled = expulsion(refusal.reason, refusal.message, self.config.name)
            self.driver.fail(self.expelled)

    # ------------------------------------------------------------------------------------------------ what arrives

    def admit(self, hello: PeerHello) -> PeerRefused | None:
        """Why this caller, which knows the secret, may not link; None when it may."""
        host = self.driver.running
        if host is None or self.identity is None:
            return PeerRefused(Reason.STOPPING, "the node does not run")
        refusal = host.members.admit(hello.from_node, hello.from_name, hello.incarnation)
        if hello.from_node == self.identity.node:
            refusal = (Reason.WRONG_NODE, f"node {hello.from_node} is no other member, it is this very one")
        return PeerRefused(*refusal) if refusal is not None else None

    def join(self, hello: PeerHello, answer: Callable[[PeerJoined | PeerRefused], None]) -> None:
        """A node that knows the secret wants to become a member."""
        host = self.driver.running
        if host is None or self.identity is None:
            answer(PeerRefused(Reason.STOPPING, "the node does not run"))
            return
        answer_join(host, self.identity, hello, answer)
        self.driver.plan()

    def peer_known(self, info: NodeInfo, address: str) -> None:
        """A peer has linked; it says where clients and peers reach it."""
        host = self.driver.running
        if host is not None:
            host.learn_node(info)
            self.links.known(info.id, info.name, address)
            self.driver.plan()

    def peer_messages(self, sender: int, messages: list[tuple[int, Any]]) -> None:
        """Messages of a peer came."""
        host = self.driver.running
        if host is None:
            return
        self.driver.stats.peer_messages_in += len(messages)
        try:
            host.observe(steady())
            for group, message in messages:
                absurd = host.peer_message(sender, group, message)
                if absurd:
                    self._refuse(sender, absurd)
                    break
            if host.idle:
                return
        except Exception as error:
            self.driver.fail_unexpectedly(error)
        self.driver.plan()

    def _refuse(self, sender: int, absurd: str) -> None:
        """A member said what no correct node says: hang up, and let both logs say why."""
        name = f"node {sender} ({self.names.get(sender, 'unknown')})"
        self._complaints.say(f"{name}:", "absurd", f"its message is refused: {absurd}")
        self.links.expel(sender, PeerRefused(Reason.PROTOCOL, f"a message was refused: {absurd}"))
