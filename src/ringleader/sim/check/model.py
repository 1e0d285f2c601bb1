"""What the checker has to know of a protocol beside the shape: how its core's state is cut down to what matters.

One object per protocol (`check.raft`, `check.paxos`) implements `Model`. The core itself is that of production; a model only
makes it, looks at it and takes out of its state what no later step can see: absolute times and record numbers, windows that
small bounds never fill, leftovers of a role that has been given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ringleader.consensus.shape import Config, Entry, Record, ReplicatedLog
from ringleader.sim.words import Words

__all__ = ["Even", "Item", "Model", "View", "items"]

Item = tuple[int, int, bytes]
"""An entry of the log as a value that can be compared and hashed: term (or ballot of birth), kind, data."""


class View(NamedTuple):
    """What invariants and bounds look at. `log`: from index 1 on, `None` where a slot is empty (Paxos)."""

    term: int
    reach: int
    """The highest term that this member has taken up or asks others about."""
    leads: bool
    log: tuple[Item | None, ...]
    commit: int
    rounds: int
    """Rounds of heartbeats (or of read barriers) that this member has started."""


class Even:
    """An entropy without chance. Timers are drawn from it, but in the checker every timer may run out at any moment."""

    def random(self) -> float:
        """The middle."""
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        """Nothing in a core may hang on it."""
        return 0


class Model(Protocol):
    """One protocol, as the checker sees it. All methods are pure but `normalise`, which changes the core it is given."""

    name: str
    """What `--protocol` calls it."""
    words: Words
    """How it is told."""
    matching: bool
    """Whether log matching holds of it."""

    def make(self, id: int, config: Config) -> ReplicatedLog:
        """A new core of member `id`, with the options of the configuration that is checked."""
        ...

    def shared(self) -> dict[str, Any]:
        """Attributes of a core that are the same in all its states (see `check.freeze`)."""
        ...

    def decode(self, data: bytes) -> Any:
        """A message from its bytes on the wire."""
        ...

    def normalise(self, core: Any) -> int:
        """Set the core's clock back to zero, count its records anew, drop what no later step can see.

        Returns by how much the numbers of records have gone down: the number of the last durable one.
        """
        ...

    def alarm(self, core: Any) -> float | None:
        """The next moment (on a clock that stands at zero) at which time alone makes a difference; None: never."""
        ...

    def condense(self, records: Sequence[Record]) -> list[Record]:
        """The shortest list of records that means the same to a core that replays it, whatever records follow."""
        ...

    def view(self, core: Any) -> View:
        """The core as invariants and bounds see it."""
        ...

    def broken_promise(self, core: Any, to: int, message: Any) -> str:
        """What a restarted core has forgotten of what it once told member `to` by `message`; empty: nothing."""
        ...

    def dead(self, core: Any, sender: int, message: Any) -> bool:
        """Whether `message`, now or at any time later, crashes or not, can make no difference to this core any more."""
        ...


def items(entries: Sequence[Entry]) -> tuple[Item, ...]:
    """Entries as comparable values."""
    return tuple([(entry.term, int(entry.kind), entry.data) for entry in entries])
