"""The event-graph walker: turns edits as they were typed into edits of the merged text.

Two people who type at the same time each give positions in the text *they* saw. To replay both into one text, the
walker visits the events in causal order and keeps, only for the stretch of history that is concurrent, a list of
*items* (runs of characters). Each item is in two states at once:

* the **prepare** state, as of the version in which the next event was made: not yet inserted (0), inserted (1), or
  removed once or more (2 and up). Moving that version back (*retreat*) or forth (*advance*) adds or takes 1.
* the **effect** state, as of everything visited: present, or removed.

An event's position is looked up by prepare states, and given out again counted by effect states. Concurrent inserts at
one place are ordered by the Fugue rule (Weidner & Kleppmann, "The Art of the Fugue"), which never mixes two people's
words, typed forwards or backwards. The text from before the concurrent stretch is one item, the placeholder, of endless
length, whose characters have negative ids.

Gentle & Kleppmann, "Collaborative Text Editing with Eg-walker: Better, Faster, Smaller", EuroSys 2025, sections
3.2-3.5.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from ringleader.crdt.text.graph import Frontier, Span
from ringleader.crdt.text.oplog import DELETE, INSERT, OpLog

__all__ = ["BeyondEndError", "Edit", "Item", "Walker"]

Edit = tuple[int, int, int, int]
"""`(INSERT or DELETE, position in the merged text, number of characters, first lv)`"""

_BASE = -(1 << 60)  # id of the placeholder's first character
_BASE_LENGTH = 1 << 59
_NOWHERE = -1  # as a left origin the beginning, as a right parent the end
_BLOCK = 48  # items per block before it is halved


class BeyondEndError(Exception):
    """An event gives a position beyond the end of the text its author saw: no honest replica makes one."""


class Item:
    """A run of characters inserted one after the other, in one state."""

    __slots__ = ("block", "left", "length", "lv", "removed", "right", "state")

    def __init__(self, lv: int, length: int, left: int, right: int, state: int, removed: bool, block: _Block) -> None:
        self.lv = lv
        self.length = length
        self.left = left
        self.right = right
        self.state = state
        self.removed = removed
        self.block = block


class _Block:
    """Neighbouring items with their total lengths by prepare and by effect state."""

    __slots__ = ("effect", "items", "prepare")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.prepare = 0
        self.effect = 0


class Walker:
    """The items of one concurrent stretch of history that starts at version `base`.

    `length`: of the text at `base`; None when it is not known yet, see `bound`.
    """

    __slots__ = ("_by_id", "_ids", "_target_ids", "_target_rows", "blocks", "edits", "log", "version")

    def __init__(self, log: OpLog, base: Frontier, length: int | None) -> None:
        self.log = log
        self.version = base  # the prepare version
        if length is None:
            length = _BASE_LENGTH
        block = _Block()
        placeholder = Item(_BASE, length, _NOWHERE, _NOWHERE, 1, False, block)
        block.items.append(placeholder)
        block.prepare = block.effect = length
        self.blocks = [block]
        self.edits: list[Edit] = []
        # Items by id, and what each removal removed: rows of (count, first id, step +1 or -1), both sorted.
        self._ids = [_BASE]
        self._by_id = [placeholder]
        self._target_ids: list[int] = []
        self._target_rows: list[tuple[int, int, int]] = []

    def bound(self, length: int) -> None:
        """Cut the endless placeholder so that the whole text, by effect state, has `length` characters."""
        last = self._by_id[bisect_right(self._ids, _NOWHERE) - 1]  # placeholder ids are the negative ones
        excess = sum(block.effect for block in self.blocks) - length
        if last.state != 1 or last.removed or not 0 <= excess <= last.length:
            raise BeyondEndError
        last.length -= excess
        last.block.prepare -= excess
        last.block.effect -= excess

    def __len__(self) -> int:
        """The number of items."""
        return len(self._ids)

    # -- moving ---------------------------------------------------------------------------------------------------

    def visit(self, start: int, end: int, parents: Frontier) -> None:
        """Apply the events `[start, end)`, a chain whose first event has `parents`."""
        if parents != self.version:
            if len(parents) == 1 and self._type_on(start, end, parents[0]):
                return
            self.move_to(parents)
        for kind, position, lv, count in self.log.runs(start, end):
            if kind == INSERT:
                self._insert(lv, count, position)
            elif kind == DELETE:
                self._delete(lv, count, position)
            else:
                self._backspace(lv, count, position)
        self.version = (end - 1,)

    def move_to(self, version: Frontier) -> None:
        """Retreat and advance the prepare states to `version`; all events in between were visited before."""
        retreat, advance = self.log.graph.diff(self.version, version)
        for span in retreat:
            self._shift(span, -1)
        for span in advance:
            self._shift(span, 1)
        self.version = version

    def _shift(self, span: Span, by: int) -> None:
        for kind, _, lv, count in self.log.runs(*span):
            if kind == INSERT:
                self._shift_items(lv, lv + count, by)
                continue
            end = lv + count
            at = bisect_right(self._target_ids, lv) - 1
            while lv < end:
                first = self._target_ids[at]
                length, target, step = self._target_rows[at]
                stop = min(end, first + length)
                if step > 0:
                    self._shift_items(target + lv - first, target + stop - first, by)
                else:
                    self._shift_items(target - (stop - 1 - first), target - (lv - first) + 1, by)
                lv = stop
                at += 1

    def _shift_items(self, low: int, high: int, by: int) -> None:
        """Add `by` to the prepare state of the characters with ids `[low, high)`."""
        at = bisect_right(self._ids, low) - 1
        item = self._by_id[at]
        if item.lv < low:
            self._split(item, low - item.lv)
            at += 1
        while low < high:
            item = self._by_id[at]
            if item.lv + item.length > high:
                self._split(item, high - item.lv)
            state = item.state
            if state == 1:
                item.block.prepare -= item.length
            state += by
            if state == 1:
                item.block.prepare += item.length
            item.state = state
            low = item.lv + item.length
            at += 1

    # -- applying -------------------------------------------------------------------------------------------------

    def _insert(self, lv: int, count: int, position: int) -> None:
        effect = 0
        if position == 0:
            row, at, left = 0, 0, _NOWHERE
        else:
            row, need, effect = self._find_block(position)
            block = self.blocks[row]
            at = 0
            for item in block.items:
                if item.state == 1:
                    if need <= item.length:
                        break
                    need -= item.length
                if not item.removed:
                    effect += item.length
                at += 1
            left = item.lv + need - 1
            if not item.removed:
                effect += need
            at += 1
            if need < item.length:  # inside a run: its rest is the right parent, and nothing can be in between
                rest = self._split(item, need, at)
                self._place(Item(lv, count, left, rest.lv, 1, False, block), block, row, at)
                self.edits.append((INSERT, effect, count, lv))
                return
        block = self.blocks[row]
        if at < len(block.items):
            after = block.items[at]
            if after.state:
                right = after.lv if after.left == left else _NOWHERE
                self._place(Item(lv, count, left, right, 1, False, block), block, row, at)
                self.edits.append((INSERT, effect, count, lv))
                return
        self._integrate(lv, count, left, row, at, effect)

    def _integrate(self, lv: int, count: int, left: int, row: int, at: int, effect: int) -> None:
        """Find the place among inserts that the author did not know, by the Fugue rule."""
        blocks = self.blocks
        unknown: list[tuple[Item, int, int]] = []
        right = _NOWHERE
        block_row, index = row, at
        while block_row < len(blocks):
            items = blocks[block_row].items
            if index == len(items):
                block_row, index = block_row + 1, 0
                continue
            other = items[index]
            if other.state:
                # The right parent is the next known character, but only if both have the same left origin.
                right = other.lv if other.left == left else _NOWHERE
                break
            unknown.append((other, block_row, index))
            index += 1
        place_effect = effect
        skipping = False
        passed: set[int] = set()  # last characters of the items passed: left origins further right than ours
        for other, block_row, index in unknown:
            if other.left == left:
                if other.right == right:
                    if self._id(lv) < self._id(other.lv):
                        break
                    skipping = False
                else:
                    skipping = self._before(other.right, right)
            elif other.left not in passed:
                break  # it hangs on something left of us, so all that follows is further right
            passed.add(other.lv + other.length - 1)
            if not other.removed:
                effect += other.length
            if not skipping:
                row, at, place_effect = block_row, index + 1, effect
        block = blocks[row]
        self._place(Item(lv, count, left, right, 1, False, block), block, row, at)
        self.edits.append((INSERT, place_effect, count, lv))

    def _delete(self, lv: int, count: int, position: int) -> None:
        while count:
            item, offset, effect = self._find(position)
            if offset:
                item = self._split(item, offset)
            taken = min(count, item.length)
            if taken < item.length:
                self._split(item, taken)
            self._remove(item, effect, lv, item.lv, 1)
            lv += taken
            count -= taken

    def _backspace(self, lv: int, count: int, position: int) -> None:
        while count:
            item, offset, effect = self._find(position)
            taken = min(count, offset + 1)
            if offset + 1 < item.length:
                self._split(item, offset + 1)
            if taken <= offset:
                item = self._split(item, offset + 1 - taken)
            if not item.removed:
                effect -= taken - 1
            self._remove(item, effect, lv, item.lv + taken - 1, -1)
            lv += taken
            count -= taken
            position -= taken

    def _remove(self, item: Item, effect: int, lv: int, target: int, step: int) -> None:
        """Remove the whole of `item`; the removing events from `lv` on take `target`, `target + step` ..."""
        block, length = item.block, item.length
        block.prepare -= length
        item.state = 2
        if not item.removed:
            item.removed = True
            block.effect -= length
            self.edits.append((DELETE, effect, length, lv))
        ids = self._target_ids
        if not ids or ids[-1] < lv:
            ids.append(lv)
            self._target_rows.append((length, target, step))
        else:
            at = bisect_right(ids, lv)
            ids.insert(at, lv)
            self._target_rows.insert(at, (length, target, step))

    def _type_on(self, start: int, end: int, parent: int) -> bool:
        """Apply typing that goes on right behind the character that event `parent` inserted; False when it is not that.

        What its author saw there needs no prepare states: left of it stands that character, and nothing that hangs on
        that character was known to the author. So the prepare version stays where it is, and somebody who hears two
        people type in turns need not take back all that the one did in order to understand the other.
        """
        log = self.log
        (kind, position, lv, count), *more = log.runs(start, end)
        if kind != INSERT or more or not log.inserts_before(parent, position):
            return False
        item = self._by_id[bisect_right(self._ids, parent) - 1]
        taken = parent - item.lv + 1
        if taken > item.length:
            return False  # from before the stretch
        row, at = self._place_of(parent)
        effect = sum([block.effect for block in self.blocks[:row]])
        effect += sum([other.length for other in item.block.items[:at] if not other.removed])
        if taken < item.length:
            self._split(item, taken, at + 1)
        if not item.removed:
            effect += item.length
        self._behind(lv, count, parent, row, at + 1, effect)
        return True

    def _behind(self, lv: int, count: int, left: int, row: int, at: int, effect: int) -> None:
        """Place an insert behind `left`, whose author knew nothing that hangs on `left`, by the Fugue rule."""
        place_effect = effect
        skipping = False
        passed: set[int] = set()
        block_row, index = row, at
        while block_row < len(self.blocks):
            items = self.blocks[block_row].items
            if index == len(items):
                block_row, index = block_row + 1, 0
                continue
            other = items[index]
            index += 1
            if other.left == left:
                if other.right == _NOWHERE and self._id(lv) < self._id(other.lv):
                    break
                skipping = other.right != _NOWHERE
            elif other.left not in passed:
                break
            passed.add(other.lv + other.length - 1)
            if not other.removed:
                effect += other.length
            if not skipping:
                row, at, place_effect = block_row, index, effect
        block = self.blocks[row]
        self._place(Item(lv, count, left, _NOWHERE, 0, False, block), block, row, at)
        self.edits.append((INSERT, place_effect, count, lv))

    # -- looking in from outside -----------------------------------------------------------------------------------

    def targets(self, lv: int, count: int) -> list[tuple[int, int, int, int]]:
        """What the removals `[lv, lv + count)` removed: `(offset from lv, length, first id, step)`."""
        found: list[tuple[int, int, int, int]] = []
        at = bisect_right(self._target_ids, lv) - 1
        now, end = lv, lv + count
        while now < end:
            first = self._target_ids[at]
            length, target, step = self._target_rows[at]
            stop = min(end, first + length)
            found.append((now - lv, stop - now, target + step * (now - first), step))
            now = stop
            at += 1
        return found

    def cut(self, lv: int) -> None:
        """Make sure that no item spans the boundary before the character with id `lv`."""
        item = self._by_id[bisect_right(self._ids, lv) - 1]
        if item.lv < lv < item.lv + item.length:
            self._split(item, lv - item.lv)

    def firsts(self, lv: int, length: int) -> list[int]:
        """The ids at which items begin, of those in `[lv, lv + length)`."""
        return self._ids[bisect_left(self._ids, lv) : bisect_left(self._ids, lv + length)]

    # -- the list of items ----------------------------------------------------------------------------------------

    def _find_block(self, count: int) -> tuple[int, int, int]:
        """The block of the `count`-th character by prepare state: row, count still to go, effect length before."""
        effect = 0
        for row, block in enumerate(self.blocks):
            if count <= block.prepare:
                return row, count, effect
            count -= block.prepare
            effect += block.effect
        raise BeyondEndError

    def _find(self, position: int) -> tuple[Item, int, int]:
        """The character at `position` by prepare state: its item, offset in it, and its effect position."""
        row, need, effect = self._find_block(position + 1)
        for item in self.blocks[row].items:
            if item.state == 1:
                if need <= item.length:
                    break
                need -= item.length
            if not item.removed:
                effect += item.length
        return item, need - 1, effect if item.removed else effect + need - 1

    def _split(self, item: Item, offset: int, at: int = -1) -> Item:
        """Cut `item` after `offset` characters; the new item with the rest, which stands right behind it."""
        block = item.block
        lv = item.lv + offset
        rest = Item(lv, item.length - offset, lv - 1, _NOWHERE, item.state, item.removed, block)
        item.length = offset
        items = block.items
        items.insert(items.index(item) + 1 if at < 0 else at, rest)
        row = bisect_right(self._ids, lv)
        self._ids.insert(row, lv)
        self._by_id.insert(row, rest)
        return rest

    def _place(self, item: Item, block: _Block, row: int, at: int) -> None:
        block.items.insert(at, item)
        if item.state:
            block.prepare += item.length
        block.effect += item.length
        lv = item.lv
        if self._ids[-1] < lv:
            self._ids.append(lv)
            self._by_id.append(item)
        else:
            where = bisect_right(self._ids, lv)
            self._ids.insert(where, lv)
            self._by_id.insert(where, item)
        if len(block.items) > _BLOCK:
            self._halve(block, row)

    def _halve(self, block: _Block, row: int) -> None:
        half = len(block.items) // 2
        new = _Block()
        new.items = block.items[half:]
        del block.items[half:]
        for item in new.items:
            item.block = new
            if item.state == 1:
                new.prepare += item.length
            if not item.removed:
                new.effect += item.length
        block.prepare -= new.prepare
        block.effect -= new.effect
        self.blocks.insert(row + 1, new)

    # -- order ----------------------------------------------------------------------------------------------------

    def _id(self, lv: int) -> tuple[bytes, int]:
        return self.log.graph.id_of(lv)

    def _before(self, a: int, b: int) -> bool:
        """Does right parent `a` stand before right parent `b`? (`_NOWHERE` is the end.)"""
        if a == _NOWHERE or b == _NOWHERE:
            return b == _NOWHERE and a != b
        return self._place_of(a) < self._place_of(b)

    def _place_of(self, lv: int) -> tuple[int, int]:
        item = self._by_id[bisect_right(self._ids, lv) - 1]
        return self.blocks.index(item.block), item.block.items.index(item)
