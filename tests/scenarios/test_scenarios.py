"""Every scenario file tells what really happens, and every page and picture made from them is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.docs import ROOT, wanted

from ringleader.sim.scenario import perform
from scenarios.wrong import WRONG

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))


def _states(trace: str) -> list[list[str]]:
    """What each member has applied, by the table at the end of a trace."""
    table = trace.rpartition("> status\n")[2]
    return [state.replace("-", "").split() for state in re.findall(r"(?m)  state (.*)$", table)]


def _of_raft_as_it_is(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return not any(word in text for word in ("> synod", "> protocol", " bug="))


@pytest.mark.parametrize("path", [path for path in SCENARIOS if _of_raft_as_it_is(path)], ids=lambda path: path.stem)
def test_what_may_happen_to_raft_may_happen_to_paxos(path: Path) -> None:
    """The same moves and misfortunes, message by message; nobody applies anything else than the others."""
    text = path.read_text(encoding="utf-8")
    head, nodes, rest = text.partition("> nodes")
    rest = rest.replace("pre_vote=", "canvass=")
    states = _states(perform(f"{head}> protocol paxos\n{nodes}{rest}> heal\n> run 3000\n> status\n").trace)
    longest = max(states, key=len)
    assert all(state == longest[: len(state)] for state in states)
    assert len(states) == int(rest.split()[0])


def test_both_protocols_are_shown() -> None:
    paxos = [path for path in SCENARIOS if "\n> protocol paxos\n" in path.read_text(encoding="utf-8")]
    assert len(paxos) >= 12
    assert all("-paxos-" in path.name for path in paxos)
    assert len(SCENARIOS) - len(paxos) >= 20


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_stands_in_the_file_is_what_happens(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert perform(text, WRONG).text == text, "if the new trace is right, run `make docs`"


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 12
    assert all("\n  " in path.read_text(encoding="utf-8") for path in SCENARIOS)


def test_all_pages_and_pictures_are_up_to_date() -> None:
    files = wanted()
    stale = [str(path.relative_to(ROOT)) for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make docs`"
    pictures = set((ROOT / "docs" / "learn" / "img").glob("*.svg"))
    assert pictures <= set(files), "a picture that no scenario makes"


def test_pages_name_files_that_exist() -> None:
    for page in (ROOT / "docs" / "learn").glob("*.md"):
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
        for name in re.findall(r"`((?:src|tests|tools)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("> propose 1 x\n", "line 1.*first command must be `nodes`"),
        ("> nodes 3\n> dance 1\n", "line 2.*no such command: dance"),
        ("> nodes 3\n> crash 4\n", "line 2.*no node 4"),
        ("> nodes 3 colour=red\n", "no such option: colour"),
        ("> nodes 3\nstatus\n", "line 2.*neither prose, command nor trace"),
        ("# nothing\n", "begins with"),
        ("> protocol zab\n> nodes 3\n", "line 1.*no such protocol: zab"),
        ("> protocol paxos\n> nodes 3 pre_vote=no\n", "line 2.*no such option: pre_vote"),
        ("> protocol paxos\n> nodes 3 phase2=4\n", "line 2.*does not exist among 3 voters"),
        ("> nodes 3 phase2=2\n", "line 1.*no such option: phase2"),
        ("> nodes 3\n> cut 1>4\n", "line 2.*no node 4"),
        ("> synod 3\n", "line 1.*say `synod ACCEPTORS VALUE"),
        ("> synod 3 red\n> prepare 1 to 1\n", "line 2.*p1 has sent no such message"),
        ("> synod 3 red\n> begin 1\n> prepare 1 1\n", "line 3.*say `to` whom"),
        ("> synod 3 red\n> promise 1 from 2\n", "line 2.*a2 has sent no such message"),
        ("> synod 3 red\n> elect 1\n", "line 2.*no such command: elect"),
    ],
)
def test_a_scenario_that_makes_no_sense_says_where(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        perform(text)
