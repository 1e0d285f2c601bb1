"""Three people edit one text over TCP, and none of them waits for anybody.

    python examples/collaborative_editor.py            # a hub and three editors on this machine, typing at once
    python examples/collaborative_editor.py serve 9000 # a hub for other machines
    python examples/collaborative_editor.py join HOST 9000   # type lines; each is appended to the shared text

The hub is a replica like any other that also passes on what it hears. A connection begins with one synchronisation
(two messages); after that each change travels as a delta of some fifty bytes. When a connection is lost, people go on
typing; the next connection begins with a synchronisation again. Nothing here has to know about merging.
"""

from __future__ import annotations

import asyncio
import random
import sys

from ringleader.crdt import Change, GapError, Replica, Text
from ringleader.replicas import replica

HELLO, ANSWER, DELTA = b"H", b"A", b"D"
MAX_FRAME = 16 << 20


async def receive(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One frame: four bytes of length, one of kind, the message."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if not 1 <= size <= MAX_FRAME:
        raise ConnectionError(f"a frame of {size} bytes")
    frame = await reader.readexactly(size)
    return frame[:1], frame[1:]


def send(writer: asyncio.StreamWriter, kind: bytes, message: bytes) -> None:
    """Put one frame into the socket's buffer."""
    writer.write((len(message) + 1).to_bytes(4, "big") + kind + message)


class Peer:
    """A replica of the text and its connections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.replica: Replica[Text] = replica(Text)
        self.connections: set[asyncio.StreamWriter] = set()
        self.told = self.text.version  # what the connections have been sent
        self.changed = asyncio.Event()
        self.text.observe(self._on_change)

    @property
    def text(self) -> Text:
        """The shared text; edit it directly."""
        return self.replica.root

    def _on_change(self, change: Change) -> None:
        self.changed.set()

    async def spread(self) -> None:
        """Send what is new, one delta for all that happened since the last round."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            delta = self.text.delta_since(self.told).encode()
            self.told = self.text.version
            for writer in self.connections:
                send(writer, DELTA, delta)
            await asyncio.sleep(0)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, from either end, until it is lost."""
        peer = repr(writer.get_extra_info("peername"))
        send(writer, HELLO, self.replica.ask(peer))
        self.connections.add(writer)
        try:
            while True:
                kind, message = await receive(reader)
                if kind == HELLO:
                    send(writer, ANSWER, self.replica.answer(message))
                elif kind == ANSWER:
                    self.replica.finish(peer, message)
                elif kind == DELTA:
                    try:
                        self.replica.receive(message, origin=peer)
                    except GapError:  # something was lost on the way: ask for all that is missing
                        send(writer, HELLO, self.replica.ask(peer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()


async def connect(peer: Peer, host: str, port: int) -> asyncio.Task[None]:
    """Join a hub; the task ends when the connection does."""
    reader, writer = await asyncio.open_connection(host, port)
    return asyncio.create_task(peer.talk(reader, writer))


async def type_like_a_person(peer: Peer, words: str, rng: random.Random) -> None:
    """Type `words` key by key at the end of an own line, with slips that are taken back."""
    line = f"{peer.name}: "
    peer.text.insert(0, line + "\n")
    for char in words:
        at = str(peer.text).index(line) + len(line)  # others' lines may have moved ours
        end = str(peer.text).index("\n", at)
        if rng.random() < 0.1:
            peer.text.insert(end, "#")
            await asyncio.sleep(0.001)
            end = str(peer.text).index("#", at)
            peer.text.delete(end)
        peer.text.insert(end, char)
        await asyncio.sleep(rng.random() * 0.002)


async def demonstration(seed: int = 1) -> list[str]:
    """A hub and three editors; one loses its connection in the middle. Returns everybody's text."""
    rng = random.Random(seed)
    hub = Peer("hub")
    server = await asyncio.start_server(hub.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    editors = [Peer(name) for name in ("ann", "ben", "eve")]
    tasks = [asyncio.create_task(peer.spread()) for peer in (hub, *editors)]
    links = [await connect(peer, "127.0.0.1", port) for peer in editors]
    sentences = ("The quick brown fox", "jumps over", "the lazy dog \N{DOG FACE}")
    typing = [
        asyncio.create_task(type_like_a_person(peer, words, rng))
        for peer, words in zip(editors, sentences, strict=True)
    ]
    await asyncio.sleep(0.01)
    links[2].cancel()  # eve is offline, and goes on typing
    await asyncio.gather(*typing)
    links[2] = await connect(editors[2], "127.0.0.1", port)
    async with asyncio.timeout(20):
        while len({str(peer.text) for peer in (hub, *editors)}) > 1:  # a demonstration may poll
            await asyncio.sleep(0.01)
    for task in (*tasks, *links):
        task.cancel()
    await asyncio.gather(*tasks, *links, return_exceptions=True)
    server.close()
    await server.wait_closed()
    return [str(peer.text) for peer in (hub, *editors)]


async def serve(port: int) -> None:
    """Run a hub on all interfaces until it is interrupted. There is no authentication: for a trusted network."""
    hub = Peer("hub")
    server = await asyncio.start_server(hub.talk, None, port)
    print(f"hub on port {port}")
    async with server:
        await asyncio.gather(server.serve_forever(), hub.spread())


async def join(host: str, port: int) -> None:
    """Append each line of standard input to the text at the hub, and print the text when it changes."""
    peer = Peer("you")
    link = await connect(peer, host, port)
    spread = asyncio.create_task(peer.spread())
    stop = peer.text.observe(lambda change: print(f"---\n{peer.text}") if not change.local else None)
    while line := await asyncio.to_thread(sys.stdin.readline):
        peer.text.append(line)
    await asyncio.sleep(0.2)
    stop()
    for task in (spread, link):
        task.cancel()


def main() -> None:
    """See the module's docstring."""
    match sys.argv[1:]:
        case []:
            texts = asyncio.run(demonstration())
            print(texts[0], end="")
            print(f"{len(texts)} replicas, {len(set(texts))} text")
        case ["serve", port]:
            asyncio.run(serve(int(port)))
        case ["join", host, port]:
            asyncio.run(join(host, int(port)))
        case _:
            print(__doc__)


if __name__ == "__main__":
    main()
