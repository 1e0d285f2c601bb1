"""Numbers that users give, checked before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from ringleader.client.types import LONGEST, to_timeout_ms
from ringleader.errors import Reason, UsageError
from ringleader.store.limits import Limits


@pytest.mark.parametrize("wrong", [0, -1, 1e30, 2 * LONGEST, float("nan"), float("inf"), True, "10", None])
def test_a_period_that_makes_no_sense_is_told_with_the_bounds(wrong: Any) -> None:
    with pytest.raises(
        UsageError, match="the ttl of a lease is a number of seconds above 0 and up to 9,000,000,000"
    ) as caught:
        to_timeout_ms(wrong, "the ttl of a lease")
    assert repr(wrong) in str(caught.value)
    assert caught.value.reason is Reason.INVALID_ARGUMENT


def test_what_is_let_through_the_store_takes() -> None:
    assert to_timeout_ms(LONGEST, "x") == Limits().lease_ttl_max_ms
    assert to_timeout_ms(0.0001, "x") == 1
