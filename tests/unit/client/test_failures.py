"""What an error calls the thing that failed: in a user's words, never by the name of one of our classes."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest

from ringleader.client.failures import describe
from ringleader.store.auth_ops import Permission, RoleGrant, TokenAdd, TokenRevoke, UserAdd, UserGrant, Verifier
from ringleader.store.commands import Command, Read


@pytest.mark.parametrize("kind", [*get_args(Command), *get_args(Read)], ids=lambda kind: kind.__name__)
def test_every_call_has_words(kind: type[Any]) -> None:
    if kind.__name__ in {"ExpireLeases", "ExpireTokens", "RaiseVersion", "MemberUpdate", "SessionOpen", "SessionClose"}:
        return  # no call of a client waits for these
    blanks: dict[object, Any] = {str: "x", int: 1, bytes: b"x", str | int: "x"}
    needed = [field for field in msgspec.structs.fields(kind) if field.required]
    call = kind(**{field.name: blanks.get(field.type, []) for field in needed})
    assert not re.search(r"[a-z][A-Z]", describe([call]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (UserAdd("ann"), "adding user 'ann'"),
        (UserGrant("ann", "dev"), "giving role 'dev' to user 'ann'"),
        (RoleGrant("dev", Permission("read", b"a")), "giving a right to role 'dev'"),
        (TokenAdd("id", "ann", "laptop", Verifier("sha256", b"", 0, 0, 0, b"", b"")), "making a token for user 'ann'"),
        (TokenRevoke("id"), "revoking token 'id'"),
    ],
)
def test_what_is_said_of_users_and_roles(call: Command, words: str) -> None:
    assert describe([call]) == words
