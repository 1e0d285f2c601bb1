"""Who a client says it is, and the client's side of a login: the secret stays here, and never shows in a repr.

Stretching a password takes a fraction of a second, so the core asks its world to have it done (`ClientOutput.stretch`);
the result is kept, so that every later connection logs in at once.
"""

from __future__ import annotations

from ringleader.errors import Reason, UsageError
from ringleader.ports import Entropy
from ringleader.wire.frames import Welcome
from ringleader.wire.login import (
    NONCE_BYTES,
    Challenge,
    LoginStart,
    Proof,
    client_proof,
    node_proof_holds,
    stretch,
    transcript,
    weakness,
)

__all__ = ["TOKEN_PREFIX", "Attempt", "Credentials", "Logins", "format_token"]

TOKEN_PREFIX = "rlt"
_KEPT = 4


def format_token(id: str, secret: str) -> str:
    """The token as its holder gets it: "rlt_<id>_<secret>"."""
    return f"{TOKEN_PREFIX}_{id}_{secret}"


class Credentials:
    """A user's name and password, or a token. Raises `UsageError` for what is neither."""

    __slots__ = ("_kept", "_secret", "kind", "name")

    def __init__(self, *, username: str = "", password: str = "", token: str = "") -> None:
        if token and (username or password):
            raise _wrong("give a token or a user name and password, not both")
        if token:
            prefix, _, rest = token.strip().partition("_")
            self.kind, (self.name, _, self._secret) = "token", rest.partition("_")
            if prefix != TOKEN_PREFIX or not self.name or not self._secret:
                raise _wrong(f"what was given as token is none: one looks like {TOKEN_PREFIX}_<id>_<secret>")
        else:
            if not username or not password:
                raise _wrong("a user name and a password belong together: one of them is missing")
            self.kind, self.name, self._secret = "password", username, password
        try:
            (self.name + self._secret).encode()
        except UnicodeEncodeError:  # from an environment that holds other bytes; the error would show the secret
            raise _wrong(f"the {self.kind} or the name that goes with it is not UTF-8") from None
        self._kept: dict[tuple[str, bytes, int, int, int], bytes] = {}

    def __repr__(self) -> str:
        return f"Credentials({self.kind} {self.name!r})"

    def __reduce__(self) -> str:
        raise TypeError("credentials are not pickled")

    def stretch(self, challenge: Challenge) -> bytes:
        """The salted secret for a challenge; slow the first time. May be called from any thread."""
        cost = (challenge.kdf, challenge.salt, challenge.n, challenge.r, challenge.p)
        if cost not in self._kept:
            salted = stretch(self._secret, *cost)
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[cost] = salted
        return self._kept[cost]

    def quick(self, challenge: Challenge) -> bool:
        """Whether `stretch` would take no time."""
        cost = (challenge.kdf, challenge.salt, challenge.n, challenge.r, challenge.p)
        return challenge.kdf != "scrypt" or cost in self._kept


class Attempt:
    """The login of one connection."""

    __slots__ = ("challenge", "salted", "start", "text")

    def __init__(self, start: LoginStart) -> None:
        self.start = start
        self.challenge: Challenge | None = None
        self.salted = self.text = b""


class Logins:
    """The logins of one client. `seen`: the newest revision of the rules that any node has told of."""

    def __init__(self, credentials: Credentials | None, entropy: Entropy) -> None:
        self.credentials = credentials
        self.seen = 0
        self._entropy = entropy

    def start(self) -> Attempt | None:
        """What to greet with."""
        if self.credentials is None:
            return None
        nonce = self._entropy.getrandbits(8 * NONCE_BYTES).to_bytes(NONCE_BYTES, "big")
        return Attempt(LoginStart(self.credentials.kind, self.credentials.name, nonce, self.seen))

    def challenged(self, attempt: Attempt | None, challenge: Challenge) -> str:
        """Why this challenge is not answered, or ""."""
        if attempt is None or attempt.challenge is not None:
            return "the node asks for a proof out of turn"
        attempt.challenge = challenge
        return weakness(attempt.start.kind, challenge)

    def proof(self, attempt: Attempt) -> Proof:
        """The answer to its challenge; slow unless the secret is stretched already."""
        assert self.credentials is not None
        assert attempt.challenge is not None
        attempt.salted = self.credentials.stretch(attempt.challenge)
        attempt.text = transcript(attempt.start, attempt.challenge)
        return Proof(client_proof(attempt.salted, attempt.text))

    def welcomed(self, attempt: Attempt | None, welcome: Welcome) -> str:
        """Why this welcome is not believed, or "". A node of a cluster without logins proves nothing."""
        self.seen = max(self.seen, welcome.auth_revision)
        if attempt is None or (attempt.challenge is None and not welcome.user):
            return ""
        if not attempt.text or not node_proof_holds(welcome.proof, attempt.salted, attempt.text):
            return "the node could not prove that it belongs to the cluster"
        return ""


def _wrong(message: str) -> UsageError:
    return UsageError(message, reason=Reason.INVALID_ARGUMENT)
