"""Text that several people edit at once: an event-graph walker with Fugue order.

From the bottom: `graph` (who knew what), `oplog` (what was typed where), `walker` and `replay` (what that means in the
merged text), `rope` (the text), `part` (what is sent and stored), `receive`, `history`, `stable`, and `text`, the type.
"""

from ringleader.crdt.text.history import TextEdit
from ringleader.crdt.text.text import Text

__all__ = ["Text", "TextEdit"]
