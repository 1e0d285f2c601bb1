"""For all tests: Ctrl-C works; a test whose peer program is missing is skipped with the reason, or fails with CI=true.

Properties are tried on the same examples in every run, and no example has a time limit: what fails, fails every time.
"""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """A shell starts what runs in the background with Ctrl-C ignored, and children inherit that: tests send Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Obey `@pytest.mark.peer("program")`."""
    for mark in item.iter_markers("peer"):
        (program,) = mark.args
        if shutil.which(program) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{program} is missing, and CI skips nothing: see tools/peers.sh", pytrace=False)
            pytest.skip(f"{program} is not installed")
