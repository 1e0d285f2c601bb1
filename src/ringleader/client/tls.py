"""TLS as a client speaks it: whom to trust, and which certificate to show; from files that may be replaced meanwhile."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from ringleader.errors import Reason, UsageError

__all__ = ["SYSTEM", "ClientTls", "client_context", "explain", "stamps"]

SYSTEM = "system"
"""Given as the authority: those that the operating system trusts."""


class ClientTls:
    """The files of one client: each connection is made with what they hold at that moment, since certificates are short-lived.

    Files that cannot be used change nothing: perhaps only one of them has been replaced so far. Raises as `client_context`
    does when they cannot be used from the beginning.
    """

    def __init__(self, ca: str, cert: str = "", key: str = "") -> None:
        self._files = (ca, cert, key)
        self._stamps = self._look()
        self._context = client_context(ca, cert, key)

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        found = self._look()
        if found != self._stamps:
            with contextlib.suppress(UsageError):
                self._context = client_context(*self._files)
                self._stamps = found
        return self._context

    def _look(self) -> list[tuple[float, int]]:
        return stamps(path for path in self._files if path != SYSTEM)


def stamps(paths: Iterable[str]) -> list[tuple[float, int]]:
    """Something that is another when one of these files has been replaced or written anew; "" is no file."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            if path:
                state = Path(path).stat()
                found.append((state.st_mtime, state.st_ino))
    return found


def client_context(ca: str, cert: str = "", key: str = "") -> ssl.SSLContext:
    """Trust the certificates of the authority in the file `ca` (PEM), and show `cert` with its `key` ("": in `cert`).

    Raises `UsageError` naming the file that cannot be used.
    """
    if not ca:
        message = "a client certificate is given, but not the authority whose nodes to trust"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT, hint='Give ca="ca.pem", or ca="system"')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # certificate required, name checked
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca == SYSTEM:
        context.load_default_certs()
    else:
        load("ca", ca, lambda: context.load_verify_locations(ca))
    if cert:
        load("cert", cert, lambda: context.load_cert_chain(cert, key or None, password=_no_password))
    elif key:
        raise UsageError("key: is given without cert", reason=Reason.INVALID_ARGUMENT)
    return context


def load(field: str, path: str, action: Callable[[], object]) -> None:
    """Do what reads a file, and name field and file when that fails. Raises `UsageError`."""
    try:
        Path(path).read_bytes()
        action()
    except ssl.SSLError as error:
        why = "key and certificate do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "no such PEM"
        raise UsageError(f"{field}: {path} cannot be used: {why}", reason=Reason.INVALID_ARGUMENT) from None
    except OSError as error:
        raise UsageError(f"{field}: cannot read {path}: {error.strerror}", reason=Reason.INVALID_ARGUMENT) from None


def _no_password() -> str:
    raise UsageError("key: is encrypted; give one that is not", reason=Reason.INVALID_ARGUMENT)


_WORDS = {
    "CERTIFICATE_EXPIRED": "it says our certificate has expired",
    "UNKNOWN_CA": "it does not know the authority of our certificate",
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours",
    "BAD_CERTIFICATE": "it does not accept our certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "WRONG_VERSION_NUMBER": "the other end does not speak TLS",
    "RECORD_LAYER_FAILURE": "the other end does not speak TLS",
    "HTTP_REQUEST": "the other end speaks HTTP without TLS",
}


def explain(error: BaseException) -> str:
    """What went wrong with TLS, in words; "" when it was something else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if not isinstance(error, ssl.SSLError):
        return ""
    reason = error.reason or ""
    for part, words in _WORDS.items():
        if reason.endswith(part):
            return words
    return f"TLS: {reason.replace('_', ' ').lower() or error}"
