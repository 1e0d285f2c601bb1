"""The client without a world: calls and frames in, frames and answers out; failover, retries and deadlines in between.

The world (an asyncio shell or the simulator) calls in, then takes `take_output` and carries it out. Calls made between two
`take_output` share frames. A connection that leads nowhere is left for another (`client.connections`); what was under way is
asked again there if that is safe (`client.traffic`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ringleader.client.admission import closed_error, deadline_error
from ringleader.client.calls import ONCE, PLAIN, READ, STATUS, Flight
from ringleader.client.connections import Connections
from ringleader.client.credentials import Logins
from ringleader.client.failures import USAGE_REASONS, hint_for, refusal_error
from ringleader.client.links import Endpoints, Link, LinkState
from ringleader.client.options import ClientOptions
from ringleader.client.output import ClientOutput
from ringleader.client.traffic import Traffic
from ringleader.errors import NotAppliedError, Reason, RingleaderError, UsageError
from ringleader.ports import Entropy
from ringleader.store.commands import Command, Read
from ringleader.wire.frames import (
    NodeInfo,
    Pong,
    Refused,
    Results,
    ServerFrame,
    StatusReply,
    Topology,
    WatchCreate,
    WatchEnd,
    WatchEvents,
    Welcome,
)
from ringleader.wire.login import Challenge

__all__ = ["ClientCore", "ClientOutput"]

_FOREVER = float("inf")
_NOT_SERVING = (Reason.NO_LEADER, Reason.NOT_LEADER, Reason.STOPPING, Reason.UNREACHABLE, Reason.DEADLINE)
_CONSISTENCIES = ("linearizable", "leader_lease", "stale")
_ENCODER = msgspec.msgpack.Encoder()
_UNSPEAKABLE = (OverflowError, TypeError, UnicodeEncodeError)
"""What comes of numbers of more than 64 bits, of what is neither text nor number, of text that is no UTF-8."""


class ClientCore:
    """One client of one cluster. `endpoints`: "host:port" each. `now`: monotonic seconds, as later in `tick`."""

    def __init__(
        self, endpoints: Sequence[str], entropy: Entropy, now: float, options: ClientOptions | None = None
    ) -> None:
        if not endpoints:
            raise UsageError("a client needs at least one endpoint", reason=Reason.INVALID_ARGUMENT)
        self.options = options or ClientOptions()
        self.now = now
        known = Endpoints(endpoints, entropy, self.options.backoff_min, self.options.backoff_max)
        self._net = Connections(known, now, self.options, Logins(self.options.credentials, entropy), self._returned)
        self._watches = self._net.watches
        self._traffic = Traffic(self.options, self._net)
        self._under_way = self._traffic.under_way
        self._closed = False
        self.denied: RingleaderError | None = None  # why no node lets us in, since the last attempt

    # -------------------------------------------------------------------------------------------- calls of the user

    def submit(self, commands: Sequence[Command], timeout: float, *, once: bool = True) -> int:
        """Ask for commands to be carried out (one after the other, not as a unit). Returns the number of the call.

        `once`: within the session, so that a lost answer is asked for again until the deadline and nothing runs twice;
        otherwise it is sent once, and a lost answer is reported. Raises `UsageError`, or `NotAppliedError` (overloaded,
        closed).
        """
        self._check_open()
        call = self._under_way.new(ONCE if once else PLAIN, commands, self.now, timeout)
        try:
            call.raws = [msgspec.Raw(_ENCODER.encode(command)) for command in commands]
        except _UNSPEAKABLE as error:
            raise UsageError(f"{call.what()}: {error}", reason=Reason.INVALID_ARGUMENT) from None
        self._under_way.weigh(call)
        return self._traffic.accept(call)

    def query(
        self, reads: Sequence[Read], timeout: float, consistency: str = "linearizable", max_staleness_ms: int = 0
    ) -> int:
        """Ask for reads to be answered. `max_staleness_ms` 0: however stale. Raises as `submit` does."""
        if consistency not in _CONSISTENCIES:
            message = f"consistency {consistency!r} is not one of {', '.join(_CONSISTENCIES)}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        self._check_open()
        call = self._under_way.new(READ, reads, self.now, timeout)
        call.group = (consistency, max_staleness_ms)
        return self._traffic.accept(call)

    def status(self, timeout: float) -> int:
        """Ask the node at the other end how it stands; the call ends with a `StatusReply`."""
        self._check_open()
        return self._traffic.accept(self._under_way.new(STATUS, (), self.now, timeout))

    def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        no_put: bool = False,
        no_delete: bool = False,
    ) -> int:
        """Watch a key or [key, range_end). Its first `WatchEvents` has no events: it says from where on it watches."""
        self._check_open()
        spec = WatchCreate(0, key, range_end, start_revision, prev_kv, no_put, no_delete)
        watch = self._watches.add(self._under_way.next_number(), spec, self._traffic.revision)
        if self._net.active is not None:
            self._watches.place(watch, self._net.active, self.now)
        return watch.number

    def cancel(self, call: int) -> None:
        """Nobody waits for this call or watch any more. Unknown numbers are ignored; nothing more is said of it."""
        if self._watches.remove(call):
            return
        pending = self._under_way.calls.get(call)
        if pending is not None:
            self._under_way.forget(pending)

    def close(self) -> None:
        """End everything: open calls and watches end with `CLOSED`, the session and connections are closed."""
        if self._closed:
            return
        net = self._net
        farewell = self._traffic.end_session()
        if net.active is not None and farewell is not None:
            net.send(net.active, farewell)
        for call in list(self._under_way.calls.values()):
            self._traffic.finish(call, closed_error(call.what(), unknown=call.unknown))
        for watch in self._watches.clear():
            net.out.events.append((watch.number, closed_error(watch.what())))
        net.drop_all()
        self._closed = True

    # ------------------------------------------------------------------------------------------ events of the world

    def tick(self, now: float) -> None:
        """Time has come to `now`. Call before the events of a turn, and when `next_wakeup` has come."""
        self.now = self._net.now = now
        if self._closed:
            return
        if self._under_way.deadline <= now:
            for call in self._under_way.overdue(now):
                self._traffic.finish(call, deadline_error(call, self.node or None, self.trouble, self.trouble_reason))
        self._net.tick(now)

    def connected(self, link: int) -> None:
        """The connection asked for as `link` is made."""
        self._net.greet(link)

    def received(self, link: int, frame: ServerFrame) -> None:
        """A frame arrived on `link`. Frames of connections given up are ignored."""
        state = self._net.get(link)
        if state is None:
            return
        state.heard_at = self.now
        state.pinged_at = None
        if type(frame) is Results:
            self._traffic.answered(state, frame)
        elif type(frame) is WatchEvents:
            self._on_watch_events(state, frame)
        elif type(frame) is Refused:
            self._on_refused(state, frame)
        elif type(frame) is Welcome:
            if self._net.welcomed(state, frame):
                self._traffic.hold_until = self.now
                self.denied = None
        elif type(frame) is Challenge:
            self._net.challenged(state, frame)
        elif type(frame) is Topology:
            self._net.learn(frame.leader, frame.nodes, frame.as_of)
        elif type(frame) is WatchEnd:
            self._on_watch_end(state, frame)
        elif type(frame) is StatusReply:
            flight = self._traffic.land(state, frame.frame)
            if flight is not None:
                self._traffic.finish(flight.calls[0], frame)
        elif type(frame) is not Pong:
            self._net.lose(state, f"{state.name} sent a frame that a client does not expect: {type(frame).__name__}")

    def stretched(self, link: int) -> None:
        """What `ClientOutput.stretch` asked for is done."""
        self._net.stretched(link)

    def closed(self, link: int, why: str) -> None:
        """The connection `link` is gone or could not be made, because of `why`."""
        state = self._net.get(link)
        if state is not None:
            self._net.lose(state, f"{state.name}: {why}", gone=True)

    def take_output(self) -> ClientOutput:
        """Everything to be done since the last call; what the user asked meanwhile is packed into frames here."""
        net = self._net
        if not self._closed:
            net.steer()
            if net.active is not None and self._traffic.hold_until <= self.now:
                self._traffic.pack(net.active)
        out, net.out = net.out, ClientOutput()
        return out

    def next_wakeup(self) -> float:
        """When `tick` and `take_output` are due at the latest, if nothing happens before; infinity: never."""
        if self._closed:
            return _FOREVER
        due = min(self._under_way.deadline, self._net.next_wakeup())
        return min(due, self._traffic.hold_until) if self._traffic.hold_until > self.now else due

    @property
    def revision(self) -> int:
        """The newest revision that any result has told of."""
        return self._traffic.revision

    @property
    def node(self) -> str:
        """The name of the node at the other end, "" when there is none."""
        return self._net.active.name if self._net.active is not None else ""

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes of the cluster, as far as they are known."""
        return self._net.nodes

    @property
    def cluster(self) -> str:
        """The id of the cluster, "" before the first connection."""
        return self._net.cluster

    @property
    def leader(self) -> int:
        """The id of the leading node as far as known, else 0."""
        return self._net.leader

    @property
    def trouble(self) -> str:
        """What went wrong last, "" when all is well."""
        return self._net.trouble

    @property
    def trouble_reason(self) -> Reason:
        """The reason that goes with `trouble`."""
        return self._net.trouble_reason

    # ---------------------------------------------------------------------------------------------- calls, inside

    def _check_open(self) -> None:
        if self._closed:
            message = "the client is closed"
            raise NotAppliedError(message, reason=Reason.CLOSED, hint=hint_for(Reason.CLOSED))

    def _returned(self, flight: Flight) -> None:
        self._traffic.returned(flight)

    # --------------------------------------------------------------------------------------------- frames that came

    def _on_refused(self, link: Link, frame: Refused) -> None:
        self._net.note(f"{link.name} answered {frame.reason.value}: {frame.message}", frame.reason)
        if frame.frame == 0:
            greeting = link.state <= LinkState.GREETING
            self._net.lose(link, self.trouble, frame.reason)
            if greeting and frame.reason is Reason.UNAUTHENTICATED and self._net.active is None:
                self._deny(link, frame)
            return
        if not self._traffic.refused(link, frame):
            return
        if frame.leader:
            self._net.leader = frame.leader
        serves = frame.leader and frame.leader != link.node  # another does, it says: `steer` goes there
        if frame.reason in _NOT_SERVING and not serves:
            self._net.look_elsewhere()

    def _deny(self, link: Link, frame: Refused) -> None:
        """The cluster does not let us in: nothing that waits will ever be served."""
        self.denied = refusal_error("login", frame.reason, frame.message, link.name, unknown=False, hint=frame.hint)
        for call in list(self._under_way.calls.values()):
            unknown = call.unknown and call.kind <= PLAIN
            self._traffic.finish(
                call,
                refusal_error(call.what(), frame.reason, frame.message, link.name, unknown=unknown, hint=frame.hint),
            )
        for watch in self._watches.clear():
            error = refusal_error(watch.what(), frame.reason, frame.message, link.name, unknown=False, hint=frame.hint)
            self._net.out.events.append((watch.number, error))

    # ----------------------------------------------------------------------------------------------------- watches

    def _on_watch_events(self, link: Link, frame: WatchEvents) -> None:
        watch = self._watches.of(link, frame.watch)
        if watch is None:
            return
        watch.heard_at = self.now
        self._net.watch_heard(link)
        news = watch.take(frame)
        if news is not None:
            self._traffic.revision = max(self._traffic.revision, news.revision)
            self._net.out.events.append((news.watch, news))

    def _on_watch_end(self, link: Link, frame: WatchEnd) -> None:
        watch = self._watches.ended(link, frame.watch)
        if watch is None:
            return
        final = frame.reason in USAGE_REASONS or (frame.reason is Reason.OVERLOADED and not watch.up)
        if frame.reason is Reason.FUTURE_REVISION and watch.known:
            final = False  # this node only lags behind
        if frame.reason is Reason.UNAUTHENTICATED:
            final = False  # the login has ended: as for calls it is the next one that decides
        if not final:
            watch.failures += 1
            if frame.reason in _NOT_SERVING:
                self._net.watch_refused(
                    link, f"{link.name} answered {frame.reason.value}: {frame.message}", frame.reason
                )
            self._watches.retry_later(watch, self.now + self._net.endpoints.pause(watch.failures))
            return
        self._watches.remove(watch.number)
        error = refusal_error(
            watch.what(), frame.reason, frame.message, link.name, unknown=False, compact_revision=frame.compact_revision
        )
        self._net.out.events.append((watch.number, error))
