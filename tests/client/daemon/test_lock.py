"""One daemon per device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.daemon.lock import device_lock
from common.errors import UsageError
from tests.client.daemon.fakes import ROOT

HOLD = """
import sys, time
from pathlib import Path
from client.daemon.lock import device_lock
with device_lock(Path(sys.argv[1]), "hold"):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_a_lock_is_held_by_one_and_ends_with_its_block(tmp_path: Path) -> None:
    with (
        device_lock(tmp_path, "start"),
        pytest.raises(UsageError, match=f"can't start too: a daemon .process {os.getpid()}."),
        device_lock(tmp_path, "start too"),
    ):
        pass
    with device_lock(tmp_path, "start again"):
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(UsageError, match=f"process {holder.pid}"),
            device_lock(tmp_path, "start"),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
    with device_lock(tmp_path, "start"):
        assert (tmp_path / "daemon.lock").read_text() == f"{os.getpid()}\n"
