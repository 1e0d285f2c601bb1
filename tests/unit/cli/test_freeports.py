"""Ports for servers that come and go."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ringleader.cli import freeports
from ringleader.cli.freeports import free_ports


def test_none_is_taken_and_none_is_of_the_range_for_outgoing_connections() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert all(freeports.LOWEST <= port < freeports._outgoing_begins() for port in found)
    held = socket.socket()
    held.bind(("127.0.0.1", found[0]))
    held.close()


def test_when_all_others_are_taken_any_port_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("1024 65535\n", "rubbish"):
        (tmp_path / "range").write_text(text)
        monkeypatch.setattr(freeports, "OUTGOING_RANGE", tmp_path / "range")
        assert len(set(free_ports(3))) == 3
