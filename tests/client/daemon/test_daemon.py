"""The daemon as a process: inboxes, signals, what survives, what it never loads."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from client.daemon.socket import ask, data_key
from tests.client.daemon.fake_worker import BROKEN, CRASH, GUEST, HANG
from tests.client.daemon.fakes import (
    ROOT,
    MadeDevice,
    add_user,
    alive,
    daemon_process,
    make_device,
    start_daemon,
    status,
    wait_for,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
HEAVY = (
    "torch",
    "openvino",
    "onnxruntime",
    "dlib",
    "cv2",
    "av",
    "flwr",
    "scipy",
    "client.device.work",
)


@pytest.fixture
def device(tmp_path: Path) -> MadeDevice:
    device = make_device(tmp_path)
    add_user(device)
    return device


def stored(device: MadeDevice) -> list[str]:
    with device.vault() as vault:
        return sorted(clip.name for clip in vault.clips())


def settled(device: MadeDevice, total: int) -> bool:
    clips = status(device)["clips"]
    return bool(clips["recognised"] + clips["known"] + clips["refused"] >= total)


def test_clips_are_taken_once_guests_leave_nothing_and_broken_ones_are_named_once(
    device: MadeDevice,
) -> None:
    contents = {"a.mp4": b"a", "guest.mp4": GUEST, "broken.mp4": BROKEN, "notes.txt": b"text"}
    for name, content in contents.items():
        (device.inbox / name).write_bytes(content)
    with daemon_process(device) as process:
        wait_for(lambda: settled(device, 4))
        shutil.copy(device.inbox / "a.mp4", device.inbox / "copy of a.mp4")
        wait_for(lambda: settled(device, 5))
        told = status(device)
        assert told["clips"] == {
            "recognised": 2,
            "guests": 1,
            "known": 1,
            "refused": 2,
            "personalised": 0,
        }
        assert {each["file"]: each["text"][:12] for each in told["problems"]} == {
            "broken.mp4": "this clip is",
            "notes.txt": "it is not ta",
        }
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors.count("mien device status") == 2, errors
    assert "broken" not in errors, "a log that is kept names no files"
    assert stored(device) == ["a.mp4"]
    with daemon_process(device):
        wait_for(lambda: settled(device, 5))
        clips = status(device)["clips"]
        assert (clips["known"], clips["recognised"], clips["guests"]) == (2, 1, 1)
    assert stored(device) == ["a.mp4"]


def test_ended_in_the_middle_of_a_job_nothing_is_lost(device: MadeDevice) -> None:
    path = device.inbox / "a.mp4"
    path.write_bytes(HANG)
    with daemon_process(device) as process:
        wait_for(lambda: status(device)["worker"]["busy"])
        wait_for(lambda: status(device)["worker"]["process"])
        worker = status(device)["worker"]["process"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=5)  # the limit that the issue sets
    assert process.returncode == 0
    assert not alive(worker)
    assert stored(device) == []
    assert not (device.folder / "daemon.sock").exists()
    assert not (device.folder / "daemon.json").exists()
    stamp = path.stat().st_mtime_ns
    path.write_bytes(b"now it works")
    os.utime(path, ns=(stamp, stamp))
    with daemon_process(device):
        wait_for(lambda: stored(device) == ["a.mp4"])


def test_killed_it_leaves_no_worker_and_the_next_one_starts(device: MadeDevice) -> None:
    (device.inbox / "a.mp4").write_bytes(HANG)
    with daemon_process(device) as process:
        wait_for(lambda: status(device)["worker"]["process"])
        worker = status(device)["worker"]["process"]
        process.kill()
        process.wait()
        wait_for(lambda: not alive(worker))
        assert (device.folder / "daemon.sock").exists()
        assert ask(device.folder, "status") is None
    (device.inbox / "a.mp4").write_bytes(b"a")
    with daemon_process(device):
        wait_for(lambda: stored(device) == ["a.mp4"])


def test_a_crash_of_the_worker_is_told_and_the_next_clip_is_taken(device: MadeDevice) -> None:
    (device.inbox / "a.mp4").write_bytes(CRASH)
    with daemon_process(device):
        wait_for(lambda: settled(device, 1))
        (device.inbox / "b.mp4").write_bytes(b"b")
        wait_for(lambda: stored(device) == ["b.mp4"])
        told = status(device)
        assert told["worker"]["crashes"] == 1
        assert "SIGKILL" in told["problems"][0]["text"]


def test_a_second_daemon_is_refused(device: MadeDevice) -> None:
    with daemon_process(device) as first:
        with start_daemon(device) as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 1
        assert errors == (
            f"UsageError: {device.folder}: can't start a daemon: a daemon (process {first.pid}) "
            "runs on this device; end it with `mien device stop`\n"
        )
        assert status(device)["process"] == first.pid


def test_asked_to_stop_it_ends(device: MadeDevice) -> None:
    with daemon_process(device) as process:
        assert data_key(device.folder) == device.data_key
        assert ask(device.folder, "stop") == {"process": process.pid}
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert data_key(device.folder) is None


def test_it_is_small_and_shows_its_key_to_nobody(device: MadeDevice) -> None:
    with daemon_process(device) as process:
        place = Path(f"/proc/{process.pid}")
        maps = (place / "maps").read_text()
        assert not [name for name in HEAVY if f"/{name}/" in maps]
        kibibytes = next(
            int(line.split()[1])
            for line in (place / "status").read_text().splitlines()
            if line.startswith("VmRSS")
        )
        assert kibibytes < 150 * 1024
        told = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        key = device.data_key
        for form in (key, base64.b64encode(key), key.hex().encode()):
            assert form not in told
            for path in device.folder.rglob("*"):
                assert path.is_socket() or form not in path.read_bytes()
        for path in device.folder.iterdir():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
        assert re.search(r"Max core file size +0 ", (place / "limits").read_text())


def test_heads_are_fitted_when_that_is_due_and_once_for_the_same_labels(
    device: MadeDevice,
) -> None:
    with device.vault() as vault:
        vault.set_setting("features", "made-up")
    with daemon_process(device):
        (device.inbox / "a.mp4").write_bytes(b"a")
        (device.inbox / "b.mp4").write_bytes(b"b")
        (device.inbox / "c.mp4").write_bytes(b"c")
        wait_for(lambda: len(stored(device)) == 3)
        with device.vault() as vault:
            for clip in vault.clips():
                assert not vault.setting("personalised", [])
                vault.label(clip.id, 3)
            wait_for(lambda: vault.setting("personalised", []) == ["Ada"])
            vault.set_setting("unrelated", 1)
            time.sleep(1.5)  # long enough for another look at what is due
            assert vault.setting("personalised", []) == ["Ada"]
            vault.undo_label(clip.id)
            vault.label(clip.id, 4)
            wait_for(lambda: vault.setting("personalised", []) == ["Ada", "Ada"])


@pytest.mark.parametrize(
    "module",
    [
        "client.daemon.daemon",
        "client.daemon.socket",
        "client.daemon.workers",
        "client.daemon.worker",
        "client.daemon.units",
        "cli.device",
        "cli.device_setup",
    ],
)
def test_nothing_heavy_is_imported(module: str) -> None:
    program = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
