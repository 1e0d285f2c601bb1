"""Three hosts on simulated disks that fill up: reads and elections go on, nothing is lost, room again is enough."""

from __future__ import annotations

from ringleader.consensus.raft import Raft
from ringleader.consensus.raft.messages import Append
from ringleader.consensus.shape import Entry
from ringleader.errors import Reason
from ringleader.group.host import GROUP, PROMISES, Host
from ringleader.group.options import GroupOptions
from ringleader.group.space import RESERVE_FILE, SpaceKeeper
from ringleader.log import LogOptions
from ringleader.ports import DiskOp
from ringleader.sim.choice import Choice
from ringleader.sim.disk import SimDisk
from ringleader.store.commands import Put, Range, RangeResult
from ringleader.wire.frames import Refused, Results
from unit.group.harness import World

RESERVE = 64 * 1024


class SmallDisks(World):
    """Every host's disk is a `SimDisk`, driven as the runtime's thread drives a real one."""

    def __init__(self) -> None:
        self.sims = {id: SimDisk(Choice(id), capacity=1 << 40) for id in (1, 2, 3)}
        self.keepers: dict[int, SpaceKeeper] = {}
        self.stuck: dict[int, tuple[int, list[DiskOp]]] = {}
        group = GroupOptions(snapshot_bytes=1 << 40, snapshot_entries=1 << 40)
        super().__init__(group=group, log=LogOptions(runway_bytes=64 * 1024))

    def start(self, id: int, incarnation: str = "") -> Host:
        self.disks[id] = self.sims[id]  # type: ignore[assignment]  # another disk in its place
        self.stuck.pop(id, None)
        host = super().start(id, incarnation)
        self.keepers[id] = SpaceKeeper(self.sims[id], RESERVE, host.disk_full)
        self.keepers[id].recover()
        return host

    def _turn(self, id: int) -> bool:
        host = self.hosts[id]
        if id not in self.stuck and self.keepers[id].full:
            self.keepers[id].recover()
        out = host.take_output()
        for to, group, message in out.peers:
            if to in self.hosts and id not in self.cut and to not in self.cut:
                self.hosts[to].peer_message(id, group, message)
        for conn, frame in out.clients:
            self.inbox[conn].append(frame)
        if out.disk is not None:
            assert id not in self.stuck
            self.stuck[id] = (out.disk.number, list(out.disk.ops))
        moved = self._work(id)
        return bool(out.peers or out.clients or moved)

    def _work(self, id: int) -> bool:
        if id not in self.stuck:
            return False
        number, ops = self.stuck[id]
        while ops:
            if not self.keepers[id].attempt(ops[0]):
                return False
            ops.pop(0)
        del self.stuck[id]
        self.hosts[id].disk_done(number)
        return True

    def fill_disks(self) -> None:
        for sim in self.sims.values():
            sim.capacity = sim.used() + 20_000


def write_until_refused(world: SmallDisks, acknowledged: dict[bytes, bytes]) -> Refused:
    for number in range(200):
        conn = world.connect(world.leader())
        key, value = b"full%d" % number, bytes([number]) * 5_000
        answer = world.submit(conn, Put(key, value))
        if isinstance(answer, Results):
            acknowledged[key] = value
        if isinstance(answer, Refused):
            return answer
        world.run(0.1)
    raise AssertionError("it was never refused")


def contents(world: SmallDisks) -> dict[bytes, bytes]:
    answer = world.read(world.connect(world.leader()), Range(b"\0", b"\0"))
    assert isinstance(answer, Results), answer
    (result,) = answer.results
    assert isinstance(result, RangeResult)
    return {kv.key: kv.value for kv in result.kvs}


def test_all_disks_full_then_room_again() -> None:
    world = SmallDisks()
    world.run(3)
    acknowledged: dict[bytes, bytes] = {}
    world.fill_disks()
    refused = write_until_refused(world, acknowledged)
    assert refused.reason is Reason.NO_SPACE
    assert "disk of the leader is full" in refused.message
    world.run(3)
    assert all(RESERVE_FILE not in sim.names() for sim in world.sims.values())
    assert all(host.status().disk_full for host in world.hosts.values())

    before = world.leader()
    world.stop(before)  # terms and votes can still be written, and the new leader serves reads
    world.run(6)
    assert world.leader() != before
    assert contents(world).items() >= acknowledged.items()

    world.sims[before].power_cut()
    world.start(before)
    world.run(3)
    assert contents(world).items() >= acknowledged.items()

    for sim in world.sims.values():
        sim.capacity = 1 << 40
    world.run(3)
    assert not any(host.status().disk_full for host in world.hosts.values())
    assert all(sim.size(RESERVE_FILE) == RESERVE for sim in world.sims.values())
    conn = world.connect(world.leader())
    assert isinstance(world.submit(conn, Put(b"room", b"again")), Results)
    world.run(1)
    assert contents(world).items() >= {**acknowledged, b"room": b"again"}.items()
    assert len({host.store.snapshot() for host in world.hosts.values()}) == 1


def test_what_comes_in_one_turn_leaves_room_for_promises_together() -> None:
    """Found by review: each message fitted by itself, and all together took the room of terms and votes."""
    world = World(3)
    world.run(3)
    host = world.hosts[world.follower()]
    core = host.core
    assert isinstance(core, Raft)
    host.disk_full(True)
    before = core.last_index
    for number in range(8):
        entry = Entry(core.term, 0, bytes(60_000))
        host.peer_message(
            core.leader, GROUP, Append(core.term, before + number, core.log.term(core.last_index), [entry], core.commit)
        )
    assert core.last_index > before + 1
    host.take_output()
    assert host.writer.room >= PROMISES // 2
    assert core.last_index < before + 8


def test_one_full_disk_does_not_stop_the_others() -> None:
    world = SmallDisks()
    world.run(3)
    leader = world.leader()
    world.sims[leader].capacity = world.sims[leader].used() + 20_000
    acknowledged: dict[bytes, bytes] = {}
    for number in range(60):
        conn = world.connect(world.leader())
        key = b"k%d" % number
        if isinstance(world.submit(conn, Put(key, bytes(5000))), Results):
            acknowledged[key] = bytes(5000)
        world.run(0.2)
    assert world.leader() != leader, "leadership goes to a node with room"
    assert len(acknowledged) > 40
    world.sims[leader].capacity = 1 << 40
    world.run(3)
    assert world.hosts[leader].store.snapshot() == world.hosts[world.leader()].store.snapshot()
    assert contents(world) == acknowledged
