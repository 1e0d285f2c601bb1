"""`ringleader cert`: what it writes, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import json
import ssl
import stat
from pathlib import Path

import pytest

from cli.harness import Shell
from ringleader.client.tls import client_context
from ringleader.errors import UsageError
from ringleader.node.certificates import make_authority


def test_an_authority_and_its_certificates(tmp_path: Path) -> None:
    shell, folder = Shell(""), tmp_path / "certs"
    assert json.loads(shell.ok("cert", "ca", "-d", str(folder), "--json"))["cert"] == str(folder / "ca.pem")
    shell.ok("cert", "node", "n1", "db.example.com", "192.0.2.1", "-d", str(folder))
    shell.ok("cert", "client", "ann", "-d", str(folder))
    for key in folder.glob("*-key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    names = ssl._ssl._test_decode_cert(str(folder / "n1.pem"))["subjectAltName"]  # type: ignore[attr-defined]  # as asyncio's tests do
    assert names == (("DNS", "n1"), ("DNS", "db.example.com"), ("IP Address", "192.0.2.1"))
    client_context(str(folder / "ca.pem"), str(folder / "ann.pem"), str(folder / "ann-key.pem"))
    before = (folder / "ann.pem").read_bytes()
    assert "is there already" in shell.fails(2, "cert", "client", "ann", "-d", str(folder))
    assert (folder / "ann.pem").read_bytes() == before
    shell.ok("cert", "client", "ann", "-d", str(folder), "--force")
    assert (folder / "ann.pem").read_bytes() != before


def test_what_it_refuses(tmp_path: Path) -> None:
    shell = Shell("")
    assert "there is no authority" in shell.fails(2, "cert", "node", "n1", "-d", str(tmp_path))
    shell.ok("cert", "ca", "-d", str(tmp_path))
    for name in ("../n1", "", "a b", "ca", "x" * 80):
        assert "is no name for" in shell.fails(2, "cert", "client", name, "-d", str(tmp_path))
    assert "'' is no host name" in shell.fails(2, "cert", "node", "n1", "", "-d", str(tmp_path))
    assert "xn--" in shell.fails(2, "cert", "node", "n1", "b\u00fccher.example", "-d", str(tmp_path))
    (tmp_path / "ca-key.pem").write_text("rubbish")
    assert "cannot be understood" in shell.fails(2, "cert", "node", "n1", "-d", str(tmp_path))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        make_authority(tmp_path, "x", 1)
    assert 'pip install "ringleader[tls]"' in str(caught.value)
