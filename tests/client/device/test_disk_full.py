"""A disk that is full: one clear sentence, nothing half done, and the vault opens again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.vault.vault import Vault, unlock
from tests.client.device.fakes import PASSPHRASE, new_vault

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import json, os, resource, signal, sys
from pathlib import Path
from client.device import work
from client.device.device import Device
from client.vault.errors import VaultFull
from client.vault.vault import Vault, unlock
from common.expressions import EXPRESSIONS
from tests.client.device.fakes import *

folder, room = Path(sys.argv[1]), int(sys.argv[2])
clips = folder / "clips"
vault = Vault(folder / "device", unlock(folder / "device", PASSPHRASE))
recogniser = FakeRecogniser()
device, done, texts = Device(vault), [], []
paths = [clip_file(clips, "Ada", EXPRESSIONS[n % 8], n, frames=40) for n in range(60)]
size = max(path.stat().st_size for path in (folder / "device").iterdir())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))


def attempt(name, act):
    try:
        act()
        done.append(name)
    except VaultFull as error:
        texts.append(str(error))


attempt("enrol", lambda: work.enrol(vault, recogniser, "Ada", [clip_file(clips, take=99)], YES))
for number, path in enumerate(paths):
    def act(path=path):
        answer = work.recognise(vault, recogniser, path, name=path.name, digest=digest(path))
        if answer.clip:
            done.append(path.name)
            device.correct(answer.clip, "sad" if number % 2 else "calm")
    attempt(f"corrected {path.name}", act)
user = vault.user("Ada")
if user:
    attempt("personalise", lambda: work.personalise(vault, user.id))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
vault.close()
print(json.dumps({"done": done, "texts": sorted(set(texts))}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(
    "room",
    [
        pytest.param(60_000, marks=pytest.mark.slow),
        pytest.param(0, marks=pytest.mark.slow),
        pytest.param(400_000, marks=pytest.mark.slow),
    ],
)
def test_what_was_acknowledged_is_there_and_nothing_else(tmp_path: Path, room: int) -> None:
    (tmp_path / "clips").mkdir()
    new_vault(tmp_path / "device").close()
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(room)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout)
    assert told["texts"], "the limit was never reached"
    for text in told["texts"]:
        assert "the disk is full or can't be written to, so this change was not kept" in text
    with Vault(tmp_path / "device", unlock(tmp_path / "device", PASSPHRASE)) as vault:
        assert vault.damaged() == ()
        clips = {clip.name: clip.label for clip in vault.clips()}
        labelled = {f"corrected {name}" for name, label in clips.items() if label is not None}
        assert set(clips) == {name for name in told["done"] if name.endswith(".mp4")} - {
            name for name in told["done"] if name.startswith("corrected ")
        }
        if vault.users():
            assert labelled == {name for name in told["done"] if name.startswith("corrected ")}
        assert (len(vault.users()) == 1) == ("enrol" in told["done"])
        assert bool(vault.gallery("dlib-resnet/1")) == ("enrol" in told["done"])
