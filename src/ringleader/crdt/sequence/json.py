"""`JsonDocument`: nested maps, lists, text, counters and plain values, edited like Python's own.

Rule: every place is (key, type), so two replicas that create the same key at the same time create one place, and what
they put there merges: nothing is lost by creating twice. When they meant different types, the later creation shows and
`conflicts(key)` has the other. A plain value is a last-writer-wins register.
"""

from __future__ import annotations

import builtins
from typing import Any

from ringleader.crdt.base import Crdt, register
from ringleader.crdt.ormap import ORMap
from ringleader.crdt.registers import LWWRegister
from ringleader.crdt.sequence.list import List
from ringleader.crdt.text.text import Text
from ringleader.errors import Reason, UsageError

__all__ = ["JsonDocument", "fill", "kind_for"]


def kind_for(value: Any) -> type[Crdt]:
    """The replicated type that holds `value`: a dict, a list, a type itself, or a plain value."""
    if isinstance(value, dict):
        return JsonDocument
    if isinstance(value, list):
        return List
    if isinstance(value, type) and issubclass(value, Crdt):
        return value
    if isinstance(value, Crdt):
        raise UsageError(
            f"a {value.name} from elsewhere cannot be put here: it has a history of its own",
            reason=Reason.INVALID_ARGUMENT,
            hint="Assign a plain value, or a type such as Text for an empty one",
        )
    return LWWRegister


def fill(node: Crdt, value: Any) -> None:
    """Make `value` the content of `node`, which is of `kind_for(value)`."""
    if not isinstance(value, type):
        node._assign(value)


@register
class JsonDocument(ORMap[Any, Any]):
    """A map of anything: `doc["title"] = "Plan"`, `doc["todos"] = []`, `doc["todos"].append({"done": False})`,
    `doc.text("notes").insert(0, "...")`, `doc.counter("likes").increment()`.

    Reading gives plain values as they are, and nested maps, lists, texts and counters as the live types. A `dict`
    assigned to a key makes a nested document with that content, a `list` a list; both merge with what is created there
    at the same time.
    """

    __slots__ = ()
    tag = 42
    name = "JsonDocument"

    def __getitem__(self, key: Any) -> Any:
        node = super().__getitem__(key)
        return node.value if isinstance(node, LWWRegister) else node

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, Crdt) and value._parent is self:
            return  # the second half of doc["likes"] += 1
        kind = kind_for(value)
        with self._doc.transaction():
            fill(self.create(key, kind), value)

    def conflicts(self, key: Any) -> builtins.list[Any]:
        """What was put at `key` at the same time: the values of a plain one that several wrote (the one shown first), then
        the hidden values of other types. Empty when nobody disagreed.
        """
        shown = self.get(key)
        values = shown.conflicts() if isinstance(shown, LWWRegister) else []
        return [*values, *super().conflicts(key)]

    def text(self, key: Any) -> Text:
        """The text at `key`; its first write creates it."""
        node = self.child(key, Text)
        assert isinstance(node, Text)
        return node

    def list(self, key: Any) -> List:
        """The list at `key`; its first write creates it."""
        node = self.child(key, List)
        assert isinstance(node, List)
        return node

    def map(self, key: Any) -> JsonDocument:
        """The nested document at `key`; its first write creates it."""
        node = self.child(key, JsonDocument)
        assert isinstance(node, JsonDocument)
        return node

    def counter(self, key: Any) -> Any:
        """The counter (`PNCounter`) at `key`; its first write creates it."""
        from ringleader.crdt.counters import PNCounter

        return self.child(key, PNCounter)
