"""TLS as a node speaks it: contexts made from files, made anew when the files change, and who a certificate is for."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any

from ringleader.client.tls import load, stamps
from ringleader.client.tlslayer import TlsLayer
from ringleader.errors import UsageError
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.descriptors import MAX_HANDSHAKES

__all__ = ["TlsDoor", "TlsFiles", "common_name", "host_names", "not_for"]

logger = logging.getLogger("ringleader.tls")


class TlsFiles:
    """The certificate of a port, its key, and the authority that certificates of others must come from.

    `accept`: the context for those who call here; a certificate of theirs is asked for when there is an authority, and
    `required` or not. `dial`: the context for calling others, with our certificate shown, theirs required and its names left
    for the caller to check. Raises `UsageError` naming what cannot be used.
    """

    def __init__(self, cert: str, key: str, ca: str, *, required: bool, prefix: str = "") -> None:
        self._cert, self._key, self._ca = cert, key, ca
        self._required = required
        self._prefix = prefix
        self._trouble = ""
        self._stamp = self._look()
        self.accept, self.dial = self._make()

    def _make(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        accept = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        dial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        dial.check_hostname = False
        for context in (accept, dial):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_RENEGOTIATION
            self._load("cert", self._cert, lambda c=context: c.load_cert_chain(self._cert, self._key or None))  # type: ignore[misc]  # binds now
            if self._ca:
                self._load("ca", self._ca, lambda c=context: c.load_verify_locations(self._ca))  # type: ignore[misc]  # binds now
        if self._ca:
            accept.verify_mode = ssl.CERT_REQUIRED if self._required else ssl.CERT_OPTIONAL
        return accept, dial

    def _load(self, field: str, path: str, action: Callable[[], object]) -> None:
        load(self._prefix + field, path, action)

    def _look(self) -> list[tuple[float, int]]:
        return stamps((self._cert, self._key, self._ca))

    def refresh(self) -> None:
        """Use the files as they are now, if they have changed; those that cannot be used change nothing. Call this often."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self.accept, self.dial = self._make()
        except UsageError as error:  # perhaps only one of the files has been replaced so far
            if str(error) != self._trouble:
                self._trouble = str(error)
                logger.warning("the new certificates are not used: %s", error)
            return
        self._stamp, self._trouble = stamp, ""
        logger.info("certificates were read anew: %s", self._cert)


class TlsDoor:
    """Makes the protocols of a TLS port. `make`: for one connection; `plain`: a farewell to those who speak without.

    With `most` handshakes under way the oldest gives way to a new one: who shakes hands is done in a moment, who only holds
    the place keeps nobody out.
    """

    def __init__(
        self, files: TlsFiles, make: Callable[[], asyncio.Protocol], complaints: Complaints, plain: bytes = b"",
        most: int = MAX_HANDSHAKES,
    ) -> None:  # fmt: skip
        self.files = files
        self.most = most
        self.refused = 0
        self._make = make
        self._complaints = complaints
        self._plain = plain
        self.under_way: dict[TlsLayer, None] = {}  # oldest first

    def factory(self) -> asyncio.Protocol:
        """For `loop.create_server`."""
        if len(self.under_way) >= self.most:
            oldest = next(iter(self.under_way))
            oldest.give_up("too many TLS handshakes at once")

        def outcome(address: str, why: str) -> None:
            self.under_way.pop(layer, None)
            self._tell(address, why)

        layer = TlsLayer(self._make, self.files.accept, outcome=outcome, plain=self._plain)
        self.under_way[layer] = None
        return layer

    def abort_all(self) -> None:
        """Hang up on all whose handshake is not done."""
        for layer in list(self.under_way):
            layer.abort()

    def _tell(self, address: str, why: str) -> None:
        if why:
            self.refused += 1
            self._complaints.say(address, f"tls {why}", f"refused: {why}")


def common_name(certificate: dict[str, Any]) -> str:
    """The common name of a certificate's subject, "" without one."""
    for part in certificate.get("subject", ()):
        for field, value in part:
            if field == "commonName":
                return str(value)
    return ""


def not_for(transport: asyncio.BaseTransport | None, name: str) -> str:
    """Why the certificate at the other end is not that of the member `name`, or ""."""
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    names = [*host_names(certificate or {}), common_name(certificate or {})]
    if name and name in names:
        return ""
    shown = ", ".join(repr(each) for each in dict.fromkeys(names) if each) or "nobody"
    return f"the certificate is for {shown}, not for the member {name[:64]!r}"


def host_names(certificate: dict[str, Any]) -> list[str]:
    """The DNS names a certificate is for."""
    return [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
