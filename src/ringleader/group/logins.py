"""Who a client connection speaks for: from its hello to its welcome, by password, token or certificate.

Rules that have not reached this node yet must not shut anyone out: before a login is judged, the node catches up with all
that is committed. Where no leader can be asked, a login that holds by the rules known here is let in (it can read stale
data only), and one that does not is told to try again.
"""

from __future__ import annotations

from collections.abc import Callable

from ringleader.errors import Reason
from ringleader.group.member import Member
from ringleader.ports import Entropy
from ringleader.store.auth import ANYONE, NODE, ROOT, Caller
from ringleader.store.auth_ops import Verifier
from ringleader.wire.frames import Refused
from ringleader.wire.login import (
    NONCE_BYTES,
    Challenge,
    LoginStart,
    Proof,
    decoy,
    node_proof,
    proof_holds,
    transcript,
)

__all__ = ["Login", "Outcome"]

HINT = "Give a user name and password, a token, or a client certificate"
MAX_NAME = 64

Outcome = Callable[["Login", "Refused | Challenge | None"], None]
"""Told a challenge to send on, a refusal to end with, or `None`: `caller` is known now."""


class Login:
    """One attempt, the only one of its connection. `caller` and `proof` are set when it is let in.

    `identity`: the name in the certificate that the connection came with, "" none. `own`: it comes from the node's own
    process, which needs no login.
    """

    __slots__ = ("_challenge", "_member", "_shown", "_start", "_sure", "_tell", "_verifier", "caller", "done", "proof")

    def __init__(
        self, member: Member, entropy: Entropy, start: LoginStart | None, identity: str, own: bool, tell: Outcome
    ) -> None:
        self._member = member
        self._start = start
        self._tell = tell
        self._challenge: Challenge | None = None
        self._verifier: Verifier | None = None  # of the one who is to prove it; None: there is no such
        self._shown: Verifier | None = None  # what the challenge was made from
        self._sure = False
        self.caller: Caller = ANYONE
        self.proof = b""
        self.done = False
        if own:
            self.caller = NODE
            self._let_in()
        elif not member.store.auth.enabled:
            self._let_in()
        elif start is not None and (len(start.name) > MAX_NAME or len(start.nonce) != NONCE_BYTES):
            self._refuse(
                Reason.PROTOCOL, f"a login has a name of up to {MAX_NAME} letters and a nonce of {NONCE_BYTES}"
            )
        else:
            nonce = entropy.getrandbits(8 * NONCE_BYTES).to_bytes(NONCE_BYTES, "big")
            member.catch_up(lambda sure: self._judge(sure, identity, nonce))

    def _judge(self, sure: bool, identity: str, nonce: bytes) -> None:
        """The rules known here are as new as can be."""
        auth, start = self._member.store.auth, self._start
        self._sure = sure
        if not auth.enabled:
            self._let_in()
        elif start is None and not identity:
            self._deny("this cluster requires a login")
        elif start is None:
            self.caller = Caller(f"{identity}/certificate", auth.revision)
            self._admit(f"the certificate is for {identity[:MAX_NAME]!r}, which is no user")
        elif start.seen > auth.revision and not sure:
            self._refuse(Reason.UNREACHABLE, "this node has not caught up with the rules that the client knows of")
        elif start.kind not in ("password", "token"):
            self._refuse(Reason.PROTOCOL, f"a login of kind {start.kind[:32]!r} is not known")
        else:
            self._ask(start, nonce)

    def _ask(self, start: LoginStart, nonce: bytes) -> None:
        """Challenge whoever it is; who does not exist cannot be told from the challenge."""
        auth = self._member.store.auth
        if start.kind == "password":
            user = auth.users.get(start.name)
            self._verifier = user.verifier if user is not None else None
            principal = f"{start.name}/password"
        else:
            token = auth.tokens.get(start.name)
            self._verifier = token.verifier if token is not None else None
            principal = f"{token.user}/{token.id}" if token is not None else ""
        self.caller = Caller(principal, auth.revision)
        root = auth.users.get(ROOT)
        pepper = root.verifier.server_key if root is not None and root.verifier is not None else b"none"
        shown = self._verifier or decoy(pepper, start.kind, start.name)
        self._shown = shown
        self._challenge = Challenge(shown.kdf, shown.salt, shown.n, shown.r, shown.p, nonce)
        self._tell(self, self._challenge)

    def prove(self, frame: Proof) -> None:
        """The client's proof is here."""
        start, challenge, verifier, shown = self._start, self._challenge, self._verifier, self._shown
        if self.done or start is None or challenge is None or shown is None:
            self._refuse(Reason.PROTOCOL, "a proof that nobody asked for")
            return
        text = transcript(start, challenge)
        holds = proof_holds(frame.proof, shown, text)  # also for who does not exist: it takes as long
        if verifier is None or not holds:
            if start.kind == "password":
                self._deny(f"there is no user {start.name!r} with this password")
            else:
                self._deny("the token is not valid: unknown, revoked or expired")
            return
        self.proof = node_proof(verifier, text)
        self._admit("")

    # ---------------------------------------------------------------------------------------------------- outcomes

    def _admit(self, why_not: str) -> None:
        store = self._member.store
        out = store.auth.admit(self.caller, store.time_ms)
        if out is not None:
            self._deny(why_not or out.message)
        else:
            self._let_in()

    def _let_in(self) -> None:
        self.done = True
        self._tell(self, None)

    def _deny(self, why: str) -> None:
        if self._sure:
            self._refuse(Reason.UNAUTHENTICATED, why, HINT)
        else:
            self._refuse(Reason.NO_LEADER, f"{why}; but no leader can be asked for the present rules")

    def _refuse(self, reason: Reason, why: str, hint: str = "") -> None:
        self.done = True
        self._tell(self, Refused(0, reason, why, hint=hint))
