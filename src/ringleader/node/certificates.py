"""A certificate authority for development and small clusters: makes its own key, and certificates for nodes and users.

Keys are ECDSA on P-256, written so that only their owner can read them. Needs the extra `tls`.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["CA_CERT", "CA_KEY", "make_authority", "make_node", "make_user"]

CA_CERT, CA_KEY = "ca.pem", "ca-key.pem"
_SLACK = datetime.timedelta(minutes=5)  # for clocks that are a little behind


def make_authority(folder: Path, name: str, days: float, *, force: bool = False) -> Path:
    """A new authority in `folder`: `ca.pem` to give to everyone, `ca-key.pem` to keep. Raises `UsageError`."""
    _need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(subject, subject, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, _sha256())
    )
    return _write(folder, CA_CERT, CA_KEY, certificate, key, force)


def make_node(folder: Path, name: str, hosts: list[str], days: float, *, force: bool = False) -> Path:
    """A certificate for the member `name`, reachable as `hosts` (names and addresses); it may call and be called."""
    return _issue(folder, name, [name, *hosts], days, force=force, server=True)


def make_user(folder: Path, user: str, days: float, *, force: bool = False) -> Path:
    """A certificate with which `user` logs in."""
    return _issue(folder, user, [], days, force=force, server=False)


def _issue(folder: Path, name: str, hosts: list[str], days: float, *, force: bool, server: bool) -> Path:
    _need_cryptography()
    _check_file_name(name)
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority, signing = _load_authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])]
    builder = (
        _builder(_name(name), authority.subject, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general(host) for host in dict.fromkeys(hosts)])
        builder = builder.add_extension(names, critical=False)
    return _write(folder, f"{name}.pem", f"{name}-key.pem", builder.sign(signing, _sha256()), key, force)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    end = now + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - _SLACK)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    except ValueError as error:
        raise UsageError(f"{text!r} is no name for a certificate: {error}", reason=Reason.INVALID_ARGUMENT) from None


def _general(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        if host:
            return x509.DNSName(host)
    except ValueError:
        pass
    hint = "" if host.isascii() else "Give the form that it has in the DNS (xn--...)"
    raise UsageError(f"{host!r} is no host name", reason=Reason.INVALID_ARGUMENT, hint=hint)


def _load_authority(folder: Path) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_CERT).read_bytes())
        key = load_pem_private_key((folder / CA_KEY).read_bytes(), None)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no authority in {folder}: {Path(error.filename).name} is missing",
            reason=Reason.INVALID_ARGUMENT,
            hint="Make one with `ringleader cert ca`",
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot read the authority in {folder}: {error.strerror}", reason=Reason.INVALID_ARGUMENT
        ) from None
    except (ValueError, TypeError):
        raise UsageError(f"the authority in {folder} cannot be understood", reason=Reason.INVALID_ARGUMENT) from None
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    if not isinstance(key, EllipticCurvePrivateKey):
        message = f"the authority's key in {folder} is of a kind that `ringleader cert` does not make"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
    return certificate, key


def _write(
    folder: Path, cert: str, key_file: str, certificate: x509.Certificate, key: EllipticCurvePrivateKey, force: bool
) -> Path:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    paths = folder / cert, folder / key_file
    for path in paths:
        if path.exists() and not force:
            raise UsageError(
                f"{path} is there already", reason=Reason.NAME_EXISTS, hint="Choose another name, or say --force"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _put(paths[1], key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _put(paths[0], certificate.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", reason=Reason.INVALID_ARGUMENT) from None
    return paths[0]


def _put(path: Path, data: bytes, mode: int) -> None:
    """Written beside and renamed: a node that reads its files anew never sees half of one, nobody an open key."""
    beside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(number, "wb") as file:
        file.write(data)
    beside.replace(path)


def _check_file_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name) or name in ("ca", "ca-key"):
        raise UsageError(
            f"{name!r} is no name for a member or user",
            reason=Reason.INVALID_ARGUMENT,
            hint="Use 1 to 63 letters, digits, dots, dashes and underscores",
        )


def _sha256() -> SHA256:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


def _need_cryptography() -> None:
    if importlib.util.find_spec("cryptography") is None:
        raise UsageError(
            "certificates need the package cryptography",
            reason=Reason.UNSUPPORTED,
            hint='pip install "ringleader[tls]"',
        )
