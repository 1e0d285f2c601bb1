"""What was chosen in a higher ballot reaches a leader that has not heard of that ballot."""

from __future__ import annotations

from ringleader.consensus.paxos.messages import Accept, Chosen, Learn
from ringleader.consensus.shape import Entry, EntryKind, Role, Send
from unit.paxos.harness import Cluster


def late_answer() -> tuple[Cluster, list[tuple[int, Send]]]:
    """Member 1 of five leads and has its first entry, slot 2, accepted by 2; 5, 3 and 4 have chosen another one there in a
    higher ballot: an older one of 5's. (Messages have room for two entries.)

    A question of 1's to 3, from when 1 had to catch up, has not arrived yet.
    """
    cluster = Cluster(5, canvass=False, check_quorum=False, append_bytes=50)
    late: list[tuple[int, Send]] = []
    for member in cluster.members.values():
        member.core.tick(0.0)
    cluster.drop = lambda sender, to, message: not {sender, to} <= {3, 4, 5}
    cluster.members[5].core.tick(3.0)
    cluster.settle()
    assert cluster.members[3].core.commit == 1
    cluster.drop = lambda sender, to, message: True
    cluster.members[5].core.propose([b"an older value 1", b"an older value 2"])
    cluster.settle()

    def reach_and_keep(sender: int, to: int, message: object) -> bool:
        if isinstance(message, Learn):
            late.append((sender, Send(to, message, 0)))
        return not {sender, to} <= {1, 2, 3} or (to == 3 and isinstance(message, Accept))

    cluster.drop = reach_and_keep
    one = cluster.members[1].core
    for now in (6.0, 9.0):  # its first ballot is below that of 5
        one.tick(now)
        cluster.settle()
    assert one.leads
    assert late
    assert one.last_index == 2
    assert cluster.members[2].core.log.at(2) == one.log.at(2)
    cluster.drop = lambda sender, to, message: (
        not {sender, to} <= {3, 4, 5} or (isinstance(message, Accept) and message.first > 2 and bool(message.entries))
    )
    four = cluster.members[4].core
    four.tick(12.0)
    cluster.settle()
    assert four.term > one.term
    assert four.commit == cluster.members[3].core.commit == 2
    assert one.role is Role.LEADER
    return cluster, late


def test_a_leader_that_learns_another_value_than_its_own_gives_up() -> None:
    """Else it would tell who has accepted its own value that the slot is chosen, and so that this value is."""
    cluster, late = late_answer()
    cluster.drop = lambda sender, to, message: not {sender, to} <= {1, 2, 3}
    cluster.queue += late
    cluster.settle()
    chosen: dict[int, Entry] = {}
    for member in cluster.members.values():
        for slot, entry in member.applied:
            assert chosen.setdefault(slot, entry) == entry, (member.id, slot)
    assert cluster.members[1].core.role is Role.FOLLOWER


def test_a_leader_that_learns_what_it_has_proposed_itself_goes_on() -> None:
    cluster, _ = late_answer()
    one = cluster.members[1].core
    one.step(3, Chosen(0, 2, [one.log.at(2)], 2))
    assert one.leads
    assert one.commit == 2


def test_a_leader_that_learns_of_a_slot_in_which_it_has_proposed_nothing_gives_up() -> None:
    """Else its next proposal would be for a slot that is taken, and get lost without a word."""
    cluster, _ = late_answer()
    one = cluster.members[1].core
    noop = Entry(one.log.birth(1), int(EntryKind.NOOP), b"")
    one.step(3, Chosen(0, 2, [one.log.at(2), noop], 3))
    assert one.role is Role.FOLLOWER
    assert one.propose([b"x"]) == 0
