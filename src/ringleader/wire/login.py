"""Logging in without saying the secret: both sides prove that they know it (RFC 5802's exchange, with scrypt).

    client                          node
    Hello(LoginStart)         ->    looks up what is kept of the secret (`Verifier`)
                              <-    Challenge(salt, cost, nonce)
    Proof(proof)              ->    checks it
                              <-    Welcome(proof)       and the client checks the node's

Passwords are stretched with scrypt, by the client; tokens are random and long, so one HMAC does. A node never sees either,
and computes a few HMACs for a login: a storm of logins costs it little. Both proofs cover both nonces, the name and the
cost, so that neither can be played back.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from ringleader.store.auth_ops import Verifier

__all__ = [
    "NONCE_BYTES",
    "SALT_BYTES",
    "SCRYPT",
    "Challenge",
    "LoginStart",
    "Proof",
    "client_proof",
    "decoy",
    "make_verifier",
    "node_proof",
    "node_proof_holds",
    "proof_holds",
    "stretch",
    "transcript",
    "weakness",
]

NONCE_BYTES = 16
SALT_BYTES = 16
SCRYPT = (1 << 14, 8, 5)
"""The cost of new passwords (n, r, p): 16 MiB and about 0.2 s; one of OWASP's equivalent minima."""
_MOST = (1 << 17, 16, 16)
"""What a client agrees to compute at most."""


class LoginStart(msgspec.Struct, array_like=True, frozen=True):
    """Who wants in. `kind`: "password" (`name`: a user) or "token" (`name`: the token's id).

    `seen`: the newest auth revision that the client knows of; a node whose rules are older does not let it in.
    """

    kind: str
    name: str
    nonce: bytes
    seen: int = 0


class Challenge(msgspec.Struct, array_like=True, frozen=True, tag=20):
    """Node to client: prove it."""

    kdf: str
    salt: bytes
    n: int
    r: int
    p: int
    nonce: bytes


class Proof(msgspec.Struct, array_like=True, frozen=True, tag=20):
    """Client to node: the proof."""

    proof: bytes


# ---------------------------------------------------------------------------------------------------------- secrets


def stretch(secret: str, kdf: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    """The salted secret, 32 bytes. For "scrypt" this takes long: not on an event loop."""
    if kdf == "scrypt":
        return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=1 << 29, dklen=32)
    return hmac.digest(salt, secret.encode(), "sha256")


def make_verifier(secret: str, kdf: str, salt: bytes, cost: tuple[int, int, int] = SCRYPT) -> Verifier:
    """What the cluster is given to keep. As slow as `stretch`."""
    n, r, p = cost if kdf == "scrypt" else (0, 0, 0)
    salted = stretch(secret, kdf, salt, n, r, p)
    stored = hashlib.sha256(_client_key(salted)).digest()
    return Verifier(kdf, salt, n, r, p, stored, _server_key(salted))


def weakness(kind: str, challenge: Challenge) -> str:
    """Why a client should not answer this challenge, or "": too cheap to be honest, or too dear."""
    cost = challenge.n, challenge.r, challenge.p
    if challenge.kdf != ("scrypt" if kind == "password" else "sha256") or len(challenge.salt) != SALT_BYTES:
        return "the node asks for a proof of another kind"
    if challenge.kdf == "scrypt" and (
        challenge.n < SCRYPT[0]
        or challenge.n & (challenge.n - 1)
        or challenge.r < 8
        or challenge.p < 1
        or any(map(int.__gt__, cost, _MOST))
    ):
        return f"the node asks for scrypt with a cost of {cost}, which is out of bounds"
    return ""


def decoy(key: bytes, kind: str, name: str) -> Verifier:
    """What to challenge someone with who does not exist: always the same for a name, and no proof holds."""
    noise = hmac.digest(key, msgspec.msgpack.encode(("decoy", kind, name)), "sha512")
    n, r, p = SCRYPT if kind == "password" else (0, 0, 0)
    kdf = "scrypt" if kind == "password" else "sha256"
    return Verifier(kdf, noise[:SALT_BYTES], n, r, p, noise[32:], noise[16:48])


# ----------------------------------------------------------------------------------------------------------- proofs


def transcript(start: LoginStart, challenge: Challenge) -> bytes:
    """What both proofs are about."""
    return msgspec.msgpack.encode(("ringleader login 1", start, challenge))


def client_proof(salted: bytes, text: bytes) -> bytes:
    """The client's proof about a transcript."""
    key = _client_key(salted)
    return _xor(key, hmac.digest(hashlib.sha256(key).digest(), text, "sha256"))


def proof_holds(proof: bytes, verifier: Verifier, text: bytes) -> bool:
    """Whether it does; the time it takes depends on nothing secret."""
    if len(proof) != 32:
        return False
    key = _xor(proof, hmac.digest(verifier.stored_key, text, "sha256"))
    return hmac.compare_digest(hashlib.sha256(key).digest(), verifier.stored_key)


def node_proof(verifier: Verifier, text: bytes) -> bytes:
    """The node's proof that it keeps the verifier."""
    return hmac.digest(verifier.server_key, text, "sha256")


def node_proof_holds(proof: bytes, salted: bytes, text: bytes) -> bool:
    """Whether the node's does."""
    return hmac.compare_digest(proof, hmac.digest(_server_key(salted), text, "sha256"))


def _client_key(salted: bytes) -> bytes:
    return hmac.digest(salted, b"ringleader client key", "sha256")


def _server_key(salted: bytes) -> bytes:
    return hmac.digest(salted, b"ringleader server key", "sha256")


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
