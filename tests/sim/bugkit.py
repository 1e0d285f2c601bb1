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


def as_drawn(options: Options) -> Options:
    """No focus: it shows in any seed."""
    return options


class Bug(msgspec.Struct, frozen=True):
    """`hazard`: its number in the list of hazards, 0: a rule of the algorithm left out. `says`: what the patch does.
    `focus`: where it shows most easily. `protocol`: the one that it is a bug of, where that is not Raft.
    """

    name: str
    hazard: int
    says: str
    patches: Patches
    focus: Callable[[Options], Options] = as_drawn
    protocol: str = ""

    @property
    def focused(self) -> bool:
        """Whether it has a focus of its own."""
        return self.focus is not as_drawn

    @property
    def shown(self) -> str:
        """Its name in the table of the docs."""
        return f"{self.name} ({self.protocol})" if self.protocol else self.name

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The code with the bug in it."""
        with ExitStack() as stack:
            self.patches(stack)
            yield


def set_(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Patch an attribute until the stack is left."""
    stack.enter_context(patch.object(owner, name, value))
