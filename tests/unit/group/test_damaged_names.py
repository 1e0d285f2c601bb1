"""Small files of a data folder in which a byte has rotted that is no text any more: said, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringleader.group.roster import ROSTER_FILE, read_roster
from ringleader.log import LogCorruptError
from ringleader.node.identity import IDENTITY_FILE, read_identity
from ringleader.runtime.disk import FolderDisk


def test_the_list_of_members(tmp_path: Path) -> None:
    (tmp_path / ROSTER_FILE).write_bytes(b'{"v\xb1rsion":1}')
    with pytest.raises(LogCorruptError, match="list of members is damaged"):
        read_roster(FolderDisk(tmp_path))


def test_the_identity(tmp_path: Path) -> None:
    (tmp_path / IDENTITY_FILE).write_bytes(b'{"version":1,"cluster":"\xb1"}')
    with pytest.raises(LogCorruptError, match="identity file is damaged"):
        read_identity(FolderDisk(tmp_path))
