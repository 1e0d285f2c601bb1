"""Bad input gives a clear error that names the culprit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from ringleader.errors import Reason, UsageError
from ringleader.placement import JumpHash, KetamaRing, Maglev, Memento, MultiProbe, Node, Placement, Rendezvous, Ring
from ringleader.placement.keys import SPACE

ALL: list[type[Placement]] = [Ring, KetamaRing, Rendezvous, JumpHash, Maglev, MultiProbe, Memento]


@pytest.mark.parametrize("kind", ALL)
def test_nodes(kind: type[Placement]) -> None:
    with pytest.raises(UsageError, match="'b' is listed twice") as caught:
        kind(["a", "b", "c", "b"])
    assert caught.value.reason is Reason.DUPLICATE_KEY
    with pytest.raises(UsageError, match="no nodes"):
        kind([])
    with pytest.raises(UsageError, match="one str: 'abc'"):
        kind("abc")
    with pytest.raises(UsageError, match="not int"):
        kind(7)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UsageError, match=r"a name .str., not int: 7"):
        kind(["a", 7])  # type: ignore[list-item]  # wrong on purpose
    p = kind(["a", "b"])
    with pytest.raises(UsageError, match="'a' is listed twice"):
        p.add("a")
    with pytest.raises(UsageError, match="no node 'x'"):
        p.remove("x")
    with pytest.raises(UsageError, match="no node 'x'"):
        p.node("x")
    with pytest.raises(UsageError, match="no node 'x'"):
        p.reweight({"x": 1.0})
    with pytest.raises(UsageError, match="no nodes"):
        p.remove("b", "a")


@pytest.mark.parametrize("weight", [0, -1, -0.0, math.nan, math.inf, 10**400, "2", None, True])
def test_weights(weight: Any) -> None:
    with pytest.raises(UsageError, match="'heavy': weight must be a"):
        Node("heavy", weight)
    with pytest.raises(UsageError, match="'heavy': weight must be a"):
        Ring(["heavy"]).reweight({"heavy": weight})


@pytest.mark.parametrize("kind", [JumpHash, Memento])
def test_algorithms_without_weights_say_so(kind: type[Placement]) -> None:
    with pytest.raises(UsageError, match=r"'b' has weight 2, but .* has no weights"):
        kind([Node("a"), Node("b", 2)])
    with pytest.raises(UsageError, match="'a' has weight 3"):
        kind(["a", "b"]).reweight({"a": 3})


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("key", [1.5, None, True, ("a",), bytearray(b"x")])
def test_keys(kind: type[Placement], key: Any) -> None:
    with pytest.raises(UsageError, match=f"str, bytes or int, not {type(key).__name__}"):
        kind(["a"]).owner(key)


@pytest.mark.parametrize("kind", ALL)
def test_how_many(kind: type[Placement]) -> None:
    p = kind(["a", "b"])
    with pytest.raises(UsageError, match="3 distinct owners were asked for, but there are only 2 nodes"):
        p.owners("k", 3)
    n: Any
    for n in (0, -1, True, 1.0):
        with pytest.raises(UsageError, match="n must be an int of at least 1"):
            p.owners("k", n)


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Ring(["a"]).owner(SPACE), "64 bits, this one has 65 bits"),
    (lambda: Ring(["a"]).owner(-(2**63) - 1), "64 bits"),
    (lambda: Ring(["a"], vnodes=0), "vnodes must be an int"),
    (lambda: Ring(["a"], vnodes=1.5), "vnodes must be an int"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Ring({"a": 1.0, "big": 1e9}), "too many for one ring .* 'big' with weight 1e[+]09"),
    (lambda: Ring(["a"]).add(Node("big", 1e9)), "the heaviest node is 'big'"),
    (lambda: Ring(["a"], hash="md5"), "hash must be a function"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Ring(["a"], hash=lambda b: -1).owner("k"), "the hash function <lambda> gave -1"),
    (lambda: Ring(["a"], hash=lambda b: 2.5).owner("k"), "gave 2.5"),  # type: ignore[arg-type, return-value]  # wrong on purpose
    (lambda: Maglev(["a"], size=100), "size must be a prime"),
    (lambda: Maglev(["a", "b", "c"], size=2), "3 nodes do not fit into 2 slots"),
    (lambda: MultiProbe(["a"], probes=0), "probes must be an int"),
    (lambda: Node(""), "1 to 512 bytes"),
    (lambda: Node("x" * 513), "1 to 512 bytes, this one has 513"),
    (lambda: Node(5), "must be a str, not int"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Node("a", zone=""), "'a': zone must be None or a str"),
    (lambda: Ring(["a"]).diff(Ring(["a"], hash=lambda b: 1)), "different functions"),
    (lambda: Memento.restore(["a"], Memento(["b"]).state()), "does not belong"),
    (lambda: KetamaRing(["a"], vnodes=1 << 23), "use fewer vnodes"),
]


@pytest.mark.parametrize(("work", "message"), BAD, ids=[m for _, m in BAD])
def test_the_rest(work: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        work()
