"""Who there is and what they may do: users, roles and tokens, and whether a login still holds.

Part of the replicated state, so every member decides alike. `revision` goes up with each change of the rules; a login
remembers the revision at which it was made and ends when what it rests on has changed since.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ringleader.errors import Reason
from ringleader.store.auth_ops import Permission, Verifier
from ringleader.store.commands import Failure
from ringleader.store.index import interval

__all__ = ["ANYONE", "NODE", "ROOT", "Auth", "Caller", "Intervals", "Rights", "Role", "Token", "User"]

ROOT = "root"
"""The user that must exist before auth is switched on, and the role that may do everything."""


class Caller(NamedTuple):
    """On whose behalf: `principal` is "user/how" (how: "password", "certificate" or a token's id), "" nobody.

    `revision`: of the rules when the login was made.
    """

    principal: str = ""
    revision: int = 0

    @property
    def user(self) -> str:
        """The user's name, "" for nobody."""
        return self.principal.partition("/")[0]


ANYONE = Caller()
NODE = Caller("@node")
"""The node itself; no user can have that name."""


class User(msgspec.Struct, array_like=True):
    """`since` and `password_since`: the auth revision at which the user came to be, and got the present password."""

    name: str
    verifier: Verifier | None
    roles: set[str]
    since: int
    password_since: int


class Role(msgspec.Struct, array_like=True):
    """A named set of rights."""

    name: str
    permissions: set[Permission]


class Token(msgspec.Struct, array_like=True):
    """`deadline_ms`: log time at which it ends, 0: never. `since`: auth revision."""

    id: str
    user: str
    label: str
    verifier: Verifier
    deadline_ms: int
    since: int


class Intervals:
    """A union of half-open intervals of keys; asks whether one lies wholly within."""

    __slots__ = ("_highs", "_lows")

    def __init__(self, parts: Iterable[tuple[bytes, bytes | None]]) -> None:
        self._lows: list[bytes] = []
        self._highs: list[bytes | None] = []
        for low, high in sorted(parts, key=lambda part: part[0]):
            if high is not None and high <= low:
                continue
            if self._lows and (self._highs[-1] is None or low <= self._highs[-1]):
                last = self._highs[-1]
                self._highs[-1] = None if last is None or high is None else max(last, high)
            else:
                self._lows.append(low)
                self._highs.append(high)

    def __bool__(self) -> bool:
        return bool(self._lows)

    def cover(self, low: bytes, high: bytes | None) -> bool:
        """Whether every key of [low, high) is in the union (`high` None: no upper end)."""
        place = bisect_right(self._lows, low) - 1
        if place < 0:
            return False
        end = self._highs[place]
        return end is None or (high is not None and high <= end and low < end)


class Rights:
    """All that the roles of one user allow together."""

    __slots__ = ("capabilities", "read", "root", "write")

    def __init__(self, permissions: Iterable[Permission], root: bool) -> None:
        given = list(permissions)
        self.root = root
        self.read = Intervals(interval(p.key, p.range_end) for p in given if p.kind in ("read", "readwrite"))
        self.write = Intervals(interval(p.key, p.range_end) for p in given if p.kind in ("write", "readwrite"))
        self.capabilities = {p.kind for p in given if not p.key}


class _Image(msgspec.Struct, array_like=True):
    """The whole in a snapshot; the same bytes on every member."""

    enabled: bool
    revision: int
    users: list[tuple[str, Verifier | None, list[str], int, int]]
    roles: list[tuple[str, list[Permission]]]
    tokens: list[Token]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Image).decode


class Auth:
    """The rules. Changed by `auth_commands` alone, which calls `changed` once for each command that did something."""

    __slots__ = ("_rights", "enabled", "next_expiry_ms", "revision", "roles", "tokens", "users")

    def __init__(self) -> None:
        self.enabled = False
        self.revision = 0
        self.users: dict[str, User] = {}
        self.roles: dict[str, Role] = {}
        self.tokens: dict[str, Token] = {}
        self.next_expiry_ms = 0  # 0: no token ever expires
        self._rights: dict[str, Rights] = {}

    def changed(self) -> None:
        """The rules are others now."""
        self.revision += 1
        self._rights.clear()
        self.next_expiry_ms = min((t.deadline_ms for t in self.tokens.values() if t.deadline_ms), default=0)

    def rights(self, user: str) -> Rights:
        """What a user may do; nothing, if there is none of that name."""
        rights = self._rights.get(user)
        if rights is None:
            found = self.users.get(user)
            roles = found.roles if found is not None else set()
            permissions = [p for name in roles if name != ROOT for p in self.roles[name].permissions]
            rights = self._rights[user] = Rights(permissions, ROOT in roles)
        return rights

    def admit(self, caller: Caller, time_ms: int) -> Failure | None:
        """Why this login does not hold (any more) at log time `time_ms`; `None` when it does, or none is needed."""
        if not self.enabled or caller == NODE:
            return None
        name, _, how = caller.principal.partition("/")
        if not name:
            return _out("this cluster requires a login")
        user = self.users.get(name)
        if user is None or user.since > caller.revision:
            return _out(f"there is no user {name!r} any more")
        if how == "certificate":
            return None
        if how == "password":
            if user.password_since > caller.revision:
                return _out(f"the password of {name!r} was changed")
            return None
        token = self.tokens.get(how)
        if token is None or token.user != name:
            return _out("the token was revoked or has expired")
        if token.deadline_ms and token.deadline_ms <= time_ms:
            return _out("the token has expired")
        return None

    def due_tokens(self, time_ms: int) -> list[str]:
        """The tokens that the leader may propose to expire at log time `time_ms`."""
        if not self.next_expiry_ms or self.next_expiry_ms > time_ms:
            return []
        return sorted(t.id for t in self.tokens.values() if t.deadline_ms and t.deadline_ms <= time_ms)

    # -------------------------------------------------------------------------------------------------- snapshots

    def image(self) -> bytes:
        """Everything, for a snapshot."""
        users = [
            (u.name, u.verifier, sorted(u.roles), u.since, u.password_since)
            for u in sorted(self.users.values(), key=lambda u: u.name)
        ]
        roles = [(r.name, sorted(r.permissions)) for r in sorted(self.roles.values(), key=lambda r: r.name)]
        tokens = sorted(self.tokens.values(), key=lambda t: t.id)
        return _encode(_Image(self.enabled, self.revision, users, roles, tokens))

    @classmethod
    def from_image(cls, data: bytes | memoryview) -> Auth:
        """The inverse of `image`. Raises `msgspec.MsgspecError`."""
        image = _decode(data)
        auth = cls()
        auth.users = {row[0]: User(row[0], row[1], set(row[2]), row[3], row[4]) for row in image.users}
        auth.roles = {name: Role(name, set(permissions)) for name, permissions in image.roles}
        auth.tokens = {token.id: token for token in image.tokens}
        auth.changed()
        auth.enabled, auth.revision = image.enabled, image.revision
        return auth


def _out(why: str) -> Failure:
    return Failure(Reason.UNAUTHENTICATED, why)
