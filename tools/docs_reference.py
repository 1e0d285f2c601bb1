"""Fills docs/reference.md from the code: settings from `NodeConfig`, errors from `Reason`, metrics from a node's collector."""

from __future__ import annotations

import re
import typing
from pathlib import Path

from ringleader.client.failures import hint_for
from ringleader.errors import Reason
from ringleader.node.config import NodeConfig
from ringleader.node.stats import EVENTS, NodeCollector, Stats
from ringleader.wire.frames import StatusReply

__all__ = ["PAGE", "filled"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

SETTINGS = {
    "name": "the node's name",
    "data_dir": "its folder; nobody else may use it",
    "listen_client": "where clients connect",
    "listen_peer": "where other nodes connect; if `advertise_peer` or `peers` says where they reach this node, there",
    "http": "health, metrics and status",
    "peers": "the members that the cluster starts with, `name=host:port,...`, this node included",
    "join": "peer addresses of members of a running cluster, to be asked for membership once, with an empty folder",
    "advertise_peer": "where others reach `listen_peer`, if not there",
    "advertise_client": "where clients reach `listen_client`, if not there",
    "advertise_http": "where others reach `http`, if not there",
    "cluster_token": "the secret that members prove to each other; it is never sent",
    "heartbeat_ms": "how often a leader is heard",
    "election_ms": "how long followers wait for their leader, up to twice that",
    "max_connections": "most client connections; fewer where the system lets the process open too few files "
    "(`ulimit -n`; the node raises it as far as it may, and says what is left)",
    "segment_bytes": "size of a log segment",
    "snapshot_bytes": "a snapshot is taken when the log has grown by so much",
    "snapshot_entries": "or by so many entries",
    "reserve_bytes": "kept on the disk for when it is full",
    "keep_entries": "entries kept in memory behind a snapshot for members that lag a little",
    "log_level": "debug, info, warning or error",
    "consensus": "raft or paxos, when a cluster starts; then what its folder says. Joining nodes take what there is",
    "phase2_quorum": "Paxos: how many members (N) have to accept a write; elections then need all but N - 1. 0: a majority",
    "cert": "certificate (PEM) of the client and HTTP ports: with it they speak TLS",
    "key": "its key",
    "ca": "authority of the certificates by which users may log in",
    "client_cert_required": "whether clients must have one",
    "peer_cert": "certificate for other nodes (default: `cert`): with it nodes speak mutual TLS",
    "peer_key": "its key",
    "peer_ca": "authority of the nodes' certificates",
    "insecure": "serve others than this machine though nothing protects it",
}

REASONS = {
    Reason.NO_LEADER: ("the cluster has no leader at the moment", ""),
    Reason.NOT_LEADER: ("the leader changed meanwhile", ""),
    Reason.UNREACHABLE: ("no node can be reached, or the node is cut off", ""),
    Reason.DEADLINE: (
        "not done within the call's timeout",
        "Give it a longer timeout; if the outcome is unknown, read first.",
    ),
    Reason.OVERLOADED: ("more is waiting than can be served in time, or a limit on a number of things is reached", ""),
    Reason.NO_SPACE: ("the quota is used up, or the leader's disk is full; reading and deleting go on", ""),
    Reason.CLOSED: ("the client, watch or lease was closed", ""),
    Reason.STOPPING: ("the node is stopping", "Clients go on with another node by themselves."),
    Reason.CONNECTION_LOST: ("the connection broke before the answer came", ""),
    Reason.SESSION_EXPIRED: ("the client was away for longer than the cluster remembers its calls", ""),
    Reason.INVALID_ARGUMENT: ("an argument makes no sense; the message names it", "Correct the call."),
    Reason.TOO_LARGE: ("a key, value, transaction or answer is larger than allowed", ""),
    Reason.COMPACTED: ("that history is gone", ""),
    Reason.FUTURE_REVISION: ("that revision has not happened yet", ""),
    Reason.KEY_NOT_FOUND: ("there is no such key", "Create it first, or do not insist on the old one."),
    Reason.LEASE_NOT_FOUND: ("there is no such lease", ""),
    Reason.LEASE_EXISTS: ("there is such a lease already", "Choose another id, or let the cluster choose."),
    Reason.TOO_MANY_OPERATIONS: ("a transaction or call has too many operations", "Split it."),
    Reason.DUPLICATE_KEY: ("one transaction writes a key twice", "Write each key once."),
    Reason.UNSUPPORTED: ("this kind of cluster or node cannot do that", "See the capability's page."),
    Reason.PERMISSION_DENIED: ("the user may not do that", ""),
    Reason.UNAUTHENTICATED: ("nobody is logged in, or the proof does not hold", ""),
    Reason.NAME_EXISTS: ("a user, role or token of that name exists", "Choose another name."),
    Reason.MEMBER_EXISTS: ("a member of that name or address exists", ""),
    Reason.MEMBER_NOT_FOUND: ("there is no such member", ""),
    Reason.MEMBER_LAGS: ("the learner has not caught up", ""),
    Reason.CHANGE_UNDER_WAY: ("another change of members is not finished", ""),
    Reason.QUORUM_LOSS: ("the change would leave too few healthy voters", ""),
    Reason.PROTOCOL: ("the other end does not speak the protocol", "Check that address and port are those of a node."),
    Reason.VERSION: ("the other end, or the file, is of another release", ""),
    Reason.WRONG_CLUSTER: ("the other end belongs to another cluster", ""),
    Reason.WRONG_NODE: ("the other end, or the folder, is another node", "Check `peers`, `name` and `data_dir`."),
    Reason.MEMBER_REMOVED: ("this node was removed from the cluster", "Join again with an empty data folder."),
    Reason.DATA_REPLACED: ("the data folder is not the one that this member had", "Remove the member, then join anew."),
    Reason.UNTRUSTED: ("a certificate does not hold, or a port speaks TLS and the caller does not", "See security.md."),
    Reason.DATA_IN_USE: ("another process uses the data folder", "Stop it, or give this node a folder of its own."),
    Reason.DATA_CORRUPT: (
        "durable data are damaged; the message names file and offset",
        "Replace the node: operations.md.",
    ),
    Reason.DISK_FAILED: (
        "the disk reported an error",
        "Check the disk, then start the node again: it recovers its log.",
    ),
    Reason.ADDRESS_IN_USE: ("another program listens there", "Stop it, or choose another port."),
    Reason.LEASE_LOST: ("a lease ended while it was in use", "Stop the work that it protected, and begin anew."),
    Reason.LOCK_LOST: (
        "a lock was lost while it was held",
        "Stop the work that it protected; fencing tokens keep it safe.",
    ),
    Reason.GAP: ("operations or deltas in between are missing", "Ask for them; nothing was applied."),
    Reason.READ_ONLY_COPY: ("a copy of a replica has no identity of its own", "Give it one: `fork(...)`."),
    Reason.DUPLICATE_IDENTITY: ("two replicas use one identity", "Give one of them a new identity."),
    Reason.CLOCK_DRIFT: ("a remote time lies too far in the future", "Set that machine's clock; it is in quarantine."),
    Reason.NO_RIGHTS: ("a bounded counter has too few rights here", "Ask another replica to transfer some."),
}
"""What each reason means, and what to do where no hint of the client says it."""


def _settings() -> list[str]:
    defaults = NodeConfig()
    rows = []
    for name in NodeConfig.__struct_fields__:
        value = getattr(defaults, name)
        rows.append(f"| `{name}` | {f'`{value}`' if value not in ('', {}) else '-'} | {SETTINGS[name]} |")
    return rows


def _errors() -> list[str]:
    return [f"| `{each.value}` | {REASONS[each][0]} | {REASONS[each][1] or hint_for(each)} |" for each in Reason]


def _metrics() -> list[str]:
    status = StatusReply(**_blank())
    rows = []
    for family in NodeCollector(Stats(status=status)).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return rows


def _blank() -> dict[str, typing.Any]:
    """Some value for each field of a status."""
    kinds = {int: 0, str: "", float: 0.0, bool: False}
    hints = typing.get_type_hints(StatusReply)
    return {name: kinds.get(hints[name], []) for name in StatusReply.__struct_fields__}


def filled() -> str:
    """The page as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    events = [f"| `{name}` | {words} |" for name, words in EVENTS.items()]
    parts = {"settings": _settings(), "errors": _errors(), "metrics": _metrics(), "events": events}
    for name, rows in parts.items():
        table = "\n".join(rows)
        # The rows go on a table whose head stands before the mark, so the mark itself must not break it.
        found = re.search(rf"(\|[-|]+\|\n)(?:\|.*\n)*<!-- {name} -->\n<!-- end -->", text)
        if found is None:
            raise ValueError(f"{PAGE} has no place for {name}")
        text = text[: found.end(1)] + f"{table}\n<!-- {name} -->\n<!-- end -->" + text[found.end() :]
    return text
