"""The client without a world: calls and frames in, frames and answers out; failover, retries and deadlines in between.

The world (an asyncio shell or the simulator) calls in, then takes `take_output` and carries it out. Calls made between two
`take_output` share frames. A connection that leads nowhere is left for another; what was under way is asked again there
if that is safe: reads always, commands of a session under their old sequence number (the store then gives the first result
again; Raft's dissertation, section 6.3), other commands never.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ringleader.client.admission import Admission, closed_error, deadline_error
from ringleader.client.calls import Call, Flight, Kind, Session
from ringleader.client.connections import Connections
from ringleader.client.credentials import Logins
from ringleader.client.failures import USAGE_REASONS, failure_error, hint_for, refusal_error
from ringleader.client.links import Endpoints, Link, LinkState
from ringleader.client.options import ClientOptions
from ringleader.client.output import Answer, ClientOutput
from ringleader.client.waiting import Waiting
from ringleader.errors import NotAppliedError, OutcomeUnknownError, Reason, RingleaderError, UsageError
from ringleader.ports import Entropy
from ringleader.store.commands import Command, Failure, Read, Result, SessionClose, SessionOpen, SessionResult
from ringleader.wire.frames import (
    NodeInfo,
    Pong,
    Query,
    Refused,
    Results,
    ServerFrame,
    StatusQuery,
    StatusReply,
    Submit,
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


class ClientCore:
    """One client of one cluster. `endpoints`: "host:port" each. `now`: monotonic seconds, as later in `tick`."""

    def __init__(
        self, endpoints: Sequence[str], entropy: Entropy, now: float, options: ClientOptions | None = None
    ) -> None:
        if not endpoints:
            raise UsageError("a client needs at least one endpoint", reason=Reason.INVALID_ARGUMENT)
        self.options = options or ClientOptions()
        self.now = now
        self.revision = 0  # the newest that any result has told of
        known = Endpoints(endpoints, entropy, self.options.backoff_min, self.options.backoff_max)
        self._net = Connections(known, now, self.options, Logins(self.options.credentials, entropy), self._returned)
        self._watches = self._net.watches
        self._under_way = Admission(self.options)
        self._waiting = Waiting(self.options)
        self._opening = False  # a session has been asked for
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._hold_until = now  # no commands or reads leave before, after a refusal
        self._refusals = 0
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
        call = self._under_way.new(Kind.ONCE if once else Kind.PLAIN, commands, self.now, timeout)
        call.raws = [msgspec.Raw(_ENCODER.encode(command)) for command in commands]
        self._under_way.weigh(call)
        return self._accept(call)

    def query(
        self, reads: Sequence[Read], timeout: float, consistency: str = "linearizable", max_staleness_ms: int = 0
    ) -> int:
        """Ask for reads to be answered. `max_staleness_ms` 0: however stale. Raises as `submit` does."""
        if consistency not in _CONSISTENCIES:
            message = f"consistency {consistency!r} is not one of {', '.join(_CONSISTENCIES)}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        self._check_open()
        call = self._under_way.new(Kind.READ, reads, self.now, timeout)
        call.group = (consistency, max_staleness_ms)
        return self._accept(call)

    def status(self, timeout: float) -> int:
        """Ask the node at the other end how it stands; the call ends with a `StatusReply`."""
        self._check_open()
        return self._accept(self._under_way.new(Kind.STATUS, (), self.now, timeout))

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
        watch = self._watches.add(self._under_way.next_number(), spec, self.revision)
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
        session, self._waiting.session = self._waiting.session, None
        if net.active is not None and session is not None:
            raw = msgspec.Raw(_ENCODER.encode([(session.span(0) + session.ack, SessionClose())]))
            net.send(net.active, Submit(net.next_frame(), 1000, session.number, session.ack, raw))
        for call in list(self._under_way.calls.values()):
            self._finish(call, closed_error(call.what(), unknown=call.unknown))
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
                self._finish(call, deadline_error(call, self.node or None, self.trouble, self.trouble_reason))
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
            self._on_results(state, frame)
        elif type(frame) is WatchEvents:
            self._on_watch_events(state, frame)
        elif type(frame) is Refused:
            self._on_refused(state, frame)
        elif type(frame) is Welcome:
            if self._net.welcomed(state, frame):
                self._hold_until = self.now
                self.denied = None
        elif type(frame) is Challenge:
            self._net.challenged(state, frame)
        elif type(frame) is Topology:
            self._net.learn(frame.leader, frame.nodes, frame.as_of)
        elif type(frame) is WatchEnd:
            self._on_watch_end(state, frame)
        elif type(frame) is StatusReply:
            flight = self._land(state, frame.frame)
            if flight is not None:
                self._finish(flight.calls[0], frame)
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
            if net.active is not None and self._hold_until <= self.now:
                self._pack(net.active)
        out, net.out = net.out, ClientOutput()
        return out

    def next_wakeup(self) -> float:
        """When `tick` and `take_output` are due at the latest, if nothing happens before; infinity: never."""
        if self._closed:
            return _FOREVER
        due = min(self._under_way.deadline, self._net.next_wakeup())
        return min(due, self._hold_until) if self._hold_until > self.now else due

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

    def _accept(self, call: Call) -> int:
        self._under_way.admit(call)
        self._waiting.add(call)
        return call.number

    def _finish(self, call: Call, answer: Answer) -> None:
        if not call.done:
            self._under_way.forget(call)
            self._net.out.done.append((call.number, answer))

    def _returned(self, flight: Flight) -> None:
        """A frame was on its way over a connection that is given up: it may have been served."""
        self._landed(flight)
        self._requeue(flight, doubt=True)

    def _requeue(self, flight: Flight, *, doubt: bool) -> None:
        """Ask the calls of a frame again; `doubt`: whether the frame may have been served after all."""
        if flight.kind is Kind.OPEN:
            self._opening = False
        for call in reversed(flight.calls):
            if call.done:
                continue
            call.flying = False
            if call.kind is Kind.PLAIN and doubt:
                message = f"{call.what()}: {self.trouble}; it may have been applied"
                hint = hint_for(Reason.CONNECTION_LOST)
                self._finish(call, OutcomeUnknownError(message, reason=Reason.CONNECTION_LOST, hint=hint))
                continue
            call.doubt = call.doubt or doubt
            self._waiting.add_first(call)

    def _hold(self) -> None:
        """Pause before the next commands and reads leave; longer each time in a row."""
        self._refusals += 1
        self._hold_until = self.now + self._net.endpoints.pause(self._refusals)

    # --------------------------------------------------------------------------------------------- frames that came

    def _landed(self, flight: Flight) -> None:
        self._in_flight -= flight.count
        self._in_flight_bytes -= flight.size

    def _land(self, link: Link, frame: int) -> Flight | None:
        flight = self._net.land(link, frame)
        if flight is not None:
            self._landed(flight)
        return flight

    def _on_results(self, link: Link, frame: Results) -> None:
        flight = self._land(link, frame.frame)
        if flight is None:
            return
        results = frame.results
        if len(results) != flight.count:
            self._net.note(
                f"{link.name} answered {flight.count} operations with {len(results)} results", Reason.PROTOCOL
            )
            self._requeue(flight, doubt=True)
            self._net.lose(link, self.trouble)
            return
        if flight.kind is Kind.OPEN:
            self._on_session(link, results[0])
            return
        self._refusals = 0
        self._net.served(link)
        done = self._net.out.done
        at = 0
        again: list[Call] = []
        logged_out = ""  # nothing was done: log in anew, then ask again
        for call in flight.calls:
            part = results[at : at + call.count]
            at += call.count
            if call.done:
                continue
            first = part[0]
            if type(first) is Failure:
                if first.reason is Reason.UNAUTHENTICATED:
                    logged_out = first.message
                    call.flying = False
                    again.append(call)
                elif self._expired(call, first):
                    again.append(call)
                else:
                    self._fail(call, first, part, link)
                continue
            revision = getattr(first, "revision", 0)
            if revision > self.revision:
                self.revision = revision
            self._under_way.forget(call)
            done.append((call.number, part))
        for call in reversed(again):
            self._waiting.add_first(call)
        if logged_out:
            self._net.lose(link, f"{link.name}: {logged_out}", Reason.UNAUTHENTICATED)

    def _expired(self, call: Call, failure: Failure) -> bool:
        """Whether the call only met the end of its session and can go into a new one."""
        if failure.reason is not Reason.SESSION_EXPIRED or call.session is None:
            return False
        if self._waiting.session is call.session:
            self._waiting.session = None
        if call.doubt:
            return False
        call.session.answered(call)
        call.session = None
        call.seq = 0
        call.flying = False
        return True

    def _fail(self, call: Call, failure: Failure, results: list[Result], link: Link) -> None:
        if call.count > 1:
            self._finish(call, results)
            return
        unknown = failure.unknown and call.kind <= Kind.PLAIN
        self._finish(call, failure_error(call.what(), failure, link.name, unknown=unknown))

    def _on_session(self, link: Link, result: Result) -> None:
        self._opening = False
        if isinstance(result, SessionResult):
            self._waiting.session = Session(result.session)
            return
        why = result.message if isinstance(result, Failure) else "an answer of the wrong type"
        reason = result.reason if isinstance(result, Failure) else Reason.PROTOCOL
        self._net.note(f"{link.name} could not open a session: {why}", reason)
        self._hold()

    def _on_refused(self, link: Link, frame: Refused) -> None:
        self._net.note(f"{link.name} answered {frame.reason.value}: {frame.message}", frame.reason)
        if frame.frame == 0:
            greeting = link.state <= LinkState.GREETING
            self._net.lose(link, self.trouble, frame.reason)
            if greeting and frame.reason is Reason.UNAUTHENTICATED and self._net.active is None:
                self._deny(link, frame)
            return
        flight = self._land(link, frame.frame)
        if flight is None:
            return
        if frame.reason in USAGE_REASONS or frame.reason in (Reason.NO_SPACE, Reason.DISK_FAILED):
            self._refuse_for_good(flight, frame, link)
        else:
            self._requeue(flight, doubt=frame.unknown)
            self._hold()
        if frame.leader:
            self._net.leader = frame.leader
        serves = frame.leader and frame.leader != link.node  # another does, it says: `steer` goes there
        if frame.reason in _NOT_SERVING and not serves:
            self._net.look_elsewhere()

    def _deny(self, link: Link, frame: Refused) -> None:
        """The cluster does not let us in: nothing that waits will ever be served."""
        self.denied = refusal_error("login", frame.reason, frame.message, link.name, unknown=False, hint=frame.hint)
        for call in list(self._under_way.calls.values()):
            unknown = call.unknown and call.kind <= Kind.PLAIN
            self._finish(
                call,
                refusal_error(call.what(), frame.reason, frame.message, link.name, unknown=unknown, hint=frame.hint),
            )
        for watch in self._watches.clear():
            error = refusal_error(watch.what(), frame.reason, frame.message, link.name, unknown=False, hint=frame.hint)
            self._net.out.events.append((watch.number, error))

    def _refuse_for_good(self, flight: Flight, frame: Refused, link: Link) -> None:
        """The refusal lies in a call. When several shared the frame each goes alone, so that only the culprit fails."""
        if len(flight.calls) > 1 and not frame.unknown:
            for call in flight.calls:
                call.alone = True
            self._requeue(flight, doubt=False)
            return
        if flight.kind is Kind.OPEN:
            self._opening = False
            self._hold()
        for call in flight.calls:
            unknown = (frame.unknown or call.doubt) and call.kind <= Kind.PLAIN
            error = refusal_error(call.what(), frame.reason, frame.message, link.name, unknown=unknown, hint=frame.hint)
            self._finish(call, error)

    # ----------------------------------------------------------------------------------------------------- watches

    def _on_watch_events(self, link: Link, frame: WatchEvents) -> None:
        watch = self._watches.of(link, frame.watch)
        if watch is None:
            return
        watch.heard_at = self.now
        self._net.watch_heard(link)
        news = watch.take(frame)
        if news is not None:
            self.revision = max(self.revision, news.revision)
            self._net.out.events.append((news.watch, news))

    def _on_watch_end(self, link: Link, frame: WatchEnd) -> None:
        watch = self._watches.ended(link, frame.watch)
        if watch is None:
            return
        final = frame.reason in USAGE_REASONS or (frame.reason is Reason.OVERLOADED and not watch.up)
        if frame.reason is Reason.FUTURE_REVISION and watch.known:
            final = False  # this node only lags behind
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

    # ------------------------------------------------------------------------------------------------ frames to send

    def _pack(self, link: Link) -> None:
        """Put what waits into as few frames as the bounds allow."""
        waiting = self._waiting
        if waiting.any(Kind.ONCE):
            if waiting.session is not None:
                self._pack_kind(link, Kind.ONCE)
            elif not self._opening:
                self._open_session(link)
        for kind in (Kind.PLAIN, Kind.READ, Kind.STATUS):
            if waiting.any(kind):
                self._pack_kind(link, kind)

    def _open_session(self, link: Link) -> None:
        self._opening = True
        raw = msgspec.Raw(_ENCODER.encode([(1, SessionOpen())]))
        timeout = int(self.options.attempt_timeout * 1000)
        self._fly(link, Flight(Kind.OPEN, [], 1, self.now), Submit(self._net.next_frame(), timeout, 0, 0, raw))

    def _fly(self, link: Link, flight: Flight, frame: Submit | Query | StatusQuery) -> None:
        link.flights[frame.frame] = flight
        self._in_flight += flight.count
        self._in_flight_bytes += flight.size
        self._net.send(link, frame)

    def _pack_kind(self, link: Link, kind: Kind) -> None:
        options, waiting = self.options, self._waiting
        while self._in_flight < options.window and self._in_flight_bytes < options.window_bytes:
            calls = waiting.batch(kind, options.window - self._in_flight)
            for call, error in waiting.take_stranded():
                self._finish(call, error)
            if not calls:
                return
            frame = waiting.frame(kind, calls, self._net.next_frame(), self.now)
            self._fly(link, Flight(kind, calls, sum([call.count for call in calls]) or 1, self.now), frame)
