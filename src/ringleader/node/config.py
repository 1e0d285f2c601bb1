"""How a node is set up: one frozen struct, read from flags, environment and a TOML file, in that order of strength.

The environment variable of a field is `RINGLEADER_` and the field's name in capitals; the TOML key is the field's name.
An error names the field and where its value came from.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ringleader.consensus.protocols import PROTOCOLS, Choice, check_choice
from ringleader.errors import Reason, UsageError
from ringleader.node.security import check_secured

__all__ = ["NodeConfig", "format_address", "load_config", "parse_address", "parse_peers"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
ENVIRONMENT_PREFIX = "RINGLEADER_"


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node. Addresses are "host:port" ("[::1]:4400" for IPv6), port 0 any free one, "" none.

    `peers`: every member's name and the address at which the others reach its `listen_peer`, this node included; empty
    for a cluster of one that nobody is to join, which needs no peer port. They are the members that the cluster *starts*
    with, and are never changed; later ones come by `join`: peer addresses of some members, "host:port,host:port", asked
    once when the data folder is empty. `advertise_peer`: at which address the others reach `listen_peer` ("": the one in
    `peers`, else where it listens); `load_config` takes the same for a `listen_peer` that is not given. `advertise_client`,
    `advertise_http`: what others are told ("": where it listens). `cluster_token`: the secret that members prove to each
    other; members with another token are another
    cluster. `election_ms` is how long a follower waits for its leader (to twice that), `heartbeat_ms` how often a leader
    is heard. Sizes are in bytes; `reserve_bytes` are kept for when the disk is full. `keep_entries` stay in memory behind a
    snapshot for members that lag a little.
    `log_level`: of the program's log.

    `consensus`: "raft" or "paxos", chosen when a cluster starts and kept for good; "": what the data folder or the cluster
    says, Raft for a new one. `phase2_quorum`: with Paxos, how many members (N) have to accept a write; elections then
    need all but N - 1; 0: a majority.

    `cert`, `key`: files (PEM) with which the client and HTTP ports speak TLS; `ca`: the authority of the certificates by
    which users may log in, or must with `client_cert_required`. With `peer_cert`, `peer_key`, `peer_ca` (default: those
    three) nodes speak mutual TLS among themselves. `insecure`: serve others than this machine though nothing protects it.
    """

    def __repr__(self) -> str:
        return f"NodeConfig(name={self.name!r}, data_dir={self.data_dir!r})"  # the rest holds a secret

    name: str = "n1"
    data_dir: str = "ringleader-data"
    listen_client: str = "127.0.0.1:4400"
    listen_peer: str = "127.0.0.1:4401"
    http: str = "127.0.0.1:4402"
    peers: dict[str, str] = {}
    join: str = ""
    advertise_peer: str = ""
    advertise_client: str = ""
    advertise_http: str = ""
    cluster_token: str = ""
    heartbeat_ms: int = 100
    election_ms: int = 1000
    max_connections: int = 10_000
    segment_bytes: int = 16 * 1024 * 1024
    snapshot_bytes: int = 64 * 1024 * 1024
    snapshot_entries: int = 100_000
    reserve_bytes: int = 4 * 1024 * 1024
    keep_entries: int = 5_000
    log_level: str = "info"
    consensus: str = ""
    phase2_quorum: int = 0
    cert: str = ""
    key: str = ""
    ca: str = ""
    client_cert_required: bool = False
    peer_cert: str = ""
    peer_key: str = ""
    peer_ca: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @property
    def members(self) -> dict[str, int]:
        """Name to id of all members the cluster starts with: 1, 2 ... in the order of their names.

        Of a node that joins they say nothing: what it is stands in its identity.
        """
        return {name: place for place, name in enumerate(sorted(self.peers or {self.name: ""}), start=1)}

    @property
    def node_id(self) -> int:
        """The id of this node."""
        return self.members[self.name]

    @property
    def choice(self) -> Choice | None:
        """The consensus asked for; None: nothing in particular."""
        return Choice(self.consensus, self.phase2_quorum) if self.consensus else None

    @property
    def join_addresses(self) -> list[tuple[str, int]]:
        """Whom to ask for membership, in order."""
        return [parse_address(part.strip()) for part in self.join.split(",") if part.strip()]

    @property
    def cluster_id(self) -> str:
        """The same for all who share the token and the initial members, different for all others."""
        text = msgspec.msgpack.encode(("ringleader cluster 1", self.cluster_token, sorted(self.members)))
        return hashlib.sha256(text).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------------------- addresses


def parse_address(text: str) -> tuple[str, int]:
    """The host and port of "host:port" or "[v6]:port". Raises `ValueError` saying what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{text!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address needs brackets, as in [::1]:4400")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r}: the port must be a number from 0 to 65535")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """The inverse of `parse_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_peers(text: str) -> dict[str, str]:
    """Members from "n1=host:port,n2=host:port". Raises `ValueError`."""
    peers: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        name, equals, address = part.strip().partition("=")
        if not equals:
            raise ValueError(f"{part.strip()!r} is not name=host:port")
        if name in peers:
            raise ValueError(f"{name!r} is named twice")
        peers[name] = address
    return peers


# -------------------------------------------------------------------------------------------------------------- checks


def _wrong(field: str, problem: str, hint: str = "") -> UsageError:
    return UsageError(f"{field}: {problem}", reason=Reason.INVALID_ARGUMENT, hint=hint)


def _check(config: NodeConfig) -> None:
    for name in (config.name, *config.peers):
        if not _NAME.match(name):
            field = "name" if name == config.name else "peers"
            raise _wrong(field, f"{name!r} is no name", "Use 1 to 63 letters, digits, dots, dashes and underscores")
    if not config.data_dir:
        raise _wrong("data_dir", "is empty")
    for field in ("listen_client", "listen_peer", "http", "advertise_client", "advertise_http", "advertise_peer"):
        _check_address(field, getattr(config, field))
    for name, address in config.peers.items():
        _check_address(f"peers ({name})", address or ":")
    _check_members(config)
    _check_join(config)
    _check_consensus(config)
    _check_advertised(config, "listen_client", "advertise_client")
    _check_advertised(config, "http", "advertise_http")
    _check_numbers(config)
    check_secured(config, is_loopback)


def _check_address(field: str, text: str) -> None:
    if text:
        try:
            parse_address(text)
        except ValueError as error:
            raise _wrong(field, str(error)) from None


def _check_members(config: NodeConfig) -> None:
    if not config.peers:
        return
    if config.name not in config.peers:
        raise _wrong("peers", f"this node, {config.name!r}, is not among {', '.join(sorted(config.peers))}")
    addresses = list(config.peers.values())
    if len(set(addresses)) < len(addresses):
        raise _wrong("peers", "two members have the same address")
    if not config.listen_peer:
        raise _wrong("listen_peer", "is empty, but peers says that others are to reach this node")
    if not is_loopback(parse_address(config.listen_peer)[0]) and not config.cluster_token:
        raise _wrong(
            "cluster_token",
            f"is empty, but listen_peer {config.listen_peer} can be reached from other machines",
            "Give all members the same secret",
        )


def _check_join(config: NodeConfig) -> None:
    if not config.join:
        return
    try:
        addresses = config.join_addresses
    except ValueError as error:
        raise _wrong("join", str(error)) from None
    if not addresses:
        raise _wrong("join", "names no member")
    if config.peers:
        hint = "Give peers to the nodes that a cluster starts with, join to those that come later"
        raise _wrong("join", "does not go together with peers", hint)
    if not config.listen_peer:
        raise _wrong("listen_peer", "is empty, but the members have to reach this node")
    if not is_loopback(parse_address(config.listen_peer)[0]) and not config.cluster_token:
        hint = "Give the secret that the members share"
        raise _wrong("cluster_token", "is empty, which only members on one machine can share", hint)
    _check_advertised(config, "listen_peer", "advertise_peer")


def _check_consensus(config: NodeConfig) -> None:
    if config.choice is None:
        if config.phase2_quorum:
            raise _wrong("phase2_quorum", "means something only with consensus = paxos", "Say that too")
        return
    if config.consensus not in PROTOCOLS:
        raise _wrong("consensus", f"{config.consensus!r} is none of {', '.join(PROTOCOLS)}")
    try:
        check_choice(config.choice, 0 if config.join else len(config.members))
    except ValueError as error:
        raise _wrong("phase2_quorum", str(error)) from None


def _check_advertised(config: NodeConfig, listen: str, advertise: str) -> None:
    address = getattr(config, listen)
    if address and not getattr(config, advertise) and parse_address(address)[0] in ("0.0.0.0", "::"):
        raise _wrong(advertise, f"is empty, but {listen} {address} is not an address that others can dial")


def _check_numbers(config: NodeConfig) -> None:
    bounds = {
        "heartbeat_ms": (1, 60_000),
        "election_ms": (10, 600_000),
        "max_connections": (1, 1_000_000),
        "segment_bytes": (4096, 1 << 30),
        "snapshot_bytes": (4096, 1 << 40),
        "snapshot_entries": (10, 1 << 40),
        "reserve_bytes": (0, 1 << 30),
        "keep_entries": (0, 1 << 40),
    }
    for field, (low, high) in bounds.items():
        if not low <= getattr(config, field) <= high:
            raise _wrong(field, f"{getattr(config, field)} is not between {low} and {high}")
    if config.election_ms < 3 * config.heartbeat_ms:
        raise _wrong(
            "election_ms",
            f"{config.election_ms} is less than three times heartbeat_ms ({config.heartbeat_ms}): "
            "one late heartbeat would cost the leader its place",
        )
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise _wrong("log_level", f"{config.log_level!r} is none of debug, info, warning, error")


# ------------------------------------------------------------------------------------------------------------ sources


def load_config(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
    *,
    listens: bool = True,
) -> NodeConfig:
    """Read a configuration. `flags`: values by field name, `None` for one not given. `environ`: default `os.environ`.

    `file`: a TOML file; default the one named by `RINGLEADER_CONFIG`, if any. `listens`: whether this is for a node that is
    to run now. Raises `UsageError` naming field and source.
    """
    environ = os.environ if environ is None else environ
    file = file or environ.get(ENVIRONMENT_PREFIX + "CONFIG") or None
    values: dict[str, Any] = {}
    if file is not None:
        values.update(_from_file(Path(file)))
    for field in NodeConfig.__struct_fields__:
        variable = ENVIRONMENT_PREFIX + field.upper()
        if variable in environ:
            values[field] = _convert(field, environ[variable], f"from {variable}")
    for field, value in (flags or {}).items():
        if value is not None:
            values[field] = _convert(field, value, "from the command line")
    if listens and "listen_peer" not in values:
        _listen_where_others_dial(values)
    try:
        return msgspec.convert(values, NodeConfig)
    except msgspec.ValidationError as error:
        raise UsageError(f"the configuration is wrong: {error}", reason=Reason.INVALID_ARGUMENT) from error


def _listen_where_others_dial(values: dict[str, Any]) -> None:
    """Without a `listen_peer` of its own a node listens at the address that the others are told, if there is one: were it
    deaf there, it would look to them as if it were down.

    Raises `UsageError` when it is to join members on other machines, which could not reach it.
    """
    joins, peers = values.get("join", ""), values.get("peers", {})
    told = values.get("advertise_peer") or ("" if joins else peers.get(values.get("name", _DEFAULTS.name), ""))
    if told:
        values["listen_peer"] = told
        return
    far = [part.strip() for part in joins.split(",") if _is_far(part.strip()) and not peers]
    if far:
        raise _wrong(
            "listen_peer",
            f"is not given, and members elsewhere ({far[0]}) could not reach this node at {_DEFAULTS.listen_peer}",
            "Say where it listens, as 0.0.0.0:4401, and with advertise_peer where the others reach that",
        )


def _is_far(address: str) -> bool:
    """Whether that is an address beyond this machine; what is no address at all is told later."""
    try:
        return not is_loopback(parse_address(address)[0])
    except ValueError:
        return False


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", reason=Reason.INVALID_ARGUMENT) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}", reason=Reason.INVALID_ARGUMENT) from None
    unknown = sorted(set(table) - set(NodeConfig.__struct_fields__))
    if unknown:
        raise UsageError(
            f"{path}: there is no field {unknown[0]!r}",
            reason=Reason.INVALID_ARGUMENT,
            hint=f"The fields are {', '.join(NodeConfig.__struct_fields__)}",
        )
    return {field: _convert(field, value, f"from {path}") for field, value in table.items()}


def _convert(field: str, value: Any, source: str) -> Any:
    """A value of the field's type; text is parsed."""
    default = getattr(_DEFAULTS, field, None)
    try:
        if field == "peers":
            if isinstance(value, str):
                return parse_peers(value)
            if isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()):
                return dict(value)
            raise ValueError("must be name=host:port,... or a table of addresses")
        if isinstance(default, bool):
            return _flag(value)
        if isinstance(default, int):
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise ValueError(f"{value!r} is not a whole number")
            return int(value)
        if not isinstance(value, str | Path):
            raise ValueError(f"{value!r} is not text")
        return str(value)
    except ValueError as error:
        text = str(error) if "invalid literal" not in str(error) else f"{value!r} is not a whole number"
        raise UsageError(f"{field}: {text} ({source})", reason=Reason.INVALID_ARGUMENT) from None


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in known:
        raise ValueError(f"{value!r} is neither true nor false")
    return known[str(value).lower()]


_DEFAULTS = NodeConfig()
