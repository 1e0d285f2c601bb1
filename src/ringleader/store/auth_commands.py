"""Carrying out what changes or lists users, roles and tokens. Whether the caller may is `permit`'s business."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ringleader.errors import Reason
from ringleader.store.auth import ROOT, Auth, Caller, Role, Token, User
from ringleader.store.auth_ops import (
    AuthDisable,
    AuthEnable,
    AuthRead,
    AuthResult,
    AuthStatus,
    AuthStatusResult,
    ExpireTokens,
    Permission,
    RoleAdd,
    RoleDelete,
    RoleGrant,
    RoleInfo,
    RoleList,
    RoleListResult,
    RoleRevoke,
    TokenAdd,
    TokenInfo,
    TokenList,
    TokenListResult,
    TokenRevoke,
    UserAdd,
    UserDelete,
    UserGrant,
    UserInfo,
    UserList,
    UserListResult,
    UserPassword,
    UserRevoke,
    Verifier,
)
from ringleader.store.commands import Failure, Result
from ringleader.store.limits import Limits
from ringleader.store.refusal import Refusal, invalid

__all__ = ["AuthDesk"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_TOKEN_ID = re.compile(r"[0-9a-f]{16}\Z")
_KEY_KINDS = ("read", "write", "readwrite")
_CAPABILITIES = ("lease", "cluster", "auth")


class AuthDesk:
    """Applies auth commands to an `Auth`. `time_ms`: log time, told before each command."""

    def __init__(self, auth: Auth, limits: Limits) -> None:
        self.auth = auth
        self.limits = limits
        self.time_ms = 0
        self._commands: dict[type, Callable[[Any], None]] = {
            AuthEnable: self._enable,
            AuthDisable: self._disable,
            UserAdd: self._user_add,
            UserDelete: self._user_delete,
            UserPassword: self._user_password,
            UserGrant: self._user_grant,
            UserRevoke: self._user_revoke,
            RoleAdd: self._role_add,
            RoleDelete: self._role_delete,
            RoleGrant: self._role_grant,
            RoleRevoke: self._role_revoke,
            TokenAdd: self._token_add,
            TokenRevoke: self._token_revoke,
            ExpireTokens: self._expire_tokens,
        }

    def handles(self, op: object) -> bool:
        """Whether this is an auth command."""
        return type(op) in self._commands

    def apply(self, op: Any, time_ms: int, revision: int) -> AuthResult:
        """Carry a command out at log time `time_ms`; `revision`: the store's, for the answer. Raises `Refusal`."""
        self.time_ms = time_ms
        self._commands[type(op)](op)
        return AuthResult(revision, self.auth.revision)

    # ----------------------------------------------------------------------------------------------------- on, off

    def _enable(self, _: AuthEnable) -> None:
        auth = self.auth
        root = auth.users.get(ROOT)
        if root is None or ROOT not in root.roles or root.verifier is None:
            raise Refusal(invalid("before auth is enabled there must be a user root with a password and the role root"))
        if not auth.enabled:
            auth.enabled = True
            auth.changed()

    def _disable(self, _: AuthDisable) -> None:
        if self.auth.enabled:
            self.auth.enabled = False
            self.auth.changed()

    # ------------------------------------------------------------------------------------------------------- users

    def _user(self, name: str) -> User:
        user = self.auth.users.get(name)
        if user is None:
            raise Refusal(Failure(Reason.KEY_NOT_FOUND, f"there is no user {name[:64]!r}"))
        return user

    def _role(self, name: str) -> Role | None:
        """The role, or None for root. Raises `Refusal`."""
        if name == ROOT:
            return None
        role = self.auth.roles.get(name)
        if role is None:
            raise Refusal(Failure(Reason.KEY_NOT_FOUND, f"there is no role {name[:64]!r}"))
        return role

    def _user_add(self, op: UserAdd) -> None:
        auth = self.auth
        _check_name(op.name, "a user")
        if op.name in auth.users:
            raise Refusal(Failure(Reason.NAME_EXISTS, f"there is already a user {op.name!r}"))
        _room(len(auth.users), self.limits.users, "users")
        _room(len(op.roles), self.limits.roles, "roles")
        for role in op.roles:
            self._role(role)
        if op.verifier is not None:
            _check_verifier(op.verifier, "scrypt")
        auth.changed()
        auth.users[op.name] = User(op.name, op.verifier, set(op.roles), auth.revision, auth.revision)

    def _user_delete(self, op: UserDelete) -> None:
        auth = self.auth
        self._user(op.name)
        if op.name == ROOT and auth.enabled:
            raise Refusal(invalid("the user root cannot be deleted while auth is enabled"))
        del auth.users[op.name]
        auth.tokens = {token.id: token for token in auth.tokens.values() if token.user != op.name}
        auth.changed()

    def _user_password(self, op: UserPassword) -> None:
        user = self._user(op.name)
        if op.verifier is not None:
            _check_verifier(op.verifier, "scrypt")
        elif op.name == ROOT and self.auth.enabled:
            raise Refusal(invalid("the user root needs a password while auth is enabled"))
        self.auth.changed()
        user.verifier = op.verifier
        user.password_since = self.auth.revision

    def _user_grant(self, op: UserGrant) -> None:
        user = self._user(op.name)
        self._role(op.role)
        if op.role not in user.roles:
            user.roles.add(op.role)
            self.auth.changed()

    def _user_revoke(self, op: UserRevoke) -> None:
        user = self._user(op.name)
        if op.role not in user.roles:
            raise Refusal(Failure(Reason.KEY_NOT_FOUND, f"{op.name!r} does not have the role {op.role[:64]!r}"))
        if op.name == ROOT and op.role == ROOT and self.auth.enabled:
            raise Refusal(invalid("the user root cannot lose the role root while auth is enabled"))
        user.roles.discard(op.role)
        self.auth.changed()

    # ------------------------------------------------------------------------------------------------------- roles

    def _role_add(self, op: RoleAdd) -> None:
        auth = self.auth
        _check_name(op.name, "a role")
        if op.name == ROOT or op.name in auth.roles:
            raise Refusal(Failure(Reason.NAME_EXISTS, f"there is already a role {op.name!r}"))
        _room(len(auth.roles), self.limits.roles, "roles")
        auth.roles[op.name] = Role(op.name, set())
        auth.changed()

    def _role_delete(self, op: RoleDelete) -> None:
        if self._role(op.name) is None:
            raise Refusal(_root_is_fixed())
        del self.auth.roles[op.name]
        for user in self.auth.users.values():
            user.roles.discard(op.name)
        self.auth.changed()

    def _role_grant(self, op: RoleGrant) -> None:
        role = self._role(op.name)
        if role is None:
            raise Refusal(_root_is_fixed())
        self._check_permission(op.permission)
        _room(len(role.permissions), self.limits.role_permissions, "permissions in one role")
        if op.permission not in role.permissions:
            role.permissions.add(op.permission)
            self.auth.changed()

    def _role_revoke(self, op: RoleRevoke) -> None:
        role = self._role(op.name)
        if role is None:
            raise Refusal(_root_is_fixed())
        if op.permission not in role.permissions:
            raise Refusal(Failure(Reason.KEY_NOT_FOUND, f"the role {op.name!r} does not have exactly this permission"))
        role.permissions.discard(op.permission)
        self.auth.changed()

    def _check_permission(self, permission: Permission) -> None:
        if permission.kind in _CAPABILITIES:
            if permission.key or permission.range_end:
                raise Refusal(invalid(f"the permission {permission.kind!r} stands for no key"))
        elif permission.kind not in _KEY_KINDS:
            kinds = ", ".join((*_KEY_KINDS, *_CAPABILITIES))
            raise Refusal(invalid(f"a permission is one of {kinds}, not {permission.kind[:32]!r}"))
        elif not permission.key:
            raise Refusal(invalid("the key of the permission is empty"))
        elif max(len(permission.key), len(permission.range_end)) > self.limits.key_bytes:
            raise Refusal(Failure(Reason.TOO_LARGE, f"a key is longer than {self.limits.key_bytes} bytes"))

    # ------------------------------------------------------------------------------------------------------ tokens

    def _token_add(self, op: TokenAdd) -> None:
        auth = self.auth
        self._user(op.user)
        _check_name(op.label, "a token")
        _check_verifier(op.verifier, "sha256")
        if not _TOKEN_ID.match(op.id):
            raise Refusal(invalid("the id of a token has 16 hexadecimal digits"))
        if not 0 <= op.ttl_ms <= self.limits.lease_ttl_max_ms:
            raise Refusal(invalid(f"a token of {op.ttl_ms} ms: it has to be up to {self.limits.lease_ttl_max_ms}"))
        if op.id in auth.tokens or any(t.user == op.user and t.label == op.label for t in auth.tokens.values()):
            raise Refusal(Failure(Reason.NAME_EXISTS, f"{op.user!r} already has a token {op.label!r}"))
        _room(len(auth.tokens), self.limits.tokens, "tokens")
        deadline_ms = self.time_ms + op.ttl_ms if op.ttl_ms else 0
        auth.tokens[op.id] = Token(op.id, op.user, op.label, op.verifier, deadline_ms, auth.revision + 1)
        auth.changed()

    def _token_revoke(self, op: TokenRevoke) -> None:
        if self.auth.tokens.pop(op.id, None) is None:
            raise Refusal(Failure(Reason.KEY_NOT_FOUND, f"there is no token {op.id[:32]!r}"))
        self.auth.changed()

    def _expire_tokens(self, op: ExpireTokens) -> None:
        tokens = self.auth.tokens
        over = [
            id for id in op.ids if id in tokens and tokens[id].deadline_ms and tokens[id].deadline_ms <= self.time_ms
        ]
        for id in over:
            del tokens[id]
        if over:
            self.auth.changed()

    # ------------------------------------------------------------------------------------------------------- reads

    def read(self, op: AuthRead, caller: Caller, time_ms: int, revision: int) -> Result:
        """Answer `caller` at log time `time_ms`."""
        auth = self.auth
        match op:
            case AuthStatus():
                user = auth.users.get(caller.user)
                roles = sorted(user.roles) if user is not None else []
                return AuthStatusResult(revision, auth.enabled, auth.revision, caller.user, roles)
            case UserList():
                everyone = sorted(auth.users.values(), key=lambda u: u.name)
                users = [UserInfo(u.name, u.verifier is not None, sorted(u.roles)) for u in everyone]
                return UserListResult(revision, users)
            case RoleList():
                named = sorted(auth.roles.values(), key=lambda r: r.name)
                return RoleListResult(revision, [RoleInfo(r.name, sorted(r.permissions)) for r in named])
            case TokenList(user=name):
                own = [token for token in auth.tokens.values() if name in ("", token.user)]
                own.sort(key=lambda t: (t.user, t.label))
                return TokenListResult(revision, [self._token_info(token, time_ms) for token in own])

    def _token_info(self, token: Token, time_ms: int) -> TokenInfo:
        remaining = max(token.deadline_ms - time_ms, 0) if token.deadline_ms else -1
        return TokenInfo(token.id, token.user, token.label, remaining)


def _check_name(name: str, what: str) -> None:
    if not _NAME.match(name):
        rule = "1 to 64 letters, digits, dots, dashes and underscores, the first no sign"
        raise Refusal(invalid(f"{name[:64]!r} is no name for {what}: {rule}"))


def _check_verifier(verifier: Verifier, kdf: str) -> None:
    sizes = len(verifier.salt), len(verifier.stored_key), len(verifier.server_key)
    bounds = (verifier.n, verifier.r, verifier.p)
    if verifier.kdf != kdf or sizes != (16, 32, 32) or any(not 0 <= each <= 1 << 20 for each in bounds):
        raise Refusal(invalid(f"what is kept of the secret is not in the form of {kdf}"))


def _room(have: int, limit: int, what: str) -> None:
    if have >= limit:
        raise Refusal(Failure(Reason.OVERLOADED, f"there are {limit} {what}, which is the limit"))


def _root_is_fixed() -> Failure:
    return invalid("the role root may do everything and cannot be changed")
