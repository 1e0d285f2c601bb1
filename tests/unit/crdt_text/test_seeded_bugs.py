"""Bugs that such code has, put in on purpose: the random sessions must find every one.

Each is a change of one expression in the source of one function, compiled again in its module.
"""
# ruff: noqa: E501

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from ringleader.crdt.sequence import list as list_module
from ringleader.crdt.sequence import order
from ringleader.crdt.text import graph, history, oplog, part, receive, replay, stable, text, walker
from unit.crdt_text.harness import live, session
from unit.crdt_text.test_sequence import document_session, test_list_order_equals_the_naive_fugue
from unit.crdt_text.test_text import (
    test_dropping_history_at_random_moments_changes_no_text,
    test_undo_all_and_redo_all_alone_are_inverse,
)

Check = Callable[[], None]


def sessions() -> None:
    for seed in range(150):
        session(seed, steps=40)


def live_typing() -> None:
    for seed in range(150):
        live(seed, writers=1 + seed % 3)


def documents() -> None:
    for seed in range(80):
        document_session(seed)


WALKER, GRAPH = walker.Walker, graph.CausalGraph
BUGS: list[tuple[str, ModuleType, Any, str, str, str, Check]] = [
    ("ties by arrival", walker, WALKER, "_integrate", "self._id(lv) < self._id(other.lv)", "lv < other.lv", sessions),
    ("no search among the unknown", walker, WALKER, "_integrate", "if other.state:", "if True:", sessions),
    ("right parent without the left origin's word", walker, WALKER, "_integrate", "if other.left == left else _NOWHERE", "", sessions),
    ("never skips", walker, WALKER, "_integrate", "skipping = self._before(other.right, right)", "skipping = False", sessions),
    ("removed by two, removed twice", walker, WALKER, "_remove", "if not item.removed:", "if True:", sessions),
    ("retreat forgets removals", walker, WALKER, "_shift", "if kind == INSERT:", "if True:", sessions),
    ("advance is forgotten", walker, WALKER, "move_to", "self._shift(span, 1)", "pass", sessions),
    ("backspace removes forwards", walker, WALKER, "_backspace", "item.lv + taken - 1, -1)", "item.lv, 1)", sessions),
    ("effect counts what is gone", walker, WALKER, "_insert", "if not item.removed:", "if True:", sessions),
    ("typing on ignores who is first", walker, WALKER, "_behind", "self._id(lv) < self._id(other.lv)", "lv < other.lv", live_typing),
    ("typing on never skips", walker, WALKER, "_behind", "skipping = other.right != _NOWHERE", "skipping = False", live_typing),
    ("typing on counts what is gone", walker, WALKER, "_type_on", "if not other.removed", "if True", live_typing),
    ("typing on is already known", walker, WALKER, "_behind", "_NOWHERE, 0, False", "_NOWHERE, 1, False", live_typing),
    ("what is kept is believed to reach back", replay, replay.Zone, "takes", "return False", "pass", live_typing),
    ("own keys are forgotten by what is kept", replay, replay, "_go_on", "walker.visit(*chunk)", "pass", live_typing),
    ("everything is critical", replay, replay, "_critical_limits", "limits[row] = end if", "limits[row] = end if True or", sessions),
    ("a limit one too far", replay, replay, "_critical_limits", "low_lv + 1 if", "min(end, low_lv + 2) if", sessions),
    ("heads keep their parents", graph, GRAPH, "_advance_heads", "if head not in parents", "if True", sessions),
    ("diff stops at the first shared", graph, GRAPH, "_diff_by_heap", "lv, flag = other, 3", "lv = other", sessions),
    ("runs in the order of arrival", part, part, "_in_order", "if len(chains) < 2:", "if True:", sessions),
    ("known events told again", receive, receive, "_add_events", "told + known, told + count", "told, told + count - known", sessions),
    ("joined runs depend on arrival", oplog, oplog.OpLog, "_continue_delete", "(known == BACKSPACE or before == 1)", "True", sessions),
    ("old text at a diff", history, text, "diff", "old.slice(taken, taken", "old.slice(position, position", sessions),
    ("undo forgets the copies", history, text, "inserted_places", "if link.first >= lv:", "if False:", test_undo_all_and_redo_all_alone_are_inverse),
    ("undo puts neighbours in the wrong order", history, history, "_places", "visible[at - 1][1] > rank", "False", test_undo_all_and_redo_all_alone_are_inverse),
    ("history dropped at any stable version", stable, stable, "_critical_end", "min(last, lowest[row], limit - 1)", "min(last, limit - 1)", test_dropping_history_at_random_moments_changes_no_text),
    ("an open run is not closed before a merge", text, text.Text, "_admit", "self._close_run()", "pass", documents),
    ("list siblings by arrival", order, order.Order, "_hang", "insort(siblings, place)", "siblings.append(place)", documents),
    ("list ignores children on the right", order, order.Order, "after", "if children is None or not children[RIGHT]:", "if True:", test_list_order_equals_the_naive_fugue),
    ("moves are kept by arrival", list_module, list_module.List, "_join", "self._moves[element] = joined", "self._moves[element] = moves", documents),
]  # fmt: skip


def mended(owner: Any, name: str, old: str, new: str, module: ModuleType) -> Any:
    """The function `name` of `owner` with `old` replaced by `new`."""
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    assert old in source, f"{name} has changed: the seeded bug must be put in anew"
    scope: dict[str, Any] = {}
    exec(compile(source.replace(old, new), f"<seeded {name}>", "exec"), module.__dict__, scope)
    return scope[name]


@pytest.mark.parametrize("bug", BUGS, ids=[bug[0] for bug in BUGS])
def test_seeded_bug_is_found(
    bug: tuple[str, ModuleType, Any, str, str, str, Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, module, owner, name, old, new, check = bug
    broken = mended(owner, name, old, new, module)
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(Exception):  # noqa: B017  # any failure will do: a wrong text, or a crash
        check()
