"""A data folder is opened by one process at a time, and the other one is told by whom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringleader.errors import Reason, UsageError
from ringleader.runtime.lock import FolderLock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "new" / "folder")
    with pytest.raises(UsageError, match=f"in use by process {os.getpid()}") as caught:
        FolderLock(tmp_path / "new" / "folder")
    assert caught.value.reason is Reason.DATA_IN_USE
    assert caught.value.hint
    lock.release()
    lock.release()
    FolderLock(tmp_path / "new" / "folder").release()


def test_another_process_holds_it_and_its_death_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from ringleader.runtime.lock import FolderLock; "
        "lock = FolderLock(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid}"):
            FolderLock(tmp_path)
        holder.kill()
    FolderLock(tmp_path).release()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot use the data folder") as caught:
        FolderLock(tmp_path / "file" / "folder")
    assert caught.value.reason is Reason.INVALID_ARGUMENT
