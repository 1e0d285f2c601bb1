"""What clients and nodes say to each other: the frames of the client protocol, as msgspec structs.

A connection starts with `Hello` and `Welcome` (or `Refused` and close); between them may stand a login (`wire.login`).
Then the client sends `Submit`, `Query`, `WatchCreate`, `WatchCancel` and `Ping`; the node sends `Results`, `Refused`,
`WatchEvents`, `WatchEnd`, `Topology` and `Pong`; `StatusQuery` is answered by `StatusReply`. `frame` numbers are chosen by
the client, unique on the connection; the answer carries the same number. Unknown trailing fields are tolerated.
"""

from __future__ import annotations

import msgspec

from ringleader.errors import Reason
from ringleader.store.commands import Event, Read, Result
from ringleader.wire.login import Challenge, LoginStart, Proof

__all__ = [
    "MAGIC",
    "MAX_FRAME",
    "PROTOCOL_VERSION",
    "ClientFrame",
    "Hello",
    "NodeInfo",
    "Ping",
    "Pong",
    "Query",
    "Refused",
    "Results",
    "ServerFrame",
    "StatusQuery",
    "StatusReply",
    "Submit",
    "Topology",
    "WatchCancel",
    "WatchCreate",
    "WatchEnd",
    "WatchEvents",
    "Welcome",
]

MAGIC = "ringleader"
PROTOCOL_VERSION = 1
MAX_FRAME = 8 * 1024 * 1024
"""The largest frame, in bytes, length prefix aside. A longer one ends the connection with a reason."""


class NodeInfo(msgspec.Struct, array_like=True, frozen=True):
    """One node of the cluster as clients know it; addresses are "host:port"."""

    id: int
    name: str
    client: str
    http: str = ""


# --------------------------------------------------------------------------------------------- client to node


class Hello(msgspec.Struct, array_like=True, tag=1):
    """The first frame. `cluster` "": any."""

    magic: str
    version: int
    cluster: str = ""
    client_name: str = ""
    login: LoginStart | None = None


class Submit(msgspec.Struct, array_like=True, gc=False, tag=2):
    """Commands for the log. `commands` is the msgpack of `list[tuple[int, Command]]`, taken into the log unchanged.

    `timeout_ms` counts from arrival; `session` 0 means no session. See `store.commands.Envelope` for `ack`.
    """

    frame: int
    timeout_ms: int
    session: int
    ack: int
    commands: msgspec.Raw


class Query(msgspec.Struct, array_like=True, tag=3):
    """Reads. `consistency`: "linearizable" | "leader_lease" | "stale"; `max_staleness_ms` 0: however stale."""

    frame: int
    timeout_ms: int
    consistency: str
    reads: list[Read]
    max_staleness_ms: int = 0


class WatchCreate(msgspec.Struct, array_like=True, tag=4):
    """Send events of `key` (or [key, range_end)) from `start_revision` on (0: from now on)."""

    watch: int
    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False


class WatchCancel(msgspec.Struct, array_like=True, gc=False, tag=5):
    """Stop a watch; a `WatchEnd` follows."""

    watch: int


class Ping(msgspec.Struct, array_like=True, gc=False, tag=6):
    """Are you there?"""

    frame: int


class StatusQuery(msgspec.Struct, array_like=True, gc=False, tag=7):
    """How does this node stand?"""

    frame: int


ClientFrame = Hello | Submit | Query | WatchCreate | WatchCancel | Ping | StatusQuery | Proof

# --------------------------------------------------------------------------------------------- node to client


class Welcome(msgspec.Struct, array_like=True, tag=1):
    """The answer to `Hello`: who is speaking, who leads (node id, 0: nobody known) and who else there is.

    After a login `proof` is the node's own, `user` who logged in, `auth_revision` that of the rules here. `as_of`: the log
    index by which `nodes` are the nodes, 0: not said. A node that was away, or removed, tells of nodes that are gone.
    """

    version: int
    cluster: str
    node: int
    name: str
    leader: int
    nodes: list[NodeInfo]
    proof: bytes = b""
    user: str = ""
    auth_revision: int = 0
    as_of: int = 0


class Results(msgspec.Struct, array_like=True, tag=2):
    """The results of a `Submit` or `Query`, one for each command or read, in its order."""

    frame: int
    results: list[Result]


class Refused(msgspec.Struct, array_like=True, tag=3):
    """A whole frame was not served. `unknown`: the commands may have been (or may yet be) applied.

    `frame` 0: it concerns the connection, which is closed after it. `leader`: where to try, 0 when nobody knows.
    """

    frame: int
    reason: Reason
    message: str
    unknown: bool = False
    leader: int = 0
    hint: str = ""


class WatchEvents(msgspec.Struct, array_like=True, tag=4):
    """Events in revision order, never splitting a revision. No events: all up to `revision` have been sent.

    The first frame of a watch has no events and says that it is set up (`revision`: the last one before its first).
    A revision too large for one frame comes in parts: `more`, the next frame of this watch goes on with the same revision.
    """

    watch: int
    revision: int
    events: list[Event]
    more: bool = False


class WatchEnd(msgspec.Struct, array_like=True, tag=5):
    """The watch has ended. `compact_revision`: when history was compacted away, the oldest revision still there."""

    watch: int
    reason: Reason
    message: str
    compact_revision: int = 0


class Topology(msgspec.Struct, array_like=True, tag=6):
    """The leader or the nodes changed. `as_of`: as in `Welcome`."""

    leader: int
    nodes: list[NodeInfo]
    as_of: int = 0


class Pong(msgspec.Struct, array_like=True, gc=False, tag=7):
    """I am here."""

    frame: int


class StatusReply(msgspec.Struct, array_like=True, tag=8):
    """One node's own view. `role`: "leader" | "follower" | "candidate" | "learner". `uptime`: seconds.

    `used_bytes` of `quota_bytes` (0: no limit) are used; `full`: puts are refused for lack of room.
    `disk_full`: this node's disk has no room; it takes no new work. `cluster_version`: of the rules in force here, of at
    most `supports`, the highest that this node's release knows. `consensus`: the protocol, and what was chosen with it.
    """

    frame: int
    node: int
    name: str
    release: str
    role: str
    term: int
    leader: int
    commit: int
    applied: int
    last_index: int
    revision: int
    compact_revision: int
    voters: list[int]
    learners: list[int]
    uptime: float
    used_bytes: int = 0
    quota_bytes: int = 0
    full: bool = False
    disk_full: bool = False
    cluster_version: int = 0
    supports: int = 0
    consensus: str = ""


ServerFrame = Welcome | Results | Refused | WatchEvents | WatchEnd | Topology | Pong | StatusReply | Challenge
