"""What must hold in every state, and what has to be remembered of the past to say so.

A `Ghost` is that memory: no member sees it. It holds who has led which term, and every entry that any member was told is
committed, with the term in which that was learnt first. The invariants:

* *election safety*: no term has two leaders, not even one after the other (Raft figure 3);
* *log matching*: two logs that hold an entry of the same index and term are equal up to there;
* *state machine safety*: whatever is told committed at an index is the same entry everywhere and for ever, crashes or not;
* *leader completeness*: who leads a term holds every entry that was committed in an earlier one;
* *no stale read*: a read may be served at an index not below what was committed anywhere when it was asked (checked where the
  barrier is handed out: the read's token is that index);
* *births never go back*: along what is committed, terms (Paxos: the ballots in which values were born) never decrease;
* *promises are durable*: a restarted member is bound by the messages that it has sent. (Those that its receiver has counted
  are out of the inbox, and so of this check; what forgetting them leads to is left to the other invariants.)

Log matching is Raft's alone: in Paxos an acceptor may hold in a slot what was never chosen, and keep it.
"""

from __future__ import annotations

from typing import NamedTuple

from ringleader.sim.check.model import Item, View
from ringleader.sim.check.tables import Committed
from ringleader.sim.terms import term_word

__all__ = ["Ghost", "completeness", "crown", "matching", "remember"]


class Ghost(NamedTuple):
    """`leaders`: (term, member), sorted. `committed`: (entry, term in which it was learnt), from index 1 on."""

    leaders: tuple[tuple[int, int], ...] = ()
    committed: tuple[tuple[Item, int], ...] = ()


def crown(ghost: Ghost, term: int, id: int) -> Ghost | str:
    """`id` leads `term`; or what is wrong with that."""
    for known, leader in ghost.leaders:
        if known == term:
            both = f"n{leader} and n{id} have both led term {term_word(term)}"
            return ghost if leader == id else f"election safety: {both}"
    return ghost._replace(leaders=tuple(sorted([*ghost.leaders, (term, id)])))


def remember(ghost: Ghost, told: Committed, term: int, id: int) -> Ghost | str:
    """A member in `term` was told that entries are committed; or what is wrong with that."""
    committed = ghost.committed
    for index, item in told:
        if index > len(committed) + 1:
            return f"state machine safety: n{id} was handed entry {index} before {len(committed) + 1}"
        if index > len(committed):
            if committed and committed[-1][0][0] > item[0]:
                return f"births go back: entry {index} is {_word(item)}, after {_word(committed[-1][0])}"
            committed = (*committed, (item, term))
        elif committed[index - 1][0] != item:
            before, after = _word(committed[index - 1][0]), _word(item)
            return f"state machine safety: entry {index} was committed as {before}, n{id} is handed {after}"
    return ghost._replace(committed=committed)


def completeness(ghost: Ghost, view: View, id: int) -> str:
    """What an entry committed before its term is missing in the log of leader `id`; empty: none."""
    for index, (item, term) in enumerate(ghost.committed, 1):
        if term < view.term and (len(view.log) < index or view.log[index - 1] != item):
            lacks = f"entry {index} ({_word(item)}) of term {term_word(term)}"
            return f"leader completeness: n{id} leads term {term_word(view.term)} without {lacks}"
    return ""


def matching(one: tuple[Item | None, ...], two: tuple[Item | None, ...]) -> str:
    """Whether two logs agree up to the last entry whose index and term they share."""
    differ = 0
    for index, (left, right) in enumerate(zip(one, two, strict=False), 1):
        if left != right and not differ:
            differ = index
        if differ and left and right and left[0] == right[0]:
            return (
                f"log matching: two logs share term {term_word(left[0])} at index {index} and differ at index {differ}"
            )
    return ""


def _word(item: Item) -> str:
    term, kind, data = item
    return f"{term_word(term)}.{data.decode(errors='replace') if kind == 0 else 'no-op' if kind == 1 else 'members'}"
