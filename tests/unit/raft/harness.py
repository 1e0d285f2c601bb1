"""A few Raft cores driven by hand, see `unit.cores`."""

from __future__ import annotations

import msgspec

from ringleader.consensus.raft import Raft, RaftOptions
from unit import cores


class Cluster(cores.Cluster[Raft]):
    """`size` members with these options (see `RaftOptions`)."""

    def __init__(self, size: int, seed: int = 1, **options: object) -> None:
        self.options = msgspec.convert(options, RaftOptions)
        super().__init__(lambda id, config, dice: Raft(id, config, dice, self.options), size, seed)
