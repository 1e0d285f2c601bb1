"""How nodes are named."""

from __future__ import annotations

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


def test_split() -> None:
    assert split_address("[::1]:44") == ("::1", 44)
    assert split_address("h:44") == ("h", 44)
