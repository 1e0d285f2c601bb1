"""Presence: who is in the room, and where is their cursor. Each session writes its own entry; stale ones are swept.

The last sign of life is a plain value in an LWW-map; sweeping is a decision of the reader, by its own clock.

Run: python examples/presence.py
"""

from ringleader.crdt import LWWMap, ReplicaContext

TIMEOUT_MS = 30_000


def here(room: LWWMap[str, tuple[int, int]], now: int) -> list[str]:
    """Who gave a sign of life in the last 30 seconds."""
    return [who for who, (seen, _) in room.items() if now - seen <= TIMEOUT_MS]


def main() -> None:
    """Three people; one closes the lid of the laptop without saying goodbye."""
    now = 1_700_000_000_000
    rooms = {name: LWWMap[str, tuple[int, int]](ReplicaContext(name, lambda: now)) for name in ("ann", "bob", "cat")}

    def gossip() -> None:
        for one in rooms.values():
            for other in rooms.values():
                one.merge(other)

    for cursor, (name, room) in enumerate(rooms.items()):
        room[name] = (now, cursor)
    gossip()
    print("at first:", here(rooms["ann"], now))

    now += 20_000
    rooms["ann"]["ann"] = (now, 17)
    rooms["bob"]["bob"] = (now, 4)
    gossip()
    now += 20_000
    del rooms["bob"]["bob"]  # says goodbye
    gossip()
    print("later:", here(rooms["ann"], now))

    for name in [who for who, (seen, _) in rooms["ann"].items() if now - seen > TIMEOUT_MS]:
        del rooms["ann"][name]  # swept; had cat written meanwhile, the later write would win
    gossip()
    print("swept:", rooms["bob"].keys())
    print("cursor of ann:", rooms["cat"]["ann"][1])


if __name__ == "__main__":
    main()
