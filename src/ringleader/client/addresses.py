"""How users name nodes: several arguments or one comma list, host names, IPv4, IPv6 in brackets, environment, default."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from ringleader.errors import Reason, UsageError

__all__ = ["DEFAULT_ENDPOINTS", "DEFAULT_PORT", "ENVIRONMENT", "is_ip", "parse_endpoints", "split_address"]

DEFAULT_PORT = 4400
DEFAULT_ENDPOINTS = ("127.0.0.1:4400", "127.0.0.1:4410", "127.0.0.1:4420")
"""Where `ringleader dev` listens."""
ENVIRONMENT = "RINGLEADER_ENDPOINTS"


def parse_endpoints(given: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The endpoints as "host:port", from what the caller gave, else the environment, else the local cluster.

    Raises `UsageError` naming the endpoint that makes no sense.
    """
    for one in given:
        if not isinstance(one, str):
            raise _bad(one)
        if not one.strip():
            raise _empty()
    text = ",".join(given) or environment.get(ENVIRONMENT, "") or ",".join(DEFAULT_ENDPOINTS)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UsageError(f"no endpoint in {text!r}", reason=Reason.INVALID_ARGUMENT)
    endpoints = []
    for part in parts:
        host, port = split_address(part)
        endpoints.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return list(dict.fromkeys(endpoints))


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port of "host", "host:port", "[v6]", "[v6]:port" or a bare IPv6 address."""
    host, port = address, str(DEFAULT_PORT)
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise _bad(address)
        port = rest[1:] if rest else port
    elif address.count(":") == 1:
        host, port = address.split(":")
    if ":" in host and not _is_ipv6(host):
        raise _bad(address)
    if not host or any(character == "/" or character.isspace() for character in host):
        raise _bad(address)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise _bad(address)
    return host, int(port)


def is_ip(host: str) -> bool:
    """Whether `host` is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _bad(address: object) -> UsageError:
    message = f"{address!r} is not an endpoint"
    hint = f"Write host:port, for instance 127.0.0.1:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}."
    if isinstance(address, Iterable) and not isinstance(address, str | bytes):
        hint = "Several are several arguments: connect(*endpoints)."
    return UsageError(message, reason=Reason.INVALID_ARGUMENT, hint=hint)


def _empty() -> UsageError:
    hint = (
        f"Name a node (host:port), or give none: then it is {ENVIRONMENT}, else the local cluster of `ringleader dev`."
    )
    return UsageError("the endpoint given is empty", reason=Reason.INVALID_ARGUMENT, hint=hint)
