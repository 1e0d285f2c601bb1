"""A list of replicated values, and the JSON-like document made of maps, lists, text and counters.

`order` is the Fugue order of places, `list` the type, `json` the document.
"""

from ringleader.crdt.sequence.json import JsonDocument
from ringleader.crdt.sequence.list import List

__all__ = ["JsonDocument", "List"]
