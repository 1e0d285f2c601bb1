"""Long random walks over the state machine of `test_model`, denser than what Hypothesis draws; a seed fixes each one."""

from __future__ import annotations

from random import Random

from ringleader.store.commands import (
    Command,
    Compare,
    Delete,
    ExpireLeases,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    Txn,
)

KEYS = [b"a", b"aa", b"ab", b"b", b"b\xff", b"c"]
ENDS = [b"", b"", b"", b"\0", b"b", b"ab", b"c", b"d"]


class Maker:
    """Makes commands that mean something most of the time."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.revision = 1

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def put(self) -> Put:
        pick = self.random.choice
        if self.chance(0.1):
            return Put(pick(KEYS), b"", pick([0, 1, 2]), self.chance(0.5), True)
        if self.chance(0.1):
            return Put(pick(KEYS), pick([b"", b"x"]), 0, self.chance(0.5), False, True)
        return Put(pick(KEYS), pick([b"", b"x", b"yy"]), pick([0, 0, 0, 0, 1, 2]), self.chance(0.3))

    def delete(self) -> Delete:
        return Delete(self.random.choice(KEYS), self.random.choice(ENDS), self.chance(0.5))

    def some_revision(self) -> int:
        return 0 if self.chance(0.4) else self.random.randint(max(0, self.revision - 12), self.revision + 3)

    def bound(self) -> int:
        return 0 if self.chance(0.85) else self.random.randint(0, self.revision)

    def range(self) -> Range:
        pick = self.random.choice
        return Range(
            pick([b"\0", *KEYS]),
            pick(ENDS),
            self.some_revision(),
            pick([0, 0, 0, 1, 2, 3, -1]),
            pick(["none", "none", "ascend", "descend"]),
            pick(["key", "key", "key", "version", "create", "mod", "value"]),
            self.chance(0.2),
            self.chance(0.1),
            self.bound(),
            self.bound(),
            self.bound(),
            self.bound(),
        )

    def compare(self) -> Compare:
        pick = self.random.choice
        target = pick(["version", "create", "mod", "lease", "value"])
        value: int | bytes = pick([b"", b"x"]) if target == "value" else pick([0, 0, 1, 2, self.revision])
        return Compare(pick(KEYS), target, pick(["=", "!=", "<", ">"]), value, pick(ENDS))

    def txn(self, depth: int = 1) -> Txn:
        return Txn([self.compare() for _ in range(self.random.choice([0, 1, 1, 2]))], self.ops(depth), self.ops(depth))

    def ops(self, depth: int) -> list[Put | Delete | Range | Txn]:
        ops: list[Put | Delete | Range | Txn] = []
        for _ in range(self.random.choice([0, 1, 2, 3])):
            kind = self.random.random()
            if kind < 0.45:
                ops.append(self.put())
            elif kind < 0.6:
                ops.append(self.delete())
            elif kind < 0.8 or depth == 4:
                ops.append(self.range())
            else:
                ops.append(self.txn(depth + 1))
        return ops

    def command(self) -> Command:
        kind = self.random.random()
        if kind < 0.4:
            return self.put()
        if kind < 0.55:
            return self.delete()
        if kind < 0.8:
            return self.txn()
        lease = self.random.choice([0, 1, 2, 3])
        if kind < 0.9:
            return LeaseGrant(self.random.choice([500, 2000, 9000]), lease)
        if kind < 0.95:
            return LeaseRevoke(lease)
        if kind < 0.98:
            return LeaseKeepAlive(lease)
        return ExpireLeases([self.random.randint(1, 4) for _ in range(2)])

    def commands(self) -> list[Command]:
        return [self.command() for _ in range(self.random.randint(1, 4))]
