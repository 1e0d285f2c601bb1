"""One cluster for all tests of a session that do not break theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.harness import Dev, Shell


@pytest.fixture(scope="session")
def dev() -> Iterator[Dev]:
    with Dev() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cli(dev: Dev) -> Shell:
    return Shell(dev.endpoints)
