"""Pictures are well-formed, complete, inside the page, escaped, and the same bytes every time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from ringleader.sim.picture import Arrow, Diagram, Mark, Sign, draw, space_time
from ringleader.sim.trace import FIRST_CLIENT, Kind, Trace
from ringleader.store.commands import Put, PutResult

NAMES = {1: "n1", 2: "<n2> & co", 3: "n3"}


def example() -> Diagram:
    events: list[Mark | Arrow] = [
        Mark(0.0, 1, Sign.STANDS, "term 1"),
        Arrow(0.0, 0.5, 1, 2, 'vote for "me" <now> & here?'),
        Arrow(0.0, None, 1, 3, "vote", 0.5),
        Mark(0.6, 1, Sign.LEADS, "x" * 80),
        Mark(0.7, 2, Sign.CRASH, "power cut"),
        Mark(50.0, 2, Sign.START),
        Mark(51.0, 0, Sign.NOTE, "the network heals"),
    ]
    return Diagram("A <test> & more", NAMES, events)


def test_it_is_well_formed_and_shows_everything_inside_the_page() -> None:
    root = ElementTree.fromstring(draw(example()))
    page_width, page_height = float(root.attrib["width"]), float(root.attrib["height"])
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "A <test> & more" in texts
    assert 'vote for "me" <now> & h…vote for "me" <now> & here?' in texts  # cut, and whole for the pointer
    assert "the network heals" in texts
    for node in root.iter():
        for name, limit in (
            ("x", page_width),
            ("x1", page_width),
            ("x2", page_width),
            ("y", page_height),
            ("y2", page_height),
        ):
            if name in node.attrib:
                assert 0 <= float(node.attrib[name]) <= limit, ElementTree.tostring(node)
    classes = [node.attrib.get("class") for node in root.iter()]
    assert classes.count("arrow") == 1
    assert classes.count("lost") == 1
    assert classes.count("down") == 1
    assert classes.count("reign") == 1


def test_a_silence_is_short_and_arrows_never_run_upwards() -> None:
    root = ElementTree.fromstring(draw(example()))
    assert float(root.attrib["height"]) < 500
    for node in root.iter("{http://www.w3.org/2000/svg}line"):
        assert float(node.attrib["y1"]) <= float(node.attrib["y2"])


def test_equal_diagrams_give_equal_bytes() -> None:
    assert draw(example()) == draw(example())


def test_events_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="order of time"):
        draw(Diagram("", NAMES, [Mark(2.0, 1, Sign.START), Mark(1.0, 1, Sign.CRASH)]))


def test_a_trace_of_the_simulator_becomes_a_picture() -> None:
    trace = Trace()
    trace.add((0.1, Kind.START, 1, 0, "life 1", 0.0))
    trace.add((0.2, Kind.CALL, FIRST_CLIENT, 0, Put(b"k", b"v"), 0.0))
    trace.add((0.3, Kind.ROLE, 1, 0, "is leader of term 1, leader n1", 0.0))
    trace.add((0.4, Kind.COMMIT, 1, 0, (1, 2), 0.0))
    trace.add((0.5, Kind.RETURN, FIRST_CLIENT, 0, (Put(b"k", b"v"), [PutResult(2)]), 0.0))
    picture = space_time(trace, "run")
    for words in ("put k", "put k: revision 2", "commits 1 to 2", "is leader of term 1", ">c1<"):
        assert words in picture
    assert picture == space_time(trace, "run")
    assert ElementTree.fromstring(space_time([])).tag.endswith("svg")
