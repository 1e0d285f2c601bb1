"""What every check of the simulator raises."""

from __future__ import annotations

__all__ = ["Violation"]


class Violation(Exception):
    """An invariant broke. `invariant`: its name; the text says what happened."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text
