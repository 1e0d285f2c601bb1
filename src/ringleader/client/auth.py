"""Users, roles and tokens: `db.auth`. Passwords and tokens are turned into verifiers here; no node ever sees them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Literal

import msgspec

from ringleader.client.credentials import format_token
from ringleader.client.engine import Engine
from ringleader.client.ops import span
from ringleader.client.types import to_bytes, to_text
from ringleader.errors import Reason, UsageError
from ringleader.store import auth_ops as wire
from ringleader.store.commands import Command, Read, Result
from ringleader.wire.login import SALT_BYTES, make_verifier

__all__ = ["Auth", "AuthRole", "AuthStatus", "AuthToken", "AuthUser", "Permission", "Right"]

Right = Literal["read", "write", "readwrite", "lease", "cluster", "auth"]
"""What a role may allow: access to keys, or "lease" (leases without a key to write), "cluster", "auth"."""

_FOR_KEYS = ("read", "write", "readwrite")


class AuthStatus(msgspec.Struct, frozen=True):
    """Whether a login is needed, and who this client is ("": nobody in particular)."""

    enabled: bool
    user: str
    roles: list[str]
    revision: int


class AuthUser(msgspec.Struct, frozen=True):
    """A user; `password`: whether there is one."""

    name: str
    password: bool
    roles: list[str]


class Permission(msgspec.Struct, frozen=True):
    """One right of a role: on a key, on [key, range_end) (`range_end` b"\\0": to the end), or without a key."""

    right: str
    key: bytes
    range_end: bytes


class AuthRole(msgspec.Struct, frozen=True):
    """A role and what it allows."""

    name: str
    permissions: list[Permission]


class AuthToken(msgspec.Struct, frozen=True):
    """A token of a user; `remaining` seconds, `None` for ever. The token itself is known to its holder alone."""

    id: str
    user: str
    name: str
    remaining: float | None


class Auth:
    """Users, roles, tokens. Every call raises `RingleaderError`; most need the right "auth"."""

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout

    # ------------------------------------------------------------------------------------------------------ on, off

    async def enable(self, *, timeout: float | None = None) -> None:
        """From now on every call needs a login. There must be a user root with a password and the role root."""
        await self._do(wire.AuthEnable(), timeout)

    async def disable(self, *, timeout: float | None = None) -> None:
        """Everyone may do everything again; users, roles and tokens are kept."""
        await self._do(wire.AuthDisable(), timeout)

    async def status(self, *, timeout: float | None = None) -> AuthStatus:
        """Whether a login is needed, and who this client is."""
        result = await self._ask(wire.AuthStatus(), timeout)
        assert isinstance(result, wire.AuthStatusResult)
        return AuthStatus(result.enabled, result.user, result.roles, result.auth_revision)

    # -------------------------------------------------------------------------------------------------------- users

    async def add_user(
        self, name: str, password: str | None = None, *, roles: Sequence[str] = (), timeout: float | None = None
    ) -> None:
        """A new user; without a password one who logs in by token or certificate only."""
        await self._do(wire.UserAdd(name, await _verifier(password), list(roles)), timeout)

    async def delete_user(self, name: str, *, timeout: float | None = None) -> None:
        """The user, its logins and its tokens end."""
        await self._do(wire.UserDelete(name), timeout)

    async def set_password(self, name: str, password: str | None, *, timeout: float | None = None) -> None:
        """Another password (`None`: none); what was logged in with the old one is logged out. Users may set their own."""
        await self._do(wire.UserPassword(name, await _verifier(password)), timeout)

    async def grant_role(self, user: str, role: str, *, timeout: float | None = None) -> None:
        """The user has the role from now on; the role "root" allows everything."""
        await self._do(wire.UserGrant(user, role), timeout)

    async def revoke_role(self, user: str, role: str, *, timeout: float | None = None) -> None:
        """The user has the role no more; watches that rested on it end."""
        await self._do(wire.UserRevoke(user, role), timeout)

    async def users(self, *, timeout: float | None = None) -> list[AuthUser]:
        """All users, by name."""
        result = await self._ask(wire.UserList(), timeout)
        assert isinstance(result, wire.UserListResult)
        return [AuthUser(user.name, user.password, user.roles) for user in result.users]

    # -------------------------------------------------------------------------------------------------------- roles

    async def add_role(self, name: str, *, timeout: float | None = None) -> None:
        """A new role, which allows nothing yet."""
        await self._do(wire.RoleAdd(name), timeout)

    async def delete_role(self, name: str, *, timeout: float | None = None) -> None:
        """The role is gone, and taken from all who had it."""
        await self._do(wire.RoleDelete(name), timeout)

    async def grant(
        self,
        role: str,
        right: Right,
        key: str | bytes | None = None,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        timeout: float | None = None,
    ) -> None:
        """The role allows this from now on: `grant("app", "readwrite", "app/", prefix=True)`, `grant("ops", "cluster")`."""
        await self._do(wire.RoleGrant(role, _permission(right, key, range_end, prefix)), timeout)

    async def revoke(
        self,
        role: str,
        right: Right,
        key: str | bytes | None = None,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        timeout: float | None = None,
    ) -> None:
        """The role no longer allows exactly what was granted so; grants that overlap it stay."""
        await self._do(wire.RoleRevoke(role, _permission(right, key, range_end, prefix)), timeout)

    async def roles(self, *, timeout: float | None = None) -> list[AuthRole]:
        """All roles but root, by name."""
        result = await self._ask(wire.RoleList(), timeout)
        assert isinstance(result, wire.RoleListResult)
        return [
            AuthRole(role.name, [Permission(each.kind, each.key, each.range_end) for each in role.permissions])
            for role in result.roles
        ]

    # ------------------------------------------------------------------------------------------------------- tokens

    async def create_token(
        self, user: str, name: str, *, ttl: float | None = None, timeout: float | None = None
    ) -> str:
        """A token that logs in as `user`, for `ttl` seconds (`None`: until it is revoked). It is told this once only."""
        if ttl is not None and not 0 < ttl < 1e10:
            raise UsageError(f"ttl is a positive number of seconds, not {ttl!r}", reason=Reason.INVALID_ARGUMENT)
        id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        verifier = make_verifier(secret, "sha256", secrets.token_bytes(SALT_BYTES))
        ttl_ms = max(int(ttl * 1000), 1) if ttl is not None else 0
        await self._do(wire.TokenAdd(id, user, name, verifier, ttl_ms), timeout)
        return format_token(id, secret)

    async def revoke_token(self, id: str, *, timeout: float | None = None) -> None:
        """The token and what was logged in with it end. `id`: as `tokens` tells it."""
        await self._do(wire.TokenRevoke(id), timeout)

    async def tokens(self, user: str = "", *, timeout: float | None = None) -> list[AuthToken]:
        """The tokens of `user`, "" of everybody. Users may ask for their own."""
        result = await self._ask(wire.TokenList(to_text(user, "user's name")), timeout)
        assert isinstance(result, wire.TokenListResult)
        return [
            AuthToken(t.id, t.user, t.label, t.remaining_ms / 1000 if t.remaining_ms >= 0 else None)
            for t in result.tokens
        ]

    # ------------------------------------------------------------------------------------------------------- inside

    async def _do(self, command: Command, timeout: float | None) -> None:
        call = self._engine.submit((command,), self._timeout if timeout is None else timeout)
        await self._engine.wait(*call)

    async def _ask(self, read: Read, timeout: float | None) -> Result:
        call = self._engine.query((read,), self._timeout if timeout is None else timeout, "linearizable", 0)
        (result,) = await self._engine.wait(*call)
        return result


async def _verifier(password: str | None) -> wire.Verifier | None:
    if password is None:
        return None
    if not password:
        raise UsageError("the password is empty; None means no password", reason=Reason.INVALID_ARGUMENT)
    try:
        password.encode()
    except UnicodeEncodeError:  # the error would show of it
        raise UsageError("the password is not UTF-8", reason=Reason.INVALID_ARGUMENT) from None
    return await asyncio.to_thread(make_verifier, password, "scrypt", secrets.token_bytes(SALT_BYTES))


def _permission(right: str, key: str | bytes | None, range_end: str | bytes | None, prefix: bool) -> wire.Permission:
    if right in _FOR_KEYS:
        if key is None or (not prefix and not to_bytes(key, "key")):
            raise UsageError(f"the right {right!r} needs a key, or prefix=True", reason=Reason.INVALID_ARGUMENT)
        return wire.Permission(right, *span(key, range_end, prefix))
    if key is not None or range_end is not None or prefix:
        raise UsageError(f"the right {right!r} is not about keys", reason=Reason.INVALID_ARGUMENT)
    return wire.Permission(right)
