"""The client without a world: calls and frames in, frames and answers out; failover, retries and deadlines in between.

The world (an asyncio shell or the simulator) calls in, then takes `take_output` and carries it out. Calls made between two
`take_output` share frames. A connection that leads nowhere is left for another; what was under way is asked again there
if that is safe: reads always, commands of a session under their old sequence number (the store then gives the first result
again; Raft's dissertation, section 6.3), other commands never.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ringleader.client.calls import Call, Flight, Kind, Session
from ringleader.client.failures import USAGE_REASONS, describe, failure_error, hint_for, refusal_error
from ringleader.client.links import Endpoints, Link, LinkState
from ringleader.client.options import ClientOptions
from ringleader.client.waiting import Waiting
from ringleader.client.watches import Watches
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    RingleaderError,
    UnknownDeadlineError,
    UsageError,
)
from ringleader.ports import Entropy
from ringleader.store.commands import Command, Failure, Read, Result, SessionClose, SessionOpen, SessionResult
from ringleader.wire.frames import (
    MAGIC,
    MAX_FRAME,
    PROTOCOL_VERSION,
    ClientFrame,
    Hello,
    NodeInfo,
    Ping,
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

__all__ = ["ClientCore", "ClientOutput"]

_FOREVER = float("inf")
_GRAIN = 0.01  # deadlines are looked at this often at most, seconds
_CONSISTENCIES = ("linearizable", "leader_lease", "stale")
_ENCODER = msgspec.msgpack.Encoder()


class ClientOutput(msgspec.Struct):
    """What the client wants done. Carry out in this order: `dial`, `send`, `close`; then hand on `done` and `events`.

    `dial`: (link, address) to connect to, answered by `connected` or `closed`. `done`: (call, its results, one for each
    command or read, or the error). A call of one command ends in an error if the store refuses it; of several, the
    results have a `Failure` in its place. `events`: (watch, events) or (watch, why it has ended).
    """

    dial: list[tuple[int, str]] = []
    send: list[tuple[int, ClientFrame]] = []
    close: list[int] = []
    done: list[tuple[int, list[Result] | StatusReply | RingleaderError]] = []
    events: list[tuple[int, WatchEvents | RingleaderError]] = []


class ClientCore:
    """One client of one cluster. `endpoints`: "host:port" each. `now`: monotonic seconds, as later in `tick`."""

    def __init__(
        self, endpoints: Sequence[str], entropy: Entropy, now: float, options: ClientOptions | None = None
    ) -> None:
        if not endpoints:
            raise UsageError("a client needs at least one endpoint", reason=Reason.INVALID_ARGUMENT)
        self.options = options or ClientOptions()
        self.now = now
        self.cluster = self.options.cluster
        self.leader = 0
        self.trouble = "no node has answered yet"
        self.trouble_reason = Reason.UNREACHABLE
        self.revision = 0  # the newest that any result has told of
        self._entropy = entropy
        self._endpoints = Endpoints(endpoints, entropy, self.options.backoff_min, self.options.backoff_max)
        self._links: dict[int, Link] = {}
        self._active: Link | None = None
        self._joining: Link | None = None
        self._shun = False  # the active node does not serve: look for another
        self._waiting = Waiting(self.options)
        self._opening = False
        self._calls: dict[int, Call] = {}
        self._watches = Watches(self._send, self._next_frame)
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._pending_bytes = 0
        self._hold_until = now  # no commands or reads leave before, after a refusal
        self._refusals = 0
        self._slow = 0  # how often in a row a node kept a call waiting for too long
        self._moves = 0  # how often in a row the connection was changed for another without a call being served
        self._move_after = now  # not again before: two nodes may each take the other for the leader
        self._deadline = _FOREVER
        self._last_number = 0
        self._last_link = 0
        self._last_frame = 0
        self._closed = False
        self._out = ClientOutput()

    # -------------------------------------------------------------------------------------------- calls of the user

    def submit(self, commands: Sequence[Command], timeout: float, *, once: bool = True) -> int:
        """Ask for commands to be carried out (one after the other, not as a unit). Returns the number of the call.

        `once`: within the session, so that a lost answer is asked for again until the deadline and nothing runs twice;
        otherwise it is sent once, and a lost answer is reported. Raises `UsageError`, or `NotAppliedError` (overloaded,
        closed).
        """
        call = self._new_call(Kind.ONCE if once else Kind.PLAIN, commands, timeout)
        call.raws = [msgspec.Raw(_ENCODER.encode(command)) for command in commands]
        call.size = sum(map(len, call.raws)) + 16 * len(commands)
        if call.size > MAX_FRAME - 1024:
            raise UsageError(
                f"{call.what()}: {call.size} bytes do not fit into a frame of {MAX_FRAME}", reason=Reason.TOO_LARGE,
                hint=hint_for(Reason.TOO_LARGE),
            )  # fmt: skip
        if self._pending_bytes + call.size > self.options.max_pending_bytes:
            raise self._overloaded(call.what(), f"{self._pending_bytes} bytes of commands are under way")
        self._pending_bytes += call.size
        return self._accept(call)

    def query(
        self, reads: Sequence[Read], timeout: float, consistency: str = "linearizable", max_staleness_ms: int = 0
    ) -> int:
        """Ask for reads to be answered. `max_staleness_ms` 0: however stale. Raises as `submit` does."""
        if consistency not in _CONSISTENCIES:
            message = f"consistency {consistency!r} is not one of {', '.join(_CONSISTENCIES)}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        call = self._new_call(Kind.READ, reads, timeout)
        call.group = (consistency, max_staleness_ms)
        return self._accept(call)

    def status(self, timeout: float) -> int:
        """Ask the node at the other end how it stands; the call ends with a `StatusReply`."""
        return self._accept(self._new_call(Kind.STATUS, (), timeout))

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
        self._last_number += 1
        spec = WatchCreate(0, key, range_end, start_revision, prev_kv, no_put, no_delete)
        watch = self._watches.add(self._last_number, spec, self.revision)
        if self._active is not None:
            self._watches.place(watch, self._active)
        return watch.number

    def cancel(self, call: int) -> None:
        """Nobody waits for this call or watch any more. Unknown numbers are ignored; nothing more is said of it."""
        if self._watches.remove(call):
            return
        pending = self._calls.get(call)
        if pending is not None:
            self._forget(pending)

    def close(self) -> None:
        """End everything: open calls and watches end with `CLOSED`, the session and connections are closed."""
        if self._closed:
            return
        session, self._waiting.session = self._waiting.session, None
        if self._active is not None and session is not None:
            raw = msgspec.Raw(_ENCODER.encode([(session.span(0) + session.ack, SessionClose())]))
            self._send(self._active, Submit(self._next_frame(), 1000, session.number, session.ack, raw))
        for call in list(self._calls.values()):
            error = OutcomeUnknownError if call.unknown else NotAppliedError
            message = f"{call.what()}: the client was closed"
            self._finish(call, error(message, reason=Reason.CLOSED, hint=hint_for(Reason.CLOSED)))
        for watch in self._watches.clear():
            ended = NotAppliedError(f"{watch.what()}: the client was closed", reason=Reason.CLOSED)
            self._out.events.append((watch.number, ended))
        for link in list(self._links.values()):
            self._drop(link)
        self._closed = True

    # ------------------------------------------------------------------------------------------ events of the world

    def tick(self, now: float) -> None:
        """Time has come to `now`. Call before the events of a turn, and when `next_wakeup` has come."""
        self.now = now
        if self._closed:
            return
        if self._deadline <= now:
            self._expire()
        for link in list(self._links.values()):
            self._watch_over(link)
        if self._active is not None:
            self._watches.retry(now, self._active)

    def connected(self, link: int) -> None:
        """The connection asked for as `link` is made."""
        state = self._links.get(link)
        if state is None or state.state is not LinkState.DIALING:
            return
        state.state = LinkState.GREETING
        state.heard_at = self.now
        self._send(state, Hello(MAGIC, PROTOCOL_VERSION, self.cluster, self.options.name))

    def received(self, link: int, frame: ServerFrame) -> None:
        """A frame arrived on `link`. Frames of connections given up are ignored."""
        state = self._links.get(link)
        if state is None:
            return
        state.heard_at = self.now
        state.pinged_at = None
        if type(frame) is Results:
            self._on_results(state, frame)
        elif type(frame) is WatchEvents:
            watch = self._watches.of(state, frame.watch)
            news = watch.take(frame) if watch is not None else None
            if news is not None:
                self.revision = max(self.revision, news.revision)
                self._out.events.append((news.watch, news))
        elif type(frame) is Refused:
            self._on_refused(state, frame)
        elif type(frame) is Welcome:
            self._on_welcome(state, frame)
        elif type(frame) is Topology:
            self._learn(frame.leader, frame.nodes)
        elif type(frame) is WatchEnd:
            self._on_watch_end(state, frame)
        elif type(frame) is StatusReply:
            flight = self._land(state, frame.frame)
            if flight is not None:
                self._finish(flight.calls[0], frame)
        elif type(frame) is not Pong:
            self._lose(state, f"{state.name} sent a frame that a client does not expect: {type(frame).__name__}")

    def closed(self, link: int, why: str) -> None:
        """The connection `link` is gone or could not be made, because of `why`."""
        state = self._links.get(link)
        if state is not None:
            self._lose(state, f"{state.name}: {why}", gone=True)

    def take_output(self) -> ClientOutput:
        """Everything to be done since the last call; what the user asked meanwhile is packed into frames here."""
        if not self._closed:
            self._steer()
            if self._active is not None and self._hold_until <= self.now:
                self._pack(self._active)
        out, self._out = self._out, ClientOutput()
        return out

    def next_wakeup(self) -> float:
        """When `tick` and `take_output` are due at the latest, if nothing happens before; infinity: never."""
        if self._closed:
            return _FOREVER
        due = self._deadline
        if self._hold_until > self.now:
            due = min(due, self._hold_until)
        for link in self._links.values():
            due = min(due, self._due(link))
        if self._joining is None:
            if self._active is None:
                due = min(due, max(self._endpoints.next_try(), self.now))
            elif self._shun:
                due = min(due, max(self._endpoints.next_try(self._active.address), self._move_after, self.now + _GRAIN))
            elif self._wants_leader(self._active):
                retry_at = self._endpoints.retry_at(self._endpoints.address_of(self.leader))
                due = min(due, max(retry_at, self._move_after, self.now))
        if self._active is not None:
            due = min(due, self._watches.next_retry())
        return due

    @property
    def node(self) -> str:
        """The name of the node at the other end, "" when there is none."""
        return self._active.name if self._active is not None else ""

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes of the cluster, as far as they are known."""
        return list(self._endpoints.nodes.values())

    # ---------------------------------------------------------------------------------------------- calls, inside

    def _check_open(self) -> None:
        if self._closed:
            message = "the client is closed"
            raise NotAppliedError(message, reason=Reason.CLOSED, hint=hint_for(Reason.CLOSED))

    def _new_call(self, kind: Kind, items: Sequence[Command] | Sequence[Read], timeout: float) -> Call:
        self._check_open()
        if not items and kind is not Kind.STATUS:
            raise UsageError("a call needs at least one operation", reason=Reason.INVALID_ARGUMENT)
        if len(items) > self.options.window:
            message = f"{describe(list(items))}: a call has at most {self.options.window} operations"
            raise UsageError(message, reason=Reason.TOO_MANY_OPERATIONS)
        if not 0 < timeout < _FOREVER:
            message = f"a timeout is a positive number of seconds, not {timeout!r}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        if len(self._calls) >= self.options.max_pending:
            raise self._overloaded(
                describe(list(items)) if items else "status", f"{len(self._calls)} calls are under way"
            )
        call = Call(self._last_number + 1, kind, items, self.now + timeout)
        call.timeout = timeout
        return call

    def _overloaded(self, what: str, why: str) -> NotAppliedError:
        return NotAppliedError(f"{what}: {why}", reason=Reason.OVERLOADED, hint=hint_for(Reason.OVERLOADED))

    def _accept(self, call: Call) -> int:
        self._last_number = call.number
        self._calls[call.number] = call
        self._waiting.add(call)
        if call.deadline < self._deadline:
            self._deadline = call.deadline
        return call.number

    def _forget(self, call: Call) -> None:
        """The call is over: its numbers are free to be acknowledged, and copies on their way mean nothing any more."""
        call.done = True
        del self._calls[call.number]
        self._pending_bytes -= call.size
        if call.session is not None:
            call.session.answered(call)

    def _finish(self, call: Call, answer: list[Result] | StatusReply | RingleaderError) -> None:
        if not call.done:
            self._forget(call)
            self._out.done.append((call.number, answer))

    def _expire(self) -> None:
        """End the calls whose time is over, saying whether they may have been applied."""
        earliest = _FOREVER
        for call in list(self._calls.values()):
            if call.deadline > self.now:
                earliest = min(earliest, call.deadline)
                continue
            node = self._active.name if self._active is not None else None
            if call.unknown:
                message = f"{call.what()}: no answer within {call.timeout:g} s; it may have been applied"
                hint = "Read the keys before you repeat it."
                self._finish(call, UnknownDeadlineError(message, reason=Reason.DEADLINE, node=node, hint=hint))
            else:
                known = f" ({self.trouble})" if self.trouble else ""
                message = f"{call.what()}: not served within {call.timeout:g} s{known}"
                hint = hint_for(self.trouble_reason) if self.trouble else "Give it a longer timeout."
                self._finish(call, DeadlineError(message, reason=Reason.DEADLINE, node=node, hint=hint))
        self._deadline = max(earliest, self.now + _GRAIN) if earliest < _FOREVER else _FOREVER

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

    def _note(self, trouble: str, reason: Reason) -> None:
        self.trouble = trouble
        self.trouble_reason = reason

    def _hold(self) -> None:
        """Pause before the next commands and reads leave; longer each time in a row."""
        self._refusals += 1
        self._hold_until = self.now + self._endpoints.pause(self._refusals)

    # --------------------------------------------------------------------------------------------- frames that came

    def _landed(self, flight: Flight) -> None:
        self._in_flight -= flight.count
        self._in_flight_bytes -= flight.size

    def _land(self, link: Link, frame: int) -> Flight | None:
        flight = link.flights.pop(frame, None)
        if flight is not None:
            self._landed(flight)
            if link.state is LinkState.DRAINING and not link.flights:
                self._drop(link)
        return flight

    def _on_results(self, link: Link, frame: Results) -> None:
        flight = self._land(link, frame.frame)
        if flight is None:
            return
        results = frame.results
        if len(results) != flight.count:
            self._note(f"{link.name} answered {flight.count} operations with {len(results)} results", Reason.PROTOCOL)
            self._requeue(flight, doubt=True)
            self._lose(link, self.trouble)
            return
        if flight.kind is Kind.OPEN:
            self._on_session(link, results[0])
            return
        self._refusals = self._slow = self._moves = 0
        self.trouble = ""
        self._endpoints.worked(link.address)
        done = self._out.done
        at = 0
        again: list[Call] = []
        for call in flight.calls:
            part = results[at : at + call.count]
            at += call.count
            if call.done:
                continue
            first = part[0]
            if type(first) is Failure:
                if self._expired(call, first):
                    again.append(call)
                else:
                    self._fail(call, first, part, link)
                continue
            revision = getattr(first, "revision", 0)
            if revision > self.revision:
                self.revision = revision
            self._forget(call)
            done.append((call.number, part))
        for call in reversed(again):
            self._waiting.add_first(call)

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
        self._note(f"{link.name} could not open a session: {why}", reason)
        self._hold()

    def _on_refused(self, link: Link, frame: Refused) -> None:
        self._note(f"{link.name} answered {frame.reason.value}: {frame.message}", frame.reason)
        if frame.frame == 0:
            self._lose(link, self.trouble, frame.reason)
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
            self.leader = frame.leader
        if frame.reason in (Reason.NO_LEADER, Reason.NOT_LEADER, Reason.STOPPING, Reason.UNREACHABLE, Reason.DEADLINE):
            self._shun = self._shun or not (frame.leader and frame.leader != link.node)

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

    def _on_welcome(self, link: Link, frame: Welcome) -> None:
        if link.state is not LinkState.GREETING:
            return
        if frame.version != PROTOCOL_VERSION:
            text = f"{link.address} speaks version {frame.version} of the protocol, this client {PROTOCOL_VERSION}"
            self._lose(link, text, Reason.VERSION)
            return
        if self.cluster and frame.cluster != self.cluster:
            text = f"{link.address} belongs to cluster {frame.cluster!r}, not {self.cluster!r}"
            self._lose(link, text, Reason.WRONG_CLUSTER)
            return
        self.cluster = frame.cluster
        link.state = LinkState.READY
        link.node = frame.node
        link.name = frame.name or link.address
        self._endpoints.worked(link.address)
        self._learn(frame.leader, frame.nodes)
        self._adopt(link)

    def _learn(self, leader: int, nodes: list[NodeInfo]) -> None:
        self.leader = leader
        if nodes:
            self._endpoints.learn(nodes)

    # ------------------------------------------------------------------------------------------------- connections

    def _adopt(self, link: Link) -> None:
        """From now on everything goes over `link`; the one before stays until its answers are here."""
        before, self._active = self._active, link
        self._joining = None
        self._shun = False
        self._hold_until = self.now
        self._watches.move(link)
        if before is not None:
            before.state = LinkState.DRAINING
            if not before.flights:
                self._drop(before)

    def _steer(self) -> None:
        """See that there is a connection, and that it is the right one."""
        if self._joining is not None:
            return
        active = self._active
        if active is None:
            leader = self._endpoints.address_of(self.leader) if self.options.prefer_leader else ""
            address = leader if leader and self._endpoints.retry_at(leader) <= self.now else None
            address = address or self._endpoints.pick(self.now)
        elif self._move_after > self.now:
            return
        elif self._shun:
            address = self._endpoints.pick(self.now, avoid=active.address)
        elif self._wants_leader(active):
            address = self._endpoints.address_of(self.leader)
            if self._endpoints.retry_at(address) > self.now:
                return
        else:
            return
        if address:
            if active is not None:
                self._moves += 1
                self._move_after = self.now + self._endpoints.pause(self._moves)
            self._last_link += 1
            self._joining = self._links[self._last_link] = Link(self._last_link, address, self.now)
            self._out.dial.append((self._last_link, address))

    def _wants_leader(self, active: Link) -> bool:
        if not self.options.prefer_leader or self.leader in (0, active.node):
            return False
        return bool(self._endpoints.address_of(self.leader))

    def _drop(self, link: Link, *, gone: bool = False) -> None:
        """Let go of a connection that nothing depends on; `gone`: the world has closed it already."""
        del self._links[link.number]
        if not gone:
            self._out.close.append(link.number)

    def _lose(self, link: Link, why: str, reason: Reason = Reason.UNREACHABLE, *, gone: bool = False) -> None:
        """A connection is of no more use: what was under way on it is asked again elsewhere."""
        self._note(why, reason)
        self._drop(link, gone=gone)
        self._endpoints.failed(link.address, self.now)
        if link is self._joining:
            self._joining = None
        if link is self._active:
            self._active = None
            self._shun = False
            if self.leader == link.node:
                self.leader = 0
        self._watches.lost(link)
        for flight in reversed(link.flights.values()):
            self._landed(flight)
            self._requeue(flight, doubt=True)
        link.flights.clear()

    def _watch_over(self, link: Link) -> None:
        """Notice a connection that does not come about, is dead, or keeps its calls waiting."""
        if self._due(link) > self.now:
            return
        options = self.options
        if link.state <= LinkState.GREETING:
            self._lose(link, f"{link.address} did not answer within {options.connect_timeout:g} s")
            return
        if link.pinged_at is not None:
            if self.now >= link.pinged_at + options.ping_timeout:
                self._lose(link, f"{link.name} has been silent for {self.now - link.heard_at:.1f} s")
                return
        elif self.now >= link.heard_at + self._silence(link):
            link.pinged_at = self.now
            self._send(link, Ping(self._next_frame()))
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
            over = all(call.done for call in flight.calls) and flight.kind is not Kind.OPEN
            if over or (link.state is LinkState.DRAINING and flight.kind is not Kind.PLAIN):
                del link.flights[number]
                self._landed(flight)
                self._requeue(flight, doubt=True)
        if link is self._active:
            self._slow += 1
            self._shun = True
            self._note(f"{link.name} has not answered for a while", Reason.DEADLINE)
            self._endpoints.failed(link.address, self.now)
        elif link.state is LinkState.DRAINING and not link.flights:
            self._drop(link)

    # ----------------------------------------------------------------------------------------------------- watches

    def _on_watch_end(self, link: Link, frame: WatchEnd) -> None:
        watch = self._watches.ended(link, frame.watch)
        if watch is None:
            return
        final = frame.reason in USAGE_REASONS or (frame.reason is Reason.OVERLOADED and not watch.up)
        if frame.reason is Reason.FUTURE_REVISION and watch.known:
            final = False  # this node only lags behind
        if not final:
            watch.failures += 1
            self._watches.retry_later(watch, self.now + self._endpoints.pause(watch.failures))
            return
        self._watches.remove(watch.number)
        error = refusal_error(
            watch.what(), frame.reason, frame.message, link.name, unknown=False, compact_revision=frame.compact_revision
        )
        self._out.events.append((watch.number, error))

    # ------------------------------------------------------------------------------------------------ frames to send

    def _next_frame(self) -> int:
        self._last_frame += 1
        return self._last_frame

    def _send(self, link: Link, frame: ClientFrame) -> None:
        self._out.send.append((link.number, frame))

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
        self._fly(link, Flight(Kind.OPEN, [], 1, self.now), Submit(self._next_frame(), timeout, 0, 0, raw))

    def _fly(self, link: Link, flight: Flight, frame: Submit | Query | StatusQuery) -> None:
        link.flights[frame.frame] = flight
        self._in_flight += flight.count
        self._in_flight_bytes += flight.size
        self._send(link, frame)

    def _pack_kind(self, link: Link, kind: Kind) -> None:
        options, waiting = self.options, self._waiting
        while self._in_flight < options.window and self._in_flight_bytes < options.window_bytes:
            calls = waiting.batch(kind, options.window - self._in_flight)
            for call, error in waiting.take_stranded():
                self._finish(call, error)
            if not calls:
                return
            frame = waiting.frame(kind, calls, self._next_frame(), self.now)
            self._fly(link, Flight(kind, calls, sum([call.count for call in calls]) or 1, self.now), frame)
