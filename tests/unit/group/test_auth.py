"""Logins and rules across whole hosts: who gets in, on whose behalf things are done, and when that ends."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from ringleader.errors import Reason
from ringleader.store.auth_ops import (
    AuthDisable,
    AuthEnable,
    AuthStatus,
    AuthStatusResult,
    Permission,
    RoleAdd,
    RoleGrant,
    RoleRevoke,
    TokenAdd,
    TokenRevoke,
    UserAdd,
    UserDelete,
    UserPassword,
)
from ringleader.store.commands import Command, Failure, Put, PutResult, Range, RangeResult, Result
from ringleader.wire.frames import (
    MAGIC,
    PROTOCOL_VERSION,
    ClientFrame,
    Hello,
    Ping,
    Query,
    Refused,
    Results,
    StatusQuery,
    StatusReply,
    Submit,
    WatchCancel,
    WatchCreate,
    WatchEnd,
    WatchEvents,
)
from ringleader.wire.login import SCRYPT, Challenge, Proof, make_verifier, node_proof_holds, weakness
from unit.group.harness import OWN, World

CHEAP = (2, 8, 1)
ROOT = make_verifier("root-secret", "scrypt", b"r" * 16, CHEAP)
ANN = make_verifier("ann-secret", "scrypt", b"a" * 16, CHEAP)
TOKEN = make_verifier("token-secret", "sha256", b"t" * 16)
TOKEN_ID = "00000000000000aa"
APP = Permission("readwrite", b"app/", b"app0")


class Cluster(World):
    """Three hosts, auth on, root and ann; `do` acts as the node itself."""

    def __init__(self, size: int = 3) -> None:
        super().__init__(size)
        self.run(3, 0.1)
        self.do(
            UserAdd("root", ROOT, ["root"]), RoleAdd("app"), RoleGrant("app", APP), UserAdd("ann", ANN, ["app"]),
            TokenAdd(TOKEN_ID, "ann", "ci", TOKEN), AuthEnable(),
        )  # fmt: skip

    def do(self, *commands: Command) -> list[Result]:
        conn = self.connect(self.leader(), OWN)
        results = self.results(conn, *commands)
        assert not any(isinstance(result, Failure) for result in results), results
        self.run(0.3)  # the followers hear that it is committed
        return results

    def ann(self, node: int) -> int:
        login = self.login(node, "ann", "ann-secret")
        assert login.welcome is not None, login.refused
        self.inbox[login.conn].clear()
        return login.conn

    def ends(self, conn: int, watch: int) -> list[WatchEnd]:
        return [frame for frame in self.inbox[conn] if isinstance(frame, WatchEnd) and frame.watch == watch]

    def farewell(self, conn: int) -> Refused | None:
        return next((frame for frame in self.inbox[conn] if isinstance(frame, Refused) and not frame.frame), None)


@pytest.fixture
def world() -> Cluster:
    return Cluster()


def test_a_password_and_a_token_let_in_on_every_node_and_both_sides_prove_themselves(world: Cluster) -> None:
    for node in world.hosts:
        for name, secret, kind in (("ann", "ann-secret", "password"), (TOKEN_ID, "token-secret", "token")):
            login = world.login(node, name, secret, kind)
            assert login.welcome is not None
            assert login.welcome.user == "ann"
            assert node_proof_holds(login.welcome.proof, login.salted, login.text)
            assert not node_proof_holds(login.welcome.proof, b"x" * 32, login.text)
            answer = world.read(login.conn, AuthStatus())
            assert isinstance(answer, Results)
            assert answer.results == [AuthStatusResult(world.hosts[node].store.revision, True, 6, "ann", ["app"])]
            assert isinstance(world.submit(login.conn, Put(b"app/x", b"1")), Results)


@pytest.mark.parametrize(
    ("name", "secret", "kind", "says"),
    [
        ("ann", "wrong", "password", "no user 'ann' with this password"),
        ("bob", "ann-secret", "password", "no user 'bob' with this password"),
        ("ann", "token-secret", "token", "the token is not valid"),
        (TOKEN_ID, "guess", "token", "the token is not valid"),
        (TOKEN_ID, "token-secret", "password", "with this password"),
    ],
)
def test_a_wrong_secret_is_refused_with_the_reason(
    world: Cluster, name: str, secret: str, kind: str, says: str
) -> None:
    login = world.login(1, name, secret, kind)
    assert login.welcome is None
    assert login.refused is not None
    assert (login.refused.reason, login.refused.frame) == (Reason.UNAUTHENTICATED, 0)
    assert says in login.refused.message
    assert secret not in login.refused.message
    before = len(world.inbox[login.conn])  # and that was its only attempt
    world.tell(login.conn, Proof(b"x" * 32))
    world.submit(login.conn, Put(b"app/x", b"1"))
    assert len(world.inbox[login.conn]) == before


def test_who_does_not_exist_is_challenged_like_who_does(world: Cluster) -> None:
    one, two, other = (world.login(node, name, "x") for node, name in ((1, "bob"), (2, "bob"), (1, "bert")))
    ann = world.login(1, "ann", "x")
    assert one.challenge is not None
    assert two.challenge is not None
    assert other.challenge is not None
    assert ann.challenge is not None
    assert one.challenge.salt == two.challenge.salt != other.challenge.salt
    assert (one.challenge.kdf, len(one.challenge.salt)) == (ann.challenge.kdf, len(ann.challenge.salt))


FRAMES: list[ClientFrame] = [
    Hello(MAGIC, PROTOCOL_VERSION), Proof(b""), Ping(1), StatusQuery(1), WatchCreate(1, b"app/"), WatchCancel(1),
    Submit(1, 1000, 0, 0, msgspec.Raw(msgspec.msgpack.encode([(1, Put(b"a", b"1"))]))),
    Query(1, 1000, "stale", [Range(b"a")]),
]  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"n": (1 << 14) + 1}, {"n": 1 << 13}, {"n": 1 << 18}, {"r": 4}, {"p": 17}, {"p": 0}, {"kdf": "sha256"}]
)
def test_a_client_does_not_compute_whatever_a_node_asks_for(change: dict[str, Any]) -> None:
    good = Challenge("scrypt", bytes(16), *SCRYPT, bytes(16))
    assert weakness("password", good) == ""
    assert weakness("password", msgspec.structs.replace(good, **change))


def test_without_a_login_only_a_refusal_is_heard(world: Cluster) -> None:
    assert {type(frame) for frame in FRAMES} == set(get_args(ClientFrame)), "a frame without a row"
    for frame in FRAMES:
        for first in ([], [Hello(MAGIC, PROTOCOL_VERSION)]):
            conn = world.open(2)
            for each in (*first, frame):
                world.tell(conn, each)
            (refused,) = world.inbox[conn]
            assert isinstance(refused, Refused)
            assert refused.frame == 0


def test_frames_before_the_login_is_done_are_refused(world: Cluster) -> None:
    conn = world.open(1)
    host = world.hosts[1]
    host.client_frame(conn, Hello(MAGIC, PROTOCOL_VERSION))
    host.client_frame(conn, WatchCreate(1, b"app/"))
    world.settle()
    farewell = world.farewell(conn)
    assert farewell is not None
    assert farewell.reason is Reason.PROTOCOL
    assert not any(isinstance(frame, WatchEvents) for frame in world.inbox[conn])


def test_a_certificate_speaks_for_the_user_it_names(world: Cluster) -> None:
    conn = world.connect(2, "ann")
    assert isinstance(world.results(conn, Put(b"app/x", b"1"))[0], PutResult)
    stranger = world.open(2, "bob")
    world.tell(stranger, Hello(MAGIC, PROTOCOL_VERSION))
    refused = world.farewell(stranger)
    assert refused is not None
    assert "which is no user" in refused.message


def test_the_principal_is_that_of_the_login_also_when_another_node_proposes(world: Cluster) -> None:
    follower = world.follower()
    conn = world.ann(follower)
    allowed, denied = world.results(conn, Put(b"app/x", b"1"), Put(b"other", b"1"))
    assert isinstance(allowed, PutResult)
    assert isinstance(denied, Failure)
    assert denied.reason is Reason.PERMISSION_DENIED
    assert "'ann'" in denied.message
    answer = world.read(conn, Range(b"other"), consistency="stale")
    assert isinstance(answer, Results)
    assert isinstance(answer.results[0], Failure)


def test_a_session_belongs_to_its_user(world: Cluster) -> None:
    ann = world.ann(1)
    session = world.session(ann)
    assert isinstance(world.results(ann, Put(b"app/x", b"secret", prev_kv=True), session=session, seq=1)[0], PutResult)
    world.do(UserAdd("eve", make_verifier("eve-secret", "scrypt", b"e" * 16, CHEAP)))
    eve = world.login(1, "eve", "eve-secret")
    (result,) = world.results(eve.conn, Put(b"app/x", b"2"), session=session, seq=1, ack=50)
    assert isinstance(result, Failure)
    assert result.reason is Reason.SESSION_EXPIRED
    assert isinstance(world.results(ann, Put(b"app/x", b"2"), session=session, seq=2)[0], PutResult)


def test_a_right_withdrawn_between_propose_and_apply_is_gone(world: Cluster) -> None:
    """Both commands stand in one entry: the write was proposed under the old rules."""
    leader = world.leader()
    ann = world.ann(leader)
    node = world.connect(leader, OWN)
    host = world.hosts[leader]

    def send(conn: int, number: int, command: Command) -> None:
        host.client_frame(conn, Submit(number, 1000, 0, 0, msgspec.Raw(msgspec.msgpack.encode([(1, command)]))))

    send(ann, 901, Put(b"app/x", b"before"))
    send(node, 902, RoleRevoke("app", APP))
    send(ann, 903, Put(b"app/x", b"after"))
    world.settle()
    before, after = world.answer(ann, 901), world.answer(ann, 903)
    assert isinstance(before, Results)
    assert isinstance(before.results[0], PutResult)
    assert isinstance(after, Results)
    assert isinstance(after.results[0], Failure)
    got = host.store.read(Range(b"app/x"))
    assert isinstance(got, RangeResult)
    assert got.kvs[0].value == b"before"


def test_watches_need_a_right_and_end_with_it(world: Cluster) -> None:
    ann = world.ann(2)
    world.tell(ann, WatchCreate(1, b"app/", b"app0"))
    world.tell(ann, WatchCreate(2, b"other"))
    assert world.ends(ann, 1) == []
    assert world.ends(ann, 2)[0].reason is Reason.PERMISSION_DENIED
    world.do(Put(b"app/x", b"1"))
    world.do(RoleRevoke("app", APP), Put(b"app/x", b"2"))
    (end,) = world.ends(ann, 1)
    assert end.reason is Reason.PERMISSION_DENIED
    assert "withdrawn" in end.message
    events = [event for frame in world.inbox[ann] if isinstance(frame, WatchEvents) for event in frame.events]
    assert [event.kv.value for event in events] == [b"1"]
    assert world.farewell(ann) is None


def test_a_watch_cancelled_while_its_right_is_looked_up_stays_cancelled(world: Cluster) -> None:
    ann = world.ann(2)
    host = world.hosts[2]
    host.client_frame(ann, WatchCreate(1, b"other"))
    host.client_frame(ann, WatchCancel(1))
    world.do(RoleGrant("app", Permission("read", b"other")))
    assert [end.reason for end in world.ends(ann, 1)] == [Reason.CLOSED]
    assert len(host.store.watches) == 0


@pytest.mark.parametrize(
    ("end", "ends"),
    [
        (UserPassword("ann", ROOT), {"password"}),
        (TokenRevoke(TOKEN_ID), {"token"}),
        (UserDelete("ann"), {"password", "token", "certificate"}),
    ],
)
def test_a_login_ends_with_what_it_rests_on(world: Cluster, end: Command, ends: set[str]) -> None:
    conns = {
        "password": world.ann(2),
        "token": world.login(2, TOKEN_ID, "token-secret", "token").conn,
        "certificate": world.connect(2, "ann"),
    }
    world.do(end)
    for how, conn in conns.items():
        farewell = world.farewell(conn)
        assert (farewell is not None) == (how in ends), how
        if farewell is not None:
            assert farewell.reason is Reason.UNAUTHENTICATED


def test_a_token_expires_by_log_time_without_anyone_writing(world: Cluster) -> None:
    world.do(TokenAdd("00000000000000bb", "ann", "short", TOKEN, 1000))
    login = world.login(2, "00000000000000bb", "token-secret", "token")
    assert login.welcome is not None
    world.run(2, 0.1)
    assert world.farewell(login.conn) is not None
    assert all("00000000000000bb" not in host.store.auth.tokens for host in world.hosts.values())


def test_switching_auth_on_shows_strangers_out_and_off_lets_them_in() -> None:
    world = Cluster()
    world.do(AuthDisable())
    stranger = world.connect(2)
    assert isinstance(world.results(stranger, Put(b"free", b"1"))[0], PutResult)
    session = world.session(stranger)
    assert world.login(2, "ann", "whatever").welcome is not None  # nobody asks
    world.do(AuthEnable())
    farewell = world.farewell(stranger)
    assert farewell is not None
    assert "requires a login" in farewell.message
    (result,) = world.results(world.ann(2), Put(b"app/x", b"1"), session=session, seq=1)
    assert isinstance(result, Failure)
    assert result.reason is Reason.SESSION_EXPIRED


def test_a_node_that_has_not_heard_of_new_rules_asks_before_it_judges(world: Cluster) -> None:
    lagging = world.follower()
    world.cut.add(lagging)
    world.do(UserAdd("new", ANN, ["app"]))
    world.cut.clear()
    login = world.login(lagging, "new", "ann-secret")
    world.run(1)
    assert login.welcome is not None or any(not isinstance(frame, Refused) for frame in world.inbox[login.conn])


def test_without_a_leader_known_logins_are_let_in_and_others_told_to_try_again(world: Cluster) -> None:
    alone = world.follower()
    world.cut.add(alone)
    world.run(5, 0.1)
    assert world.hosts[alone].core.leader == 0
    good = world.login(alone, "ann", "ann-secret")
    assert good.welcome is not None
    world.do(RoleGrant("app", Permission("read", b"x")))
    for name, seen in (("bob", 0), ("ann", 7)):
        login = world.login(alone, name, "ann-secret", seen=seen)
        assert login.refused is not None
        assert login.refused.reason in (Reason.NO_LEADER, Reason.UNREACHABLE)


def test_rules_survive_restart_and_snapshot(world: Cluster) -> None:
    store = world.hosts[1].store
    again = type(store)()
    again.restore(store.snapshot())
    assert again.snapshot() == store.snapshot()
    assert again.auth.image() == store.auth.image()
    for id in list(world.hosts):
        world.stop(id)
        world.start(id)
    world.run(4, 0.1)
    assert world.login(3, "ann", "ann-secret").welcome is not None
    assert world.login(3, "ann", "wrong").welcome is None


def test_status_is_for_those_who_are_logged_in(world: Cluster) -> None:
    ann = world.ann(1)
    world.tell(ann, StatusQuery(7))
    assert any(isinstance(frame, StatusReply) for frame in world.inbox[ann])


def test_a_user_deleted_while_a_right_is_looked_up(world: Cluster) -> None:
    """Found by a seeded bug: the rules change in the very turn in which the watch is decided."""
    ann = world.ann(world.leader())
    host = world.hosts[world.leader()]
    node = world.connect(world.leader(), OWN)
    host.client_frame(node, Submit(901, 1000, 0, 0, msgspec.Raw(msgspec.msgpack.encode([(1, UserDelete("ann"))]))))
    host.client_frame(ann, WatchCreate(1, b"other"))
    world.settle()
    world.run(0.5)
    assert world.ends(ann, 1)[0].reason is Reason.UNAUTHENTICATED
    assert world.farewell(ann) is not None
