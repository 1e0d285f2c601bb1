"""What a bug of the museum is: patches for a while, and where they show most easily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from ringleader.sim.options import Options

__all__ = ["Bug", "set_"]

Patches = Callable[[ExitStack], None]


class Bug(msgspec.Struct, frozen=True):
    """`hazard`: its number in the list of hazards, 0: a rule of the algorithm left out. `says`: what the patch does.
    `focus`: where it shows most easily.

    `first`: the seed with which the suite begins to look, near one that finds it, to spare time.
    """

    name: str
    hazard: int
    says: str
    patches: Patches
    focus: Callable[[Options], Options] = lambda options: options
    first: int = 1

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The code with the bug in it."""
        with ExitStack() as stack:
            self.patches(stack)
            yield


def set_(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Patch an attribute until the stack is left."""
    stack.enter_context(patch.object(owner, name, value))
