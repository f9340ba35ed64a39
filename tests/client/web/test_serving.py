"""The page as a process: where it listens, how it starts and ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import webbrowser
from pathlib import Path

import httpx
import pytest

from client.vault.vault import KeyFile, unlock
from client.web import serving
from common.errors import WorkError
from tests.client.web.fakes import new_vault

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "openvino", "onnxruntime", "dlib", "cv2", "av", "scipy", "flwr")
SERVE = (
    "import sys; from pathlib import Path; from client.web import serve; "
    "serve(Path(sys.argv[1]), sys.stdin.buffer.read(32), port=0)"
)


def test_the_page_loads_no_model() -> None:
    program = f"import sys, client.web; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_it_listens_on_this_computer_only_and_ends_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "device"
    new_vault(folder).close()
    (folder / "device.json").write_text('{"key": {"source": "passphrase"}}')
    folder.chmod(0o700)
    command = [sys.executable, "-c", SERVE, str(folder)]
    door = folder / serving.DOOR
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "BROWSER": "true"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(unlock(folder, KeyFile(folder / "key")))
        process.stdin.close()
        link = re.search(rb"http://127\.0\.0\.1:(\d+)/\?token=(\S{40,})", process.stdout.readline())
        assert link is not None
        with httpx.Client() as visitor:
            assert visitor.get(link[0].decode()).status_code == 200
            answer = visitor.get(f"http://127.0.0.1:{int(link[1])}/welcome")
            assert "What is stored" in answer.text
            assert "server" not in answer.headers
        assert listening_addresses(int(link[1])) == {"0100007F"}
        assert stat.S_IMODE(door.stat().st_mode) == 0o600
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert not door.exists()
    assert not list(folder.glob("*-wal"))


def listening_addresses(port: int) -> set[str]:
    """Addresses, as the kernel writes them, on which somebody listens at a port."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("needs Linux's /proc/net/tcp")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    if Path("/proc/net/tcp6").exists():
        rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    found = (row[1].split(":") for row in rows if row[3] == "0A")
    return {address for address, number in found if int(number, 16) == port}


ENDING = """
import signal, sys
import uvicorn
from client.web import serving
server = uvicorn.Server(uvicorn.Config("nothing:here"))
before = signal.getsignal(signal.SIGTERM)
with serving.ending_well(server):
    signal.raise_signal(int(sys.argv[1]))
print(server.should_exit, signal.getsignal(signal.SIGTERM) is before)
"""


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_being_asked_to_end_raises_nothing(asked: signal.Signals) -> None:
    """In a process of its own: only a main thread can take a signal."""
    command = [sys.executable, "-c", ENDING, str(int(asked))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(asked == signal.SIGTERM), "True"]


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(WorkError, match=rf"port {port} can't be used .* --port"),
            serving.listening(port),
        ):
            pass


def test_the_browser_is_led_in_by_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def see(address: str) -> bool:
        door = tmp_path / serving.DOOR
        assert stat.S_IMODE(door.stat().st_mode) == 0o600
        assert "token=a&amp;b" in door.read_text()
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", see)
    with serving.door(tmp_path, "http://127.0.0.1:1/?token=a&b", wanted=True):
        assert (tmp_path / serving.DOOR).exists()
    assert not (tmp_path / serving.DOOR).exists()
    assert len(opened) == 1
    assert "token" not in opened[0]
    with serving.door(tmp_path, "http://127.0.0.1:1/", wanted=False):
        assert not (tmp_path / serving.DOOR).exists()
    assert len(opened) == 1
