"""The façade: one replicated value with an identity that is always its own, a place for what cannot be joined yet, and
synchronisation in two messages.

    cart = ringleader.replica(Cart)              # real randomness and clock
    cart.root.items["apple"] += 2
    answer = other.answer(cart.ask("other"))     # first message; what `cart` has that `other` lacks is in it
    cart.finish("other", answer)                 # second message; now both have everything
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from ringleader.clock.hlc import ClockDriftError
from ringleader.clock.version import ReplicaId, VersionVector, short
from ringleader.crdt.base import Crdt
from ringleader.crdt.delta import Delta
from ringleader.crdt.identity import DuplicateIdentityError, GapError, ReplicaContext
from ringleader.crdt.wire import DEFAULT_LIMITS, MAX_EVENTS, MAX_ID, DecodeError, Limits
from ringleader.errors import NotAppliedError, Reason, UsageError
from ringleader.ports import Entropy

__all__ = ["Alarm", "Replica"]

T = TypeVar("T", bound=Crdt)
_pack = msgspec.msgpack.Encoder().encode
QUARANTINE = 1000
SYNC = b"RLS1"


class Alarm:
    """Something an operator should know. `kind`: "duplicate-identity" or "clock-drift"; `text` for people."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text

    def __repr__(self) -> str:
        return f"Alarm({self.kind}: {self.text})"


class Replica(Generic[T]):
    """`root` is the replicated value; change it directly.

    `make`: builds the value for a `ReplicaContext` (a type, a `Model`, or `lambda r: ORMap(r, PNCounter)`).
    `entropy`, `wall`: randomness for identities; milliseconds since the epoch.
    `state`: bytes of `root.encode()` to begin with. The identity is random and new each time, which is always safe;
    pass `identity` only if it was kept together with this very state and nobody else can have used it since.
    `on_alarm`: called for a duplicate identity or a clock far ahead; the last 100 are in `alarms`.
    """

    def __init__(
        self,
        make: Callable[[ReplicaContext | None], T],
        *,
        entropy: Entropy,
        wall: Callable[[], int],
        state: bytes | None = None,
        identity: ReplicaId | None = None,
        max_drift_ms: int = 60_000,
        on_alarm: Callable[[Alarm], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._make = make
        self._entropy = entropy
        self._wall = wall
        self._max_drift_ms = max_drift_ms
        self._on_alarm = on_alarm
        self._limits = limits
        self._quarantine: deque[tuple[Delta, object]] = deque()
        self._peers: dict[str, VersionVector] = {}
        self.alarms: deque[Alarm] = deque(maxlen=100)
        self.root: T = make(None)
        if state is not None:
            self.root.apply(Delta.decode(state, limits))
        if identity is None:
            self.root.adopt(self._context())
        else:
            self.root.resume(self._context(identity))

    def _context(self, identity: ReplicaId | None = None) -> ReplicaContext:
        if identity is None:
            identity = self._entropy.getrandbits(128).to_bytes(16, "big")
        return ReplicaContext(identity, self._wall, max_drift_ms=self._max_drift_ms)

    @property
    def identity(self) -> ReplicaId:
        """What this replica writes as."""
        me = self.root._doc.me
        assert me is not None
        return me

    @property
    def quarantined(self) -> int:
        """How many deltas wait because their clock is too far ahead of ours."""
        return len(self._quarantine)

    def renew(self) -> None:
        """Take a new identity: after a fork of the process, or whenever in doubt. Costs one entry in the version."""
        self.root.adopt(self._context())

    def __copy__(self) -> Replica[T]:
        return Replica(
            self._make,
            entropy=self._entropy,
            wall=self._wall,
            state=self.root.encode(),
            max_drift_ms=self._max_drift_ms,
            on_alarm=self._on_alarm,
            limits=self._limits,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Replica[T]:
        return self.__copy__()

    def __reduce__(self) -> tuple[object, ...]:
        raise UsageError(
            "a Replica has an identity, so it is not pickled",
            reason=Reason.DUPLICATE_IDENTITY,
            hint="Pickle replica.root, or store replica.root.encode() and pass it as state=",
        )

    # ---- receiving ---------------------------------------------------------------------------------------------

    def receive(self, data: bytes | Delta, origin: object = None) -> bool:
        """Join a delta or state; returns whether anything was new.

        A delta from a clock too far ahead goes into quarantine (see `retry`); a message that shows that our
        identity is used elsewhere makes us take a new one. Raises `GapError` (ask for what is missing) and
        `DecodeError`.
        """
        delta = data if isinstance(data, Delta) else Delta.decode(data, self._limits)
        try:
            return self.root.apply(delta, origin)
        except DuplicateIdentityError as error:
            self._alarm("duplicate-identity", str(error))
            self.renew()
            return self.receive(delta, origin)
        except ClockDriftError as error:
            self._alarm("clock-drift", str(error))
            if len(self._quarantine) >= QUARANTINE:
                raise NotAppliedError("the quarantine is full", reason=Reason.OVERLOADED, hint=error.hint) from error
            self._quarantine.append((delta, origin))
            return False

    def retry(self) -> int:
        """Try what is in quarantine again, now that time has passed; returns how many deltas were joined."""
        waiting, self._quarantine = self._quarantine, deque()
        joined = 0
        for delta, origin in waiting:
            try:
                joined += self.root.apply(delta, origin)
            except ClockDriftError:
                self._quarantine.append((delta, origin))
            except GapError:
                continue  # it built on another one that is still waiting; a later synchronisation brings it
        return joined

    def _alarm(self, kind: str, text: str) -> None:
        alarm = Alarm(kind, text)
        self.alarms.append(alarm)
        if self._on_alarm is not None:
            self._on_alarm(alarm)

    # ---- synchronisation in two messages -------------------------------------------------------------------------

    def ask(self, peer: str) -> bytes:
        """The first message to `peer`: our version, and what it lacks as far as we know (at first contact:
        everything).
        """
        return self._message(self._peers.get(peer))

    def answer(self, message: bytes) -> bytes:
        """Take the first message, give the second: our version, and what the asker lacks. Raises `DecodeError`."""
        version, delta = self._read(message)
        self._take(delta)
        return self._message(version)

    def finish(self, peer: str, message: bytes) -> bool:
        """Take the second message; returns whether we now have everything the peer had.

        Any message may be lost, repeated or late: nothing breaks, and the next round makes up for it.
        """
        version, delta = self._read(message)
        self._take(delta)
        self._peers[peer] = version  # the version that the peer itself claims: it may have lost what it once had
        return self.root._doc.version.covers(version)

    def _take(self, delta: Delta) -> None:
        try:
            self.receive(delta)
        except GapError:
            pass  # the peer overestimated us (we lost something); our version in the reply tells it the truth

    def _message(self, version: VersionVector | None) -> bytes:
        own = self.root._doc.version
        return SYNC + _pack([sorted(own.items()), self.root.delta_since(version).encode()])

    def _read(self, message: bytes) -> tuple[VersionVector, Delta]:
        if len(message) > 2 * self._limits.bytes or message[:4] != SYNC:
            raise DecodeError("this is no synchronisation message", reason=Reason.DATA_CORRUPT)
        try:
            body: tuple[list[tuple[bytes, int]], bytes] = _sync(message[4:])
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise DecodeError(f"a broken synchronisation message: {error}", reason=Reason.DATA_CORRUPT) from None
        pairs, delta = body
        if len(pairs) > self._limits.replicas or not all(
            0 < len(r) <= MAX_ID and 0 < n <= MAX_EVENTS for r, n in pairs
        ):
            raise DecodeError("a version out of bounds", reason=Reason.DATA_CORRUPT)
        return VersionVector(pairs), Delta.decode(delta, self._limits)

    def __repr__(self) -> str:
        return f"Replica({short(self.identity)}, {self.root!r})"


_sync = msgspec.msgpack.Decoder(tuple[list[tuple[bytes, int]], bytes]).decode
