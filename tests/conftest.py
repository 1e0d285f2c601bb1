"""For all tests: what needs another program is skipped without it, with the reason; with CI=true that is a failure."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Obey `@pytest.mark.peer("program")`."""
    for mark in item.iter_markers("peer"):
        (program,) = mark.args
        if shutil.which(program) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{program} is missing, and CI skips nothing: see tools/peers.sh", pytrace=False)
            pytest.skip(f"{program} is not installed")
