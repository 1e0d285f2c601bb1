"""How nodes are named."""

from __future__ import annotations

from typing import Any

import pytest

from ringleader.client.addresses import DEFAULT_ENDPOINTS, parse_endpoints, split_address
from ringleader.errors import UsageError


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ([], {}, list(DEFAULT_ENDPOINTS)),
        ([], {"RINGLEADER_ENDPOINTS": "a:1, b:2 ,"}, ["a:1", "b:2"]),
        (["c:3"], {"RINGLEADER_ENDPOINTS": "a:1"}, ["c:3"]),
        (["a:1", "b:2,c:3", "a:1"], {}, ["a:1", "b:2", "c:3"]),
        (["[::1]:5000", "::1", "[fe80::1]"], {}, ["[::1]:5000", "[::1]:4400", "[fe80::1]:4400"]),
        (["node", "10.0.0.1"], {}, ["node:4400", "10.0.0.1:4400"]),
    ],
)
def test_endpoints(given: list[str], environment: dict[str, str], expected: list[str]) -> None:
    assert parse_endpoints(given, environment) == expected


@pytest.mark.parametrize(
    "bad", ["a:", ":1", "a:x", "a:0", "a:65536", "http://a:1", "[::1", "[::1]x", "a:1:", " , ", "a:\u0661"]
)
def test_nonsense_is_named(bad: str) -> None:
    with pytest.raises(UsageError):
        parse_endpoints([bad], {})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ([5], "5 is not an endpoint"),
        ([None], "None is not an endpoint"),
        ([b"a:1"], "b'a:1' is not an endpoint"),
        ([["a:1", "b:1"]], r"\['a:1', 'b:1'\] is not an endpoint.*connect\(\*endpoints\)"),
        ([""], "the endpoint given is empty"),
        (["a:1", "  "], "the endpoint given is empty"),
        (["a b"], "'a b' is not an endpoint"),
        (["a:1 b:1"], "'a:1 b:1' is not an endpoint"),
    ],
)
def test_what_is_no_endpoint_is_told_before_anything_is_dialled(wrong: list[Any], named: str) -> None:
    """An empty one is most likely a variable that was not set: no reason to go to the local cluster without a word."""
    with pytest.raises(UsageError, match=named) as caught:
        parse_endpoints(wrong, {"RINGLEADER_ENDPOINTS": "a:1"})
    assert caught.value.hint


def test_split() -> None:
    assert split_address("[::1]:44") == ("::1", 44)
    assert split_address("h:44") == ("h", 44)
