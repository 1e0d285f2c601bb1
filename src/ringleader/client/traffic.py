"""Calls on their way: packed into frames, asked again when a connection is lost, ended by the answers of the cluster.

What may be asked again: reads always, commands of a session under their old sequence number (the store then gives the first
result again; Raft's dissertation, section 6.3), other commands never.
"""

from __future__ import annotations

import msgspec

from ringleader.client.admission import Admission
from ringleader.client.calls import ONCE, OPEN, PLAIN, READ, STATUS, Call, Flight, Kind, Session
from ringleader.client.connections import Connections
from ringleader.client.failures import USAGE_REASONS, failure_error, hint_for, refusal_error
from ringleader.client.links import Link
from ringleader.client.options import ClientOptions
from ringleader.client.output import Answer
from ringleader.client.waiting import Waiting
from ringleader.errors import OutcomeUnknownError, Reason
from ringleader.store.commands import Failure, Result, SessionClose, SessionOpen, SessionResult
from ringleader.wire.frames import Query, Refused, Results, StatusQuery, Submit

__all__ = ["Traffic"]

_ENCODER = msgspec.msgpack.Encoder()


class Traffic:
    """All calls that are not answered yet. `under_way`: they and their deadlines. `revision`: the newest that any result has
    told of. `hold_until`: no commands or reads leave before, after a refusal.
    """

    def __init__(self, options: ClientOptions, net: Connections) -> None:
        self.under_way = Admission(options)
        self.revision = 0
        self.hold_until = net.now
        self._options = options
        self._net = net
        self._waiting = Waiting(options)
        self._opening = False  # a session has been asked for
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._refusals = 0

    def accept(self, call: Call) -> int:
        """A new call waits to be sent; returns its number."""
        self.under_way.admit(call)
        self._waiting.add(call)
        return call.number

    def finish(self, call: Call, answer: Answer) -> None:
        """The end of a call, unless nobody waits for it any more."""
        if not call.done:
            self.under_way.forget(call)
            self._net.out.done.append((call.number, answer))

    def returned(self, flight: Flight) -> None:
        """A frame was on its way over a connection that is given up: it may have been served."""
        self._landed(flight)
        self.requeue(flight, doubt=True)

    def requeue(self, flight: Flight, *, doubt: bool) -> None:
        """Ask the calls of a frame again; `doubt`: whether the frame may have been served after all."""
        if flight.kind is OPEN:
            self._opening = False
        for call in reversed(flight.calls):
            if call.done:
                continue
            call.flying = False
            if call.kind is PLAIN and doubt:
                message = f"{call.what()}: {self._net.trouble}; it may have been applied"
                hint = hint_for(Reason.CONNECTION_LOST)
                self.finish(call, OutcomeUnknownError(message, reason=Reason.CONNECTION_LOST, hint=hint))
                continue
            call.doubt = call.doubt or doubt
            self._waiting.add_first(call)

    def _hold(self) -> None:
        """Pause before the next commands and reads leave; longer each time in a row."""
        self._refusals += 1
        self.hold_until = self._net.now + self._net.endpoints.pause(self._refusals)

    def end_session(self) -> Submit | None:
        """The session is not used any more; returns the frame that closes it, if there is one."""
        session, self._waiting.session = self._waiting.session, None
        if session is None:
            return None
        raw = msgspec.Raw(_ENCODER.encode([(session.span(0) + session.ack, SessionClose())]))
        return Submit(self._net.next_frame(), 1000, session.number, session.ack, raw)

    # --------------------------------------------------------------------------------------------- frames that came

    def land(self, link: Link, frame: int) -> Flight | None:
        """The frame of that number is answered; None when it was given up before."""
        flight = self._net.land(link, frame)
        if flight is not None:
            self._landed(flight)
        return flight

    def _landed(self, flight: Flight) -> None:
        self._in_flight -= flight.count
        self._in_flight_bytes -= flight.size

    def answered(self, link: Link, frame: Results) -> None:
        """The results of a frame: hand them out, but for calls that have to be asked again."""
        flight = self.land(link, frame.frame)
        if flight is None:
            return
        results = frame.results
        if len(results) != flight.count:
            self._net.note(
                f"{link.name} answered {flight.count} operations with {len(results)} results", Reason.PROTOCOL
            )
            self.requeue(flight, doubt=True)
            self._net.lose(link, self._net.trouble)
            return
        if flight.kind is OPEN:
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
            self.under_way.forget(call)
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
            self.finish(call, results)
            return
        unknown = failure.unknown and call.kind <= PLAIN
        self.finish(call, failure_error(call.what(), failure, link.name, unknown=unknown))

    def _on_session(self, link: Link, result: Result) -> None:
        self._opening = False
        if isinstance(result, SessionResult):
            self._waiting.session = Session(result.session)
            return
        why = result.message if isinstance(result, Failure) else "an answer of the wrong type"
        reason = result.reason if isinstance(result, Failure) else Reason.PROTOCOL
        self._net.note(f"{link.name} could not open a session: {why}", reason)
        self._hold()

    def refused(self, link: Link, frame: Refused) -> bool:
        """A frame was not served: ask again later where that may help, else it is the end of its calls.

        Returns False for a frame that was given up before.
        """
        flight = self.land(link, frame.frame)
        if flight is None:
            return False
        if frame.reason in USAGE_REASONS or frame.reason in (Reason.NO_SPACE, Reason.DISK_FAILED):
            self._refuse_for_good(flight, frame, link)
        else:
            self.requeue(flight, doubt=frame.unknown)
            self._hold()
        return True

    def _refuse_for_good(self, flight: Flight, frame: Refused, link: Link) -> None:
        """The refusal lies in a call. When several shared the frame each goes alone, so that only the culprit fails.

        Also when they were carried out and only their answers do not fit into one frame: the session still knows the results,
        but for the largest.
        """
        asked_again = frame.reason is Reason.TOO_LARGE and flight.kind is Kind.ONCE
        if len(flight.calls) > 1 and (not frame.unknown or asked_again):
            for call in flight.calls:
                call.alone = True
            self.requeue(flight, doubt=frame.unknown)
            return
        if flight.kind is OPEN:
            self._opening = False
            self._hold()
        for call in flight.calls:
            unknown = (frame.unknown or call.doubt) and call.kind <= PLAIN
            error = refusal_error(call.what(), frame.reason, frame.message, link.name, unknown=unknown, hint=frame.hint)
            self.finish(call, error)

    # ------------------------------------------------------------------------------------------------ frames to send

    def pack(self, link: Link) -> None:
        """Put what waits into as few frames as the bounds allow."""
        waiting = self._waiting
        if waiting.any(ONCE):
            if waiting.session is not None:
                self._pack_kind(link, ONCE)
            elif not self._opening:
                self._open_session(link)
        for kind in (PLAIN, READ, STATUS):
            if waiting.any(kind):
                self._pack_kind(link, kind)

    def _open_session(self, link: Link) -> None:
        self._opening = True
        raw = msgspec.Raw(_ENCODER.encode([(1, SessionOpen())]))
        timeout = int(self._options.attempt_timeout * 1000)
        self._fly(link, Flight(OPEN, [], 1, self._net.now), Submit(self._net.next_frame(), timeout, 0, 0, raw))

    def _fly(self, link: Link, flight: Flight, frame: Submit | Query | StatusQuery) -> None:
        link.flights[frame.frame] = flight
        self._in_flight += flight.count
        self._in_flight_bytes += flight.size
        self._net.send(link, frame)

    def _pack_kind(self, link: Link, kind: Kind) -> None:
        options, waiting = self._options, self._waiting
        while self._in_flight < options.window and self._in_flight_bytes < options.window_bytes:
            calls = waiting.batch(kind, options.window - self._in_flight)
            for call, error in waiting.take_stranded():
                self.finish(call, error)
            if not calls:
                return
            frame = waiting.frame(kind, calls, self._net.next_frame(), self._net.now)
            self._fly(link, Flight(kind, calls, sum([call.count for call in calls]) or 1, self._net.now), frame)
