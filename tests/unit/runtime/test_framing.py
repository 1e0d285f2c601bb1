"""Frames are cut out of a stream however it is chopped, and garbage is named."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringleader.runtime.framing import FrameProtocol, FrameReader, FrameTooLargeError, explain_garbage


def framed(bodies: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(body)) + body for body in bodies)


@given(bodies=st.lists(st.binary(max_size=40), max_size=8), cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_chopping_gives_the_same_frames(bodies: list[bytes], cuts: list[int]) -> None:
    stream = framed(bodies)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader(limit=40)
    found: list[bytes] = []
    for start, end in itertools.pairwise(places):
        found += [bytes(frame) for frame in reader.feed(stream[start:end])]
    assert found == bodies
    assert not reader.partial


def test_a_large_frame_in_small_pieces() -> None:
    body = bytes(range(256)) * 4000
    stream = framed([body, b"next"])
    reader = FrameReader(limit=len(body))
    found: list[bytes] = []
    for start in range(0, len(stream), 1000):
        found += [bytes(frame) for frame in reader.feed(stream[start : start + 1000])]
    assert found == [body, b"next"]


def test_a_cut_frame_is_noticed() -> None:
    reader = FrameReader(limit=100)
    assert reader.feed(framed([b"whole"]) + b"\0\0") != []
    assert reader.partial


def test_a_length_over_the_limit() -> None:
    reader = FrameReader(limit=100)
    with pytest.raises(FrameTooLargeError, match="101 bytes is larger than the limit of 100"):
        reader.feed(struct.pack(">I", 101))


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n", "HTTP"),
        (b"\x16\x03\x01\x02", "TLS"),
        (b"*1\r\n", "Redis"),
    ],
)
def test_other_protocols_are_named(start: bytes, word: str) -> None:
    assert word in explain_garbage(start)
    with pytest.raises(FrameTooLargeError, match=word):
        FrameReader(limit=8 * 1024 * 1024).feed(start)


def uvloop_or_skip() -> asyncio.AbstractEventLoop:
    return cast(asyncio.AbstractEventLoop, pytest.importorskip("uvloop").new_event_loop())


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop_or_skip])
def test_what_is_flushed_has_left_before_the_loop_goes_on(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """The loop may wait for the disk right afterwards: what the other nodes are to write must be on its way by then."""

    async def flush_and_look() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as server:
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_connection(lambda: FrameProtocol(100), *server.getsockname())
            other, _ = server.accept()
            with other:
                other.settimeout(10)
                protocol.send(b"entries")
                protocol.flush()
                found = other.recv(100)  # blocks this thread, and with it the loop
                protocol.abort()
                await asyncio.sleep(0)
                return found

    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(flush_and_look()) == framed([b"entries"])
