"""A node is a name with a weight, a zone and a payload; a member list is checked once, here, for all algorithms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ringleader.errors import Reason, UsageError

__all__ = ["MAX_NODES", "Node", "NodeLike", "as_node", "as_nodes", "checked_weight"]

# Owners are kept as 16-bit numbers; the last value is left free for "nobody".
MAX_NODES = 65_535
MAX_NAME_BYTES = 512


@dataclass(frozen=True, slots=True)
class Node:
    """One member that can own keys.

    `name`: unique, 1 to 512 bytes of UTF-8. `weight`: its share relative to the others (1.0 is an ordinary node), a
    finite number above zero. `zone`: what fails together with it (rack, data centre), or `None`. `payload`: anything of
    yours (an address, a client); it takes no part in placement or in comparison.
    """

    name: str
    weight: float = 1.0
    zone: str | None = None
    payload: object = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise _usage(f"a node's name must be a str, not {type(self.name).__name__}: {self.name!r}")
        size = len(self.name.encode("utf-8", "surrogatepass"))
        if not 1 <= size <= MAX_NAME_BYTES:
            raise _usage(
                f"a node's name must have 1 to {MAX_NAME_BYTES} bytes, this one has {size}: {self.name[:40]!r}"
            )
        if self.zone is not None and not (isinstance(self.zone, str) and self.zone):
            raise _usage(f"node {self.name!r}: zone must be None or a str that is not empty, not {self.zone!r}")
        weight = checked_weight(self.name, self.weight)
        if weight is not self.weight:
            object.__setattr__(self, "weight", weight)

    def with_weight(self, weight: float) -> Node:
        """The same node with another weight."""
        return replace(self, weight=weight)


NodeLike = Node | str


def checked_weight(name: str, weight: object) -> float:
    """`weight` as a float above zero, or a `UsageError` that names the node."""
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise _usage(f"node {name!r}: weight must be a number, not {type(weight).__name__}: {weight!r}")
    try:
        value = float(weight)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or value <= 0:
        hint = "Leave a node out of the list to give it nothing" if value == 0 else ""
        raise _usage(f"node {name!r}: weight must be a finite number above 0, not {weight!r}", hint)
    return value


def as_node(node: object) -> Node:
    """A `Node` from a `Node` or a bare name."""
    if isinstance(node, Node):
        return node
    if isinstance(node, str):
        return Node(node)
    raise _usage(f"a node must be a Node or a name (str), not {type(node).__name__}: {node!r}")


def as_nodes(nodes: Iterable[NodeLike] | Mapping[str, float]) -> tuple[Node, ...]:
    """The checked members, in the order given; a mapping is `{name: weight}`.

    Raises `UsageError` for an empty list, a duplicate name or too many nodes.
    """
    if isinstance(nodes, str | bytes):
        raise _usage(f"nodes must be a list of names or Nodes, not one {type(nodes).__name__}: {nodes!r}")
    if isinstance(nodes, Mapping):
        out = tuple(Node(name, weight) for name, weight in nodes.items())
    else:
        try:
            out = tuple(as_node(n) for n in nodes)
        except TypeError as e:
            raise _usage(f"nodes must be an iterable of names or Nodes, not {type(nodes).__name__}") from e
    if not out:
        raise _usage("no nodes: a placement needs at least one", "Nobody can own a key in an empty ring")
    if len(out) > MAX_NODES:
        raise _usage(f"{len(out)} nodes are too many: at most {MAX_NODES}")
    seen: set[str] = set()
    for node in out:
        if node.name in seen:
            raise UsageError(f"node {node.name!r} is listed twice", reason=Reason.DUPLICATE_KEY)
        seen.add(node.name)
    return out


def _usage(message: str, hint: str = "") -> UsageError:
    return UsageError(message, reason=Reason.INVALID_ARGUMENT, hint=hint)
