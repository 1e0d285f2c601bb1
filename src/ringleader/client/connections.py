"""Which connection a client uses: dial, greet, prefer the leader's node, notice a dead or slow one, move on.

There is one active connection; one more may be in the making, and those left behind stay until their answers are here.
What was under way on a connection that leads nowhere is handed back (`returned`), to be asked again elsewhere or not.
"""

from __future__ import annotations

from collections.abc import Callable

from ringleader.client.calls import OPEN, PLAIN, Flight
from ringleader.client.credentials import Logins
from ringleader.client.links import Endpoints, Link, LinkState
from ringleader.client.options import ClientOptions
from ringleader.client.output import ClientOutput
from ringleader.client.watches import Watches
from ringleader.errors import Reason
from ringleader.wire.frames import MAGIC, PROTOCOL_VERSION, ClientFrame, Hello, NodeInfo, Ping, Welcome
from ringleader.wire.login import Challenge

__all__ = ["Connections"]

_FOREVER = float("inf")
_STRETCH = 10.0  # what the stretching of a password may add to the time for connecting, seconds
_GRAIN = 0.01  # a node that does not serve is not left sooner than this after it was looked at, seconds


class Connections:
    """The connections of a client. `returned(flight)`: a frame that was on its way and may or may not have been served.

    `trouble`, `trouble_reason`: what went wrong last, for the errors of calls whose time runs out.
    """

    def __init__(
        self, endpoints: Endpoints, now: float, options: ClientOptions, logins: Logins,
        returned: Callable[[Flight], None],
    ) -> None:  # fmt: skip
        self.options = options
        self.now = now
        self.cluster = options.cluster
        self.leader = 0
        self.trouble = "no node has answered yet"
        self.trouble_reason = Reason.UNREACHABLE
        self.endpoints = endpoints
        self.logins = logins
        self.active: Link | None = None
        self.watches = Watches(self.send, self.next_frame, options.watch_silence)
        self.out = ClientOutput()
        self._returned = returned
        self._links: dict[int, Link] = {}
        self._joining: Link | None = None
        self._shun = False  # the active node does not serve: look for another
        self._slow = 0  # how often in a row a node kept a call waiting for too long
        self._moves = 0  # how often in a row the connection was changed for another without a call being served
        self._move_after = now  # not again before: two nodes may each take the other for the leader
        self._last_link = 0
        self._last_frame = 0

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes of the cluster, as far as they are known."""
        return list(self.endpoints.nodes.values())

    def get(self, link: int) -> Link | None:
        """The connection of that number, unless it was given up."""
        return self._links.get(link)

    def next_frame(self) -> int:
        """A number for a frame."""
        self._last_frame += 1
        return self._last_frame

    def send(self, link: Link, frame: ClientFrame) -> None:
        """Send a frame on a connection."""
        self.out.send.append((link.number, frame))

    def note(self, trouble: str, reason: Reason) -> None:
        """Remember what went wrong."""
        self.trouble = trouble
        self.trouble_reason = reason

    def served(self, link: Link) -> None:
        """A call was served on `link`: all is well."""
        self._slow = self._moves = 0
        self.trouble = ""
        self.endpoints.worked(link.address)

    def look_elsewhere(self) -> None:
        """The active node does not serve: look for another."""
        self._shun = True

    def watch_refused(self, link: Link, why: str, reason: Reason) -> None:
        """A node does not hold our watches, though it may serve calls: look for another, and come back to this one last."""
        self.note(why, reason)
        self.endpoints.refused(link.address, self.now)
        if link is self.active:
            self._shun = True

    def watch_heard(self, link: Link) -> None:
        """A node has sent news of a watch."""
        self.endpoints.held(link.address)

    def tick(self, now: float) -> None:
        """Look after every connection."""
        for link in list(self._links.values()):
            self._watch_over(link)
        if self.active is not None:
            self.watches.retry(now, self.active)
        silent = self.watches.renew_silent(now)
        if silent is not None:
            self.watch_refused(silent, f"{silent.name} has said nothing of a watch for a while", Reason.DEADLINE)

    def greet(self, number: int) -> None:
        """The connection asked for as `number` is made."""
        link = self._links.get(number)
        if link is None or link.state is not LinkState.DIALING:
            return
        link.state = LinkState.GREETING
        link.heard_at = self.now
        link.attempt = self.logins.start()
        start = link.attempt.start if link.attempt is not None else None
        self.send(link, Hello(MAGIC, PROTOCOL_VERSION, self.cluster, self.options.name, start))

    def challenged(self, link: Link, challenge: Challenge) -> None:
        """A node asks us to prove who we are."""
        problem = self.logins.challenged(link.attempt, challenge)
        if problem or self.logins.credentials is None:
            self.lose(link, f"{link.address}: {problem}", Reason.UNTRUSTED)
        elif self.logins.credentials.quick(challenge):
            self.stretched(link.number)
        else:
            link.started_at = self.now + _STRETCH
            self.out.stretch.append((link.number, challenge))

    def stretched(self, number: int) -> None:
        """The proof can be made at once now."""
        link = self._links.get(number)
        if link is not None and link.attempt is not None and link.state is LinkState.GREETING:
            link.started_at = self.now
            self.send(link, self.logins.proof(link.attempt))

    def welcomed(self, link: Link, frame: Welcome) -> bool:
        """A node has answered; whether its connection is the active one from now on."""
        if link.state is not LinkState.GREETING:
            return False
        if frame.version != PROTOCOL_VERSION:
            text = f"{link.address} speaks version {frame.version} of the protocol, this client {PROTOCOL_VERSION}"
            self.lose(link, text, Reason.VERSION)
            return False
        if self.cluster and frame.cluster != self.cluster:
            text = f"{link.address} belongs to cluster {frame.cluster!r}, not {self.cluster!r}"
            self.lose(link, text, Reason.WRONG_CLUSTER)
            return False
        problem = self.logins.welcomed(link.attempt, frame)
        if problem:
            self.lose(link, f"{link.address}: {problem}", Reason.UNTRUSTED)
            return False
        self.cluster = frame.cluster
        link.state = LinkState.READY
        link.node = frame.node
        link.name = frame.name or link.address
        self.endpoints.worked(link.address)
        self.learn(frame.leader, frame.nodes, frame.as_of)
        self._adopt(link)
        return True

    def learn(self, leader: int, nodes: list[NodeInfo], as_of: int) -> None:
        """Who leads and, unless empty, who was there as of that log index (0: not said)."""
        self.leader = leader
        if nodes:
            self.endpoints.learn(nodes, as_of)

    def land(self, link: Link, frame: int) -> Flight | None:
        """The answer to a frame has come; None when it is not awaited any more."""
        flight = link.flights.pop(frame, None)
        if flight is not None and link.state is LinkState.DRAINING and not link.flights:
            self._drop(link)
        return flight

    def steer(self) -> None:
        """See that there is a connection, and that it is the right one."""
        if self._joining is not None:
            return
        active = self.active
        if active is None:
            leader = self.endpoints.address_of(self.leader) if self.options.prefer_leader else ""
            address = leader if leader and self.endpoints.retry_at(leader) <= self.now else None
            address = address or self.endpoints.pick(self.now)
        elif self._move_after > self.now:
            return
        elif self._shun:
            address = self.endpoints.pick(self.now, avoid=active.address)
        elif self._wants_leader(active):
            address = self.endpoints.address_of(self.leader)
            if self.endpoints.retry_at(address) > self.now:
                return
        else:
            return
        if address:
            if active is not None:
                self._moves += 1
                self._move_after = self.now + self.endpoints.pause(self._moves)
            self._last_link += 1
            self._joining = self._links[self._last_link] = Link(self._last_link, address, self.now)
            self.out.dial.append((self._last_link, address))

    def lose(self, link: Link, why: str, reason: Reason = Reason.UNREACHABLE, *, gone: bool = False) -> None:
        """A connection is of no more use: what was under way on it goes back. `gone`: the world has closed it."""
        self.note(why, reason)
        self._drop(link, gone=gone)
        self.endpoints.failed(link.address, self.now)
        if link is self._joining:
            self._joining = None
        if link is self.active:
            self.active = None
            self._shun = False
            if self.leader == link.node:
                self.leader = 0
        self.watches.lost(link)
        for flight in reversed(link.flights.values()):
            self._returned(flight)
        link.flights.clear()

    def drop_all(self) -> None:
        """Let go of every connection."""
        for link in list(self._links.values()):
            self._drop(link)

    def next_wakeup(self) -> float:
        """When `tick` and `steer` are due at the latest."""
        due = min(map(self._due, self._links.values()), default=_FOREVER)
        active = self.active
        if self._joining is None:
            if active is None:
                due = min(due, max(self.endpoints.next_try(), self.now))
            elif self._shun:
                due = min(due, max(self.endpoints.next_try(active.address), self._move_after, self.now + _GRAIN))
            elif self._wants_leader(active):
                retry_at = self.endpoints.retry_at(self.endpoints.address_of(self.leader))
                due = min(due, max(retry_at, self._move_after, self.now))
        if active is not None:
            due = min(due, self.watches.next_look())
        return due

    # ------------------------------------------------------------------------------------------------------ inside

    def _adopt(self, link: Link) -> None:
        """From now on everything goes over `link`; the one before stays until its answers are here."""
        before, self.active = self.active, link
        self._joining = None
        self._shun = False
        self.watches.move(link, self.now)
        if before is not None:
            before.state = LinkState.DRAINING
            if not before.flights:
                self._drop(before)

    def _wants_leader(self, active: Link) -> bool:
        if not self.options.prefer_leader or self.leader in (0, active.node):
            return False
        return bool(self.endpoints.address_of(self.leader))

    def _drop(self, link: Link, *, gone: bool = False) -> None:
        """Let go of a connection that nothing depends on; `gone`: the world has closed it already."""
        del self._links[link.number]
        if not gone:
            self.out.close.append(link.number)

    def _watch_over(self, link: Link) -> None:
        """Notice a connection that does not come about, is dead, or keeps its calls waiting."""
        if self._due(link) > self.now:
            return
        options = self.options
        if link.state <= LinkState.GREETING:
            self.lose(link, f"{link.address} did not answer within {options.connect_timeout:g} s")
            return
        if link.pinged_at is not None:
            if self.now >= link.pinged_at + options.ping_timeout:
                self.lose(link, f"{link.name} has been silent for {self.now - link.heard_at:.1f} s")
                return
        elif self.now >= link.heard_at + self._silence(link):
            link.pinged_at = self.now
            self.send(link, Ping(self.next_frame()))
        self._attend_slow(link)

    def _silence(self, link: Link) -> float:
        awaited = link.flights or link.watches
        return self.options.ping_interval if awaited else self.options.idle_ping_interval

    def _patience(self) -> float:
        return self.options.attempt_timeout * 2.0 ** min(self._slow, 4)

    def _due(self, link: Link) -> float:
        """When `link` has to be looked at next."""
        if link.state <= LinkState.GREETING:
            return link.started_at + self.options.connect_timeout
        if link.pinged_at is not None:
            due = link.pinged_at + self.options.ping_timeout
        else:
            due = link.heard_at + self._silence(link)
        for flight in link.flights.values():
            return min(due, flight.sent_at + self._patience())
        return due

    def _attend_slow(self, link: Link) -> None:
        """Calls that wait for too long: look for another node; what a connection left behind holds goes there."""
        limit = self.now - self._patience()
        late = [number for number, flight in link.flights.items() if flight.sent_at <= limit]
        if not late:
            return
        for number in late:
            flight = link.flights[number]
            flight.sent_at = self.now  # looked at again after another such time
            over = all(call.done for call in flight.calls) and flight.kind is not OPEN
            if over or (link.state is LinkState.DRAINING and flight.kind is not PLAIN):
                del link.flights[number]
                self._returned(flight)
        if link is self.active:
            self._slow += 1
            self._shun = True
            self.note(f"{link.name} has not answered for a while", Reason.DEADLINE)
            self.endpoints.failed(link.address, self.now)
        elif link.state is LinkState.DRAINING and not link.flights:
            self._drop(link)
