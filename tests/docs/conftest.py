"""A cluster for the examples of the documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.harness import Dev


@pytest.fixture(scope="session")
def endpoints() -> Iterator[str]:
    with Dev() as cluster:
        yield cluster.endpoints
