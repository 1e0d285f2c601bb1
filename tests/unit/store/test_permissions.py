"""The table of permissions: every call, at every nesting, for every kind of user. A call without a row fails the test.

Rows say who may; everyone else must be refused, by the apply of a command as by the service of a read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest

from ringleader.errors import Reason
from ringleader.store.auth import ANYONE, NODE, Caller, Intervals
from ringleader.store.auth_ops import (
    AuthDisable,
    AuthEnable,
    AuthStatus,
    ExpireTokens,
    Permission,
    RoleAdd,
    RoleDelete,
    RoleGrant,
    RoleList,
    RoleRevoke,
    TokenAdd,
    TokenList,
    TokenRevoke,
    UserAdd,
    UserDelete,
    UserGrant,
    UserList,
    UserPassword,
    UserRevoke,
    Verifier,
)
from ringleader.store.commands import (
    Batch,
    Command,
    Compact,
    Compare,
    Configure,
    Delete,
    Envelope,
    ExpireLeases,
    Failure,
    HashKv,
    LeaseGrant,
    LeaseInfo,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    Put,
    RaiseVersion,
    Range,
    Read,
    Result,
    SessionClose,
    SessionOpen,
    SessionResult,
    SettingsQuery,
    SnapshotRead,
    Txn,
    TxnResult,
)
from ringleader.store.member_ops import (
    MemberAdd,
    MemberList,
    MemberPromote,
    MemberRemove,
    MemberTransfer,
    MemberUpdate,
)
from ringleader.store.store import Store

FAST = Verifier("scrypt", b"s" * 16, 2, 8, 1, b"k" * 32, b"v" * 32)
TOKEN = Verifier("sha256", b"s" * 16, 0, 0, 0, b"k" * 32, b"v" * 32)
TOKEN_ID = "0123456789abcdef"
USERS: dict[str, list[Permission]] = {
    "nothing": [],
    "reader": [Permission("read", b"a/", b"a0")],
    "writer": [Permission("write", b"a/", b"a0")],
    "both": [Permission("readwrite", b"a/", b"a0")],
    "halves": [Permission("readwrite", b"a/", b"a/m"), Permission("readwrite", b"a/m", b"a0")],
    "one": [Permission("readwrite", b"a/1")],
    "other": [Permission("readwrite", b"b/", b"b0")],
    "lease": [Permission("lease")],
    "cluster": [Permission("cluster")],
    "auth": [Permission("auth")],
}
EVERYONE = {*USERS, "root"}
NOBODY: set[str] = set()
READ = {"reader", "both", "halves", "root"}
WRITE = {"writer", "both", "halves", "root"}
FULL = READ & WRITE
LEASING = {"writer", "both", "halves", "one", "other", "lease", "root"}
CLUSTER = {"cluster", "root"}
AUTH = {"auth", "root"}
ANY_KEY, FROM = b"\0", b"a/"
FREE, HELD = 71, 72  # leases from before auth was on: one without keys, one that holds a/1 and a/2
WRITERS = 73  # granted to the user writer, without keys yet


def store() -> Store:
    """Auth is on; lease HELD holds a/1 and a/2; each user has a role of the same name."""
    made = Store()
    setup: list[Command] = [
        Put(b"a/1", b"x"), Put(b"b/1", b"y"), LeaseGrant(60_000, FREE), LeaseGrant(60_000, HELD),
        Put(b"a/1", b"x", HELD), Put(b"a/2", b"x", HELD),
        UserAdd("root", FAST, ["root"]), UserAdd("victim", FAST), RoleAdd("spare"),
        RoleGrant("spare", Permission("read", b"z")), UserGrant("victim", "spare"),
        TokenAdd(TOKEN_ID, "victim", "laptop", TOKEN),
    ]  # fmt: skip
    for name, permissions in USERS.items():
        setup += [RoleAdd(name), *(RoleGrant(name, each) for each in permissions), UserAdd(name, FAST, [name])]
    results = run(made, NODE, *setup, AuthEnable())
    results += run(made, Caller("writer/password", made.auth.revision), LeaseGrant(60_000, WRITERS))
    for result in results:
        assert not isinstance(result, Failure), result
    return made


def run(made: Store, caller: Caller, *commands: Command, session: int = 0, first: int = 1) -> list[Result]:
    numbered = list(enumerate(commands, first))
    envelope = Envelope(1, session, 0, numbered, caller.principal, caller.revision)
    (results,) = made.apply(made.applied + 1, Batch(1, 1000, [envelope]))
    return results


Row = tuple[Any, set[str]]
VALUE = Compare(b"a/1", "value", "=", b"x")
ROWS: dict[type, list[Row]] = {
    Put: [
        (Put(b"a/1", b"v"), WRITE | {"one"}),
        (Put(b"a/9", b"v"), WRITE),
        (Put(b"a", b"v"), {"root"}),
        (Put(b"a0", b"v"), {"root"}),
        (Put(b"a/9", b"v", prev_kv=True), FULL),
        (Put(b"a/9", b"v", FREE), WRITE),
        (Put(b"a/9", b"v", HELD), WRITE),
        (Put(b"a/9", b"v", WRITERS), {"writer", "root"}),  # hung on it, it would keep its owner from his own lease
        (Put(b"b/9", b"v", HELD), {"root"}),  # may write the key, but not those that share its lease
    ],
    Delete: [
        (Delete(b"a/2"), WRITE),
        (Delete(b"a/2", prev_kv=True), FULL),
        (Delete(FROM, b"a0"), WRITE),
        (Delete(FROM, b"a1"), {"root"}),
        (Delete(FROM, ANY_KEY), {"root"}),
        (Delete(FROM, b"a0", prev_kv=True), FULL),
    ],
    Range: [
        (Range(b"a/1"), READ | {"one"}),
        (Range(FROM, b"a0"), READ),
        (Range(FROM, b"a/m\0"), READ),
        (Range(b"", b"a0"), {"root"}),
        (Range(FROM, ANY_KEY), {"root"}),
        (Range(FROM, b"a0", count_only=True), READ),
    ],
    Txn: [
        (Txn(), EVERYONE),
        (Txn([VALUE]), READ | {"one"}),
        (Txn([Compare(FROM, "version", ">", 0, b"a0")]), READ),
        (Txn([VALUE], [Put(b"a/2", b"v")], [Range(b"a/1")]), FULL),
        (Txn([], [Range(b"a/1")], [Range(b"b/1")]), {"root"}),  # the branch not taken counts too
        (Txn([], [Range(b"a/1")], [Delete(b"b/1")]), {"root"}),
    ],
    Compact: [(Compact(2), CLUSTER)],
    Configure: [(Configure(0), CLUSTER)],
    SettingsQuery: [(SettingsQuery(), CLUSTER)],
    SnapshotRead: [(SnapshotRead(), CLUSTER)],
    HashKv: [(HashKv(), CLUSTER)],
    LeaseGrant: [(LeaseGrant(5000), LEASING)],
    LeaseRevoke: [
        (LeaseRevoke(FREE), LEASING),
        (LeaseRevoke(HELD), WRITE),
        (LeaseRevoke(99), LEASING),
        (LeaseRevoke(WRITERS), {"writer", "root"}),
    ],
    LeaseKeepAlive: [
        (LeaseKeepAlive(FREE), LEASING),
        (LeaseKeepAlive(HELD), WRITE),
        (LeaseKeepAlive(WRITERS), {"writer", "root"}),
    ],
    LeaseInfo: [(LeaseInfo(HELD), LEASING), (LeaseInfo(HELD, True), LEASING & READ), (LeaseInfo(FREE, True), LEASING)],
    LeaseList: [(LeaseList(), LEASING)],
    ExpireLeases: [(ExpireLeases([FREE]), NOBODY)],
    RaiseVersion: [(RaiseVersion(2), NOBODY)],
    ExpireTokens: [(ExpireTokens([TOKEN_ID]), NOBODY)],
    SessionOpen: [(SessionOpen(), EVERYONE)],
    SessionClose: [(SessionClose(), EVERYONE)],
    AuthEnable: [(AuthEnable(), AUTH)],
    AuthDisable: [(AuthDisable(), AUTH)],
    UserAdd: [(UserAdd("new"), AUTH)],
    UserDelete: [(UserDelete("victim"), AUTH)],
    UserPassword: [(UserPassword("victim", FAST), AUTH), (UserPassword("reader", FAST), AUTH | {"reader"})],
    UserGrant: [(UserGrant("victim", "root"), AUTH)],
    UserRevoke: [(UserRevoke("victim", "spare"), AUTH)],
    RoleAdd: [(RoleAdd("new"), AUTH)],
    RoleDelete: [(RoleDelete("spare"), AUTH)],
    RoleGrant: [(RoleGrant("spare", Permission("cluster")), AUTH)],
    RoleRevoke: [(RoleRevoke("spare", Permission("read", b"z")), AUTH)],
    TokenAdd: [
        (TokenAdd("f" * 16, "victim", "t", TOKEN), AUTH),
        (TokenAdd("f" * 16, "writer", "t", TOKEN), AUTH | {"writer"}),
    ],
    TokenRevoke: [(TokenRevoke(TOKEN_ID), AUTH)],
    MemberAdd: [(MemberAdd("n4"), CLUSTER)],
    MemberPromote: [(MemberPromote("n1"), CLUSTER)],
    MemberRemove: [(MemberRemove("n2"), CLUSTER)],
    MemberUpdate: [(MemberUpdate(1, "h:1"), CLUSTER)],
    MemberTransfer: [(MemberTransfer("n1"), CLUSTER)],
    MemberList: [(MemberList(), CLUSTER)],
    AuthStatus: [(AuthStatus(), EVERYONE)],
    UserList: [(UserList(), AUTH)],
    RoleList: [(RoleList(), AUTH)],
    TokenList: [(TokenList(), AUTH), (TokenList("victim"), AUTH), (TokenList("reader"), AUTH | {"reader"})],
}
NESTS: dict[str, Callable[[Any], Txn]] = {
    "success": lambda op: Txn([], [op]),
    "failure": lambda op: Txn([], [], [op]),
    "behind others": lambda op: Txn([], [Txn(), op]),
    "two deep": lambda op: Txn([], [Txn([], [], [op])]),
    "three deep in the branch not taken": lambda op: Txn([], [], [Txn([], [Txn([], [op])])]),
}
READS: Any = get_args(Read)


def rows() -> Iterator[Any]:
    for kind, cases in ROWS.items():
        for number, (op, may) in enumerate(cases):
            yield pytest.param(op, may, id=f"{kind.__name__}-{number}")
            if kind in (Put, Delete, Range, Txn):
                for where, nest in NESTS.items():
                    yield pytest.param(nest(op), may, id=f"{kind.__name__}-{number}-{where}")


def refused(result: Result) -> bool:
    return isinstance(result, Failure) and result.reason is Reason.PERMISSION_DENIED


def ask(made: Store, caller: Caller, op: Any) -> list[Result]:
    """By every way that leads to the call: in the log without and within a session, and as a read."""
    results = []
    if isinstance(op, get_args(Command)):
        if type(op) is not SessionClose:
            results += run(made, caller, op)
        else:
            (opened,) = run(made, caller, SessionOpen())
            assert isinstance(opened, SessionResult)
            results += run(made, caller, op, session=opened.session)
    if isinstance(op, READS):
        results.append(made.read(op, caller))
    return results


def test_every_call_has_a_row() -> None:
    calls = {*get_args(Command), *get_args(Read)}
    assert {kind.__name__ for kind in calls} == {kind.__name__ for kind in ROWS}
    assert all(type(op) is kind for kind, cases in ROWS.items() for op, _ in cases)
    assert all(any(may != EVERYONE for _, may in cases) or kind in (SessionOpen, SessionClose, AuthStatus)
               for kind, cases in ROWS.items())  # fmt: skip


@pytest.mark.parametrize(("op", "may"), list(rows()))
def test_who_may_do_what(op: Any, may: set[str]) -> None:
    image = store().snapshot()
    for name in sorted(EVERYONE):
        made = Store()
        made.restore(image)
        before = made.snapshot() if isinstance(op, get_args(Command)) and type(op) is not SessionClose else b""
        results = ask(made, Caller(f"{name}/password", made.auth.revision), op)
        assert {refused(result) for result in results} == {name not in may}, (name, results)
        if name not in may and before and not isinstance(op, READS):
            made.applied -= 1
            assert made.snapshot() == before, "a refused command has changed something"


@pytest.mark.parametrize(("op", "may"), list(rows()))
def test_without_a_login_nothing_is_done(op: Any, may: set[str]) -> None:
    made = store()
    now = made.auth.revision
    for caller in (
        ANYONE,
        Caller("ghost/password", now),
        Caller("reader/password", 1),
        Caller(f"victim/{'0' * 16}", now),
    ):
        for result in [*(run(made, caller, op) if isinstance(op, get_args(Command)) else []),
                       *([made.read(op, caller)] if isinstance(op, READS) else [])]:  # fmt: skip
            assert isinstance(result, Failure)
            assert result.reason is Reason.UNAUTHENTICATED


def test_a_lease_with_keys_is_for_all_who_may_write_them_and_a_restored_one_still_has_its_owner() -> None:
    made = store()
    again = Store()
    again.restore(made.snapshot())
    for each in (made, again):
        writer, both, other = (Caller(f"{name}/password", each.auth.revision) for name in ("writer", "both", "other"))
        assert refused(run(each, both, LeaseKeepAlive(WRITERS))[0])
        assert not refused(run(each, writer, Put(b"a/5", b"", WRITERS))[0])
        assert not refused(run(each, both, LeaseKeepAlive(WRITERS))[0]), (
            "whoever may delete its keys may as well end it"
        )
        assert refused(run(each, other, LeaseKeepAlive(WRITERS))[0])
        assert not refused(run(each, both, Put(b"a/6", b"", WRITERS))[0])
        run(each, writer, Delete(b"a/5"), Delete(b"a/6"))
        assert refused(run(each, both, LeaseRevoke(WRITERS))[0])
        assert not refused(run(each, writer, LeaseRevoke(WRITERS))[0])


def test_with_auth_off_everyone_may_do_everything() -> None:
    for kind, cases in ROWS.items():
        for op, _ in cases:
            made = store()
            run(made, NODE, AuthDisable())
            assert not any(refused(result) for result in ask(made, ANYONE, op)), kind


def test_a_lease_is_looked_at_once_for_a_whole_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs many keys on a lease and names it in many puts must not keep every member busy for hours."""
    made = store()
    lease, keys = 4711, 200
    run(made, NODE, LeaseGrant(60_000, lease), *(Put(b"many/%d" % n, b"", lease) for n in range(keys)))
    run(made, NODE, RoleAdd("many"), RoleGrant("many", Permission("write", b"many/", b"many0")))
    run(made, NODE, UserAdd("many", None, ["many"]))
    looked = [0]
    real = Intervals.cover

    def cover(self: Intervals, low: bytes, high: bytes | None) -> bool:
        looked[0] += 1
        return real(self, low, high)

    monkeypatch.setattr(Intervals, "cover", cover)
    puts: list[Put | Delete | Range | Txn] = [Put(b"many/%d" % n, b"", lease) for n in range(100)]
    (result,) = run(made, Caller("many/certificate", made.auth.revision), Txn([], puts))
    assert isinstance(result, TxnResult), result
    assert looked[0] <= keys + 1 + len(puts)
