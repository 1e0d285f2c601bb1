"""Every bound and period of a client in one place."""

from __future__ import annotations

import msgspec

from ringleader.client.credentials import Credentials

__all__ = ["ClientOptions"]


class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a client behaves. Times in seconds, sizes in bytes.

    `credentials`: who it logs in as, `None` nobody. `name`: how the client calls itself to nodes. `cluster`: the only
    cluster it will talk to ("": the first one met).
    `prefer_leader`: move to the leader's node once it is known (saves a hop). `window`, `window_bytes`: commands and reads
    in flight. `session_window`: how far sequence numbers may run ahead of the oldest unanswered one (less than the store's
    limit). `max_pending`, `max_pending_bytes`: calls accepted before `OVERLOADED`. `batch_commands`, `batch_bytes`: the
    most in one frame.
    `connect_timeout`: from dialling to `Welcome`. `attempt_timeout`: how long a node may keep a call waiting before it is
    tried elsewhere; doubles each time in a row. A connection silent for `ping_interval` while something is awaited
    (`idle_ping_interval` when not) is asked for a sign of life, and given up after another `ping_timeout`.
    `watch_silence`: a watch that hears nothing for so long, not even how far it has come, is set up anew, if possible on
    another node; several times the nodes' `GroupOptions.progress_period`.
    `backoff_min`, `backoff_max`: the pause after a refusal or a failed connection, doubling, jittered.
    """

    credentials: Credentials | None = None
    name: str = ""
    cluster: str = ""
    prefer_leader: bool = True
    window: int = 1024
    window_bytes: int = 16 * 1024 * 1024
    session_window: int = 2048
    max_pending: int = 16_384
    max_pending_bytes: int = 64 * 1024 * 1024
    batch_commands: int = 512
    batch_bytes: int = 1024 * 1024
    connect_timeout: float = 1.0
    attempt_timeout: float = 2.0
    ping_interval: float = 0.75
    idle_ping_interval: float = 10.0
    ping_timeout: float = 1.25
    watch_silence: float = 30.0
    backoff_min: float = 0.02
    backoff_max: float = 1.0
