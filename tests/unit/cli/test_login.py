"""The options before the command: they say who connects, and read secrets from where nobody else can."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringleader.cli.common import connecting
from ringleader.cli.login import remember
from ringleader.errors import UsageError


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in os.environ:
        if name.startswith("RINGLEADER_"):
            monkeypatch.delenv(name)
    yield
    remember(None, None, None, None, None, None)


def file(folder: Path, data: bytes) -> Path:
    path = folder / "secret"
    path.write_bytes(data)
    return path


def test_without_options_the_environment_decides() -> None:
    remember(None, None, None, None, None, None)
    assert connecting.arguments() == {}


def test_a_token_or_a_password_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = file(tmp_path, b"rlt_a_b\r\nsomething else\n")
    remember(None, None, secret, None, None, None)
    assert connecting.arguments() == {"token": "rlt_a_b"}
    remember("ann", secret, None, None, None, None)
    assert connecting.arguments() == {"username": "ann", "password": "rlt_a_b"}
    monkeypatch.setenv("RINGLEADER_PASSWORD", "from there")
    remember("ann", None, None, None, None, None)
    assert connecting.arguments() == {"username": "ann", "password": "from there"}


def test_certificates_are_completed_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGLEADER_CA", "ca.pem")
    monkeypatch.setenv("RINGLEADER_KEY", "bob-key.pem")
    remember(None, None, None, None, "ann.pem", None)
    assert connecting.arguments() == {"ca": "ca.pem", "cert": "ann.pem", "key": ""}
    remember(None, None, None, "other.pem", None, None)
    assert connecting.arguments()["ca"] == "other.pem"


@pytest.mark.parametrize("data", [b"", b"\nsecret\n", b"\xff\n", None])
def test_a_file_that_is_no_secret_is_named(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "none" if data is None else file(tmp_path, data)
    remember(None, None, path, None, None, None)
    with pytest.raises(UsageError, match="--token-file") as caught:
        connecting.arguments()
    assert str(path) in str(caught.value)


def test_one_login_and_a_password_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember("ann", None, file(tmp_path, b"x"), None, None, None)
    with pytest.raises(UsageError, match="not both"):
        connecting.arguments()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    remember("ann", None, None, None, None, None)
    with pytest.raises(UsageError, match="no password of 'ann'"):
        connecting.arguments()
