"""Users, roles and tokens, blocking."""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.client import Auth as AsyncAuth
from ringleader.client.auth import AuthRole, AuthStatus, AuthToken, AuthUser, Right
from ringleader.sync._mirror import Mirror
from ringleader.sync._runner import run

__all__ = ["Auth"]


class Auth(Mirror[AsyncAuth]):
    """Users, roles, tokens, blocking. See `ringleader.Auth`."""

    def enable(self, *, timeout: float | None = None) -> None:
        """From now on every call needs a login. There must be a user root with a password and the role root."""
        run(self._inner.enable(timeout=timeout))

    def disable(self, *, timeout: float | None = None) -> None:
        """Everyone may do everything again; users, roles and tokens are kept."""
        run(self._inner.disable(timeout=timeout))

    def status(self, *, timeout: float | None = None) -> AuthStatus:
        """Whether a login is needed, and who this client is."""
        return run(self._inner.status(timeout=timeout))

    def add_user(
        self, name: str, password: str | None = None, *, roles: Sequence[str] = (), timeout: float | None = None
    ) -> None:
        """A new user; without a password one who logs in by token or certificate only."""
        run(self._inner.add_user(name, password, roles=roles, timeout=timeout))

    def delete_user(self, name: str, *, timeout: float | None = None) -> None:
        """The user, its logins and its tokens end."""
        run(self._inner.delete_user(name, timeout=timeout))

    def set_password(self, name: str, password: str | None, *, timeout: float | None = None) -> None:
        """Another password (`None`: none); what was logged in with the old one is logged out. Users may set their own."""
        run(self._inner.set_password(name, password, timeout=timeout))

    def grant_role(self, user: str, role: str, *, timeout: float | None = None) -> None:
        """The user has the role from now on; the role "root" allows everything."""
        run(self._inner.grant_role(user, role, timeout=timeout))

    def revoke_role(self, user: str, role: str, *, timeout: float | None = None) -> None:
        """The user has the role no more; watches that rested on it end."""
        run(self._inner.revoke_role(user, role, timeout=timeout))

    def users(self, *, timeout: float | None = None) -> list[AuthUser]:
        """All users, by name."""
        return run(self._inner.users(timeout=timeout))

    def add_role(self, name: str, *, timeout: float | None = None) -> None:
        """A new role, which allows nothing yet."""
        run(self._inner.add_role(name, timeout=timeout))

    def delete_role(self, name: str, *, timeout: float | None = None) -> None:
        """The role is gone, and taken from all who had it."""
        run(self._inner.delete_role(name, timeout=timeout))

    def grant(
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
        run(self._inner.grant(role, right, key, range_end=range_end, prefix=prefix, timeout=timeout))

    def revoke(
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
        run(self._inner.revoke(role, right, key, range_end=range_end, prefix=prefix, timeout=timeout))

    def roles(self, *, timeout: float | None = None) -> list[AuthRole]:
        """All roles but root, by name."""
        return run(self._inner.roles(timeout=timeout))

    def create_token(self, user: str, name: str, *, ttl: float | None = None, timeout: float | None = None) -> str:
        """A token that logs in as `user`, for `ttl` seconds (`None`: until it is revoked). It is told this once only."""
        return run(self._inner.create_token(user, name, ttl=ttl, timeout=timeout))

    def revoke_token(self, id: str, *, timeout: float | None = None) -> None:
        """The token and what was logged in with it end. `id`: as `tokens` tells it."""
        run(self._inner.revoke_token(id, timeout=timeout))

    def tokens(self, user: str = "", *, timeout: float | None = None) -> list[AuthToken]:
        """The tokens of `user`, "" of everybody. Users may ask for their own."""
        return run(self._inner.tokens(user, timeout=timeout))
