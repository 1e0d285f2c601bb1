"""For tests of the client: connections end with their test; `db` is a client of a real node of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import ringleader
from farewells import farewells  # noqa: F401  # a fixture for every test here
from ringleader import Client


@pytest.fixture
async def db() -> AsyncIterator[Client]:
    async with ringleader.embedded() as client:
        yield client
