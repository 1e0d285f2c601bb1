"""Rights that come and go under load and faults: nothing succeeds that was asked after its right was withdrawn.

Judged by the clients' history alone: what a call was answered, and when, beside the moments at which the rules changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ringleader.client.credentials import Credentials, format_token
from ringleader.sim.options import LoadOptions, Options
from ringleader.sim.record import Outcome
from ringleader.sim.run import run_seed
from ringleader.sim.world import World
from ringleader.store.auth import Auth
from ringleader.store.auth_ops import (
    AuthEnable,
    Permission,
    RoleAdd,
    RoleGrant,
    RoleRevoke,
    TokenAdd,
    TokenRevoke,
    UserAdd,
)
from ringleader.store.commands import Command
from ringleader.wire.login import make_verifier

EVERYTHING = Permission("readwrite", b"\0", b"\0")
TOKENS = {place: f"{place:016x}" for place in (1, 2)}
SECRET = "a-simulated-secret"
PERIOD = 1.5
FAULTS = {"kill": 4.0, "partition": 4.0, "pause": 4.0, "client-disconnect": 1.0, "isolate-leader": 5.0}


class Admin:
    """Switches auth on, then gives and takes the one right that the clients have, again and again.

    `changes`: (moment at which it was committed, whether the clients may do anything from then on).
    """

    def __init__(self, world: World, by_token: bool) -> None:
        self.world = world
        self.by_token = by_token
        self.changes: list[tuple[float, bool]] = []
        self.wanted = True
        world.credentials = Credentials(token=format_token(TOKENS[1], SECRET))
        world.oracle.on_commit.append(self._committed)
        world.timeline.after(1.0, self._act)
        world.timeline.after(2.0, self._flip)

    def _setup(self) -> list[Command]:
        verifier = make_verifier(SECRET, "sha256", b"t" * 16)
        root = make_verifier("root", "scrypt", b"r" * 16, (2, 8, 1))
        return [
            UserAdd("root", root, ["root"]), RoleAdd("app"), RoleGrant("app", EVERYTHING), UserAdd("ann", None, ["app"]),
            TokenAdd(TOKENS[1], "ann", "sim", verifier), AuthEnable(),
        ]  # fmt: skip

    def _missing(self) -> list[Command]:
        """What to say so that the rules become what is wanted."""
        auth = self.world.truth.store.auth
        if not auth.enabled:
            return self._setup()
        if self._allowed() == self.wanted:
            return []
        if not self.by_token:
            return [RoleGrant("app", EVERYTHING) if self.wanted else RoleRevoke("app", EVERYTHING)]
        verifier = make_verifier(SECRET, "sha256", b"t" * 16)
        return [TokenAdd(TOKENS[1], "ann", "sim", verifier) if self.wanted else TokenRevoke(TOKENS[1])]

    def _allowed(self) -> bool:
        auth = self.world.truth.store.auth
        if not auth.enabled:
            return True
        return TOKENS[1] in auth.tokens and EVERYTHING in auth.roles["app"].permissions

    def _act(self) -> None:
        """Repeated until it is so: the leader that heard it may be gone, or be none."""
        for machine in self.world.machines.values():
            if machine.host is not None and machine.host.core.leads:
                for command in self._missing():
                    machine.host.member.proposals.say(command)
        self.world.timeline.after(0.1, self._act)

    def _flip(self) -> None:
        self.wanted = not self.wanted or self.world.timeline.now > self.world.options.faults_until
        self.world.timeline.after(PERIOD, self._flip)

    def _committed(self, *_: Any) -> None:
        allowed = self._allowed()
        if not self.changes or self.changes[-1][1] != allowed:
            self.changes.append((self.world.timeline.now, allowed))

    def check(self) -> tuple[int, int]:
        """How many calls were refused, and how many answered, after the first withdrawal."""
        refused = answered = 0
        ends = [*(moment for moment, _ in self.changes[1:]), float("inf")]
        for (begin, allowed), end in zip(self.changes, ends, strict=True):
            for record in self.world.log.records:
                if begin < record.call and record.end < end:
                    if record.outcome is Outcome.ANSWERED:
                        assert allowed, f"{record.op!r} of {record.call} succeeded: the right was taken at {begin}"
                        answered += begin > self.changes[1][0]
                    elif record.outcome is Outcome.NOT_APPLIED:
                        refused += not allowed
        return refused, answered


@pytest.mark.parametrize(("seed", "by_token"), [(1, False), (3, True)])
def test_nothing_succeeds_after_its_right_was_withdrawn(seed: int, by_token: bool) -> None:
    admins: list[Admin] = []
    load = LoadOptions(watches=0.0, compactions=0.0, leases=0, lease_reads=0.0)
    options = Options(seed=seed, load=load, faults=FAULTS, snapshot_every=60)
    report = run_seed(seed, options, made=lambda world: admins.append(Admin(world, by_token)))
    assert report.ok, report.line()
    (admin,) = admins
    assert len(admin.changes) >= 5
    refused, answered = admin.check()
    assert refused >= 20
    assert answered >= 20


def forget_to_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights looked up once are kept past a change of the rules."""
    once: dict[int, Any] = {}
    rights = Auth.rights
    monkeypatch.setattr(Auth, "rights", lambda auth, user: once.setdefault(id(auth), rights(auth, user)))


def trust_old_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was let in once is never asked again."""
    monkeypatch.setattr(Auth, "admit", lambda auth, caller, time_ms: None)


@pytest.mark.parametrize(("bug", "by_token"), [(forget_to_look_again, False), (trust_old_logins, True)])
def test_the_history_shows_a_rule_that_is_not_obeyed(
    bug: Callable[[pytest.MonkeyPatch], None], by_token: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    admins: list[Admin] = []
    load = LoadOptions(watches=0.0)
    run_seed(1, Options(seed=1, load=load, faults={}), made=lambda world: admins.append(Admin(world, by_token)))
    with pytest.raises(AssertionError, match="succeeded: the right was taken"):
        admins[0].check()
