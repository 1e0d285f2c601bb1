"""The language of users, roles and tokens: what may be asked about them, and the answers.

No password and no token ever appears here, only a `Verifier`: what is kept of a secret so that its holder can prove to
know it (RFC 5802, section 3, with scrypt in the place of PBKDF2).
"""

from __future__ import annotations

import msgspec

__all__ = [
    "AuthCommand",
    "AuthDisable",
    "AuthEnable",
    "AuthRead",
    "AuthResult",
    "AuthStatus",
    "AuthStatusResult",
    "ExpireTokens",
    "Permission",
    "RoleAdd",
    "RoleDelete",
    "RoleGrant",
    "RoleInfo",
    "RoleList",
    "RoleListResult",
    "RoleRevoke",
    "TokenAdd",
    "TokenInfo",
    "TokenList",
    "TokenListResult",
    "TokenRevoke",
    "UserAdd",
    "UserDelete",
    "UserGrant",
    "UserInfo",
    "UserList",
    "UserListResult",
    "UserPassword",
    "UserRevoke",
    "Verifier",
]


class Verifier(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of a password ("scrypt", with its cost `n`, `r`, `p`) or of a random token ("sha256").

    `stored_key` is SHA-256 of the client key, `server_key` signs for the node; neither lets anyone log in.
    """

    kdf: str
    salt: bytes
    n: int
    r: int
    p: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"Verifier({self.kdf})"


class Permission(msgspec.Struct, array_like=True, frozen=True, order=True):
    """A right. `kind`: "read" | "write" | "readwrite" on `key` or [key, range_end) (b"\\0": all from `key` on).

    Or, without a key, "lease" (leases though no key may be written), "cluster" (members, compaction, hashes), "auth".
    """

    kind: str
    key: bytes = b""
    range_end: bytes = b""


# ---------------------------------------------------------------------------------------------------- commands


class AuthEnable(msgspec.Struct, array_like=True, gc=False, tag=40):
    """From now on every call needs a login. There must be a user `root` with a password and the role `root`."""


class AuthDisable(msgspec.Struct, array_like=True, gc=False, tag=41):
    """Everyone may do everything again; users, roles and tokens are kept."""


class UserAdd(msgspec.Struct, array_like=True, tag=42):
    """A new user; without a `verifier` one who logs in by token or certificate only."""

    name: str
    verifier: Verifier | None = None
    roles: list[str] = []


class UserDelete(msgspec.Struct, array_like=True, tag=43):
    """The user, its logins and its tokens end."""

    name: str


class UserPassword(msgspec.Struct, array_like=True, tag=44):
    """Another password; what was logged in with the old one is logged out. `None`: no password any more."""

    name: str
    verifier: Verifier | None = None


class UserGrant(msgspec.Struct, array_like=True, tag=45):
    """The user has the role from now on."""

    name: str
    role: str


class UserRevoke(msgspec.Struct, array_like=True, tag=46):
    """The user has the role no more."""

    name: str
    role: str


class RoleAdd(msgspec.Struct, array_like=True, tag=47):
    """A new role without any right."""

    name: str


class RoleDelete(msgspec.Struct, array_like=True, tag=48):
    """The role is gone, and taken from all who had it."""

    name: str


class RoleGrant(msgspec.Struct, array_like=True, tag=49):
    """The role has this right from now on."""

    name: str
    permission: Permission


class RoleRevoke(msgspec.Struct, array_like=True, tag=50):
    """The role has exactly this right no more. (Rights that overlap it stay.)"""

    name: str
    permission: Permission


class TokenAdd(msgspec.Struct, array_like=True, tag=51):
    """A token with which `user` logs in. `id` is public, `label` for people. `ttl_ms` in log time; 0: for ever."""

    id: str
    user: str
    label: str
    verifier: Verifier
    ttl_ms: int = 0


class TokenRevoke(msgspec.Struct, array_like=True, tag=52):
    """The token and what was logged in with it end."""

    id: str


class ExpireTokens(msgspec.Struct, array_like=True, tag=53):
    """The leader's own command: those of `ids` whose time is over by this batch's log time are gone."""

    ids: list[str]


AuthCommand = (
    AuthEnable
    | AuthDisable
    | UserAdd
    | UserDelete
    | UserPassword
    | UserGrant
    | UserRevoke
    | RoleAdd
    | RoleDelete
    | RoleGrant
    | RoleRevoke
    | TokenAdd
    | TokenRevoke
    | ExpireTokens
)

# ------------------------------------------------------------------------------------------------------- reads


class AuthStatus(msgspec.Struct, array_like=True, gc=False, tag=60):
    """Is auth on, and who am I?"""


class UserList(msgspec.Struct, array_like=True, gc=False, tag=61):
    """All users."""


class RoleList(msgspec.Struct, array_like=True, gc=False, tag=62):
    """All roles with their rights."""


class TokenList(msgspec.Struct, array_like=True, gc=False, tag=63):
    """The tokens of `user`, "" of everybody."""

    user: str = ""


AuthRead = AuthStatus | UserList | RoleList | TokenList

# ----------------------------------------------------------------------------------------------------- results


class AuthResult(msgspec.Struct, array_like=True, gc=False, tag=40):
    """Done. `auth_revision` goes up with each change of the rules."""

    revision: int
    auth_revision: int


class AuthStatusResult(msgspec.Struct, array_like=True, tag=60):
    """`user`: who asks ("" nobody in particular), with what roles."""

    revision: int
    enabled: bool
    auth_revision: int
    user: str
    roles: list[str]


class UserInfo(msgspec.Struct, array_like=True):
    """A user. `password`: whether there is one."""

    name: str
    password: bool
    roles: list[str]


class UserListResult(msgspec.Struct, array_like=True, tag=61):
    """All users by name."""

    revision: int
    users: list[UserInfo]


class RoleInfo(msgspec.Struct, array_like=True):
    """A role."""

    name: str
    permissions: list[Permission]


class RoleListResult(msgspec.Struct, array_like=True, tag=62):
    """All roles by name; `root` is not among them: it may do everything."""

    revision: int
    roles: list[RoleInfo]


class TokenInfo(msgspec.Struct, array_like=True):
    """A token. `remaining_ms` in log time; -1: for ever."""

    id: str
    user: str
    label: str
    remaining_ms: int


class TokenListResult(msgspec.Struct, array_like=True, tag=63):
    """Tokens by user and label."""

    revision: int
    tokens: list[TokenInfo]
