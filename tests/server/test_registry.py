"""Releases on the server's disk: one chain, whatever happens to the server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import WorkError
from common.releases.errors import Tampered
from common.releases.signing import read_release
from server.registry import Head, Publication, Registry, RegistryBroken
from tests.common.releases.made import (
    FLEET,
    KEY,
    LABELS,
    OTHER_KEY,
    SPECIFICATION,
    adopted,
    arrays_of,
    hexed,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def registry(folder: Path) -> Registry:
    return Registry(folder / "releases", fleet=FLEET, first_key=hexed(KEY))


def publication(value: float = 1.0, round: int = 1, **changes: str) -> Publication:
    return Publication(
        specification=SPECIFICATION,
        arrays=arrays_of(value),
        round=round,
        metrics={"uar": 0.5},
        expressions=LABELS,
        **changes,  # type: ignore[arg-type]
    )


def filled(folder: Path, count: int) -> Registry:
    made = registry(folder)
    for round in range(1, count + 1):
        made.publish(publication(float(round), round), KEY, now=NOW)
    return made


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "releases").iterdir() if path.name != ".lock")


def test_an_empty_folder_has_no_release(tmp_path: Path) -> None:
    made = registry(tmp_path)
    assert (made.history(), made.head()) == ([], Head(None, hexed(KEY), hexed(KEY)))
    with pytest.raises(WorkError, match="no release 1"):
        made.read(1)


def test_devices_adopt_what_is_published(tmp_path: Path) -> None:
    made = filled(tmp_path, 3)
    history = made.history()
    assert [(each.sequence, each.round) for each in history] == [(1, 1), (2, 2), (3, 3)]
    assert history[0].created == "2026-01-31T12:00:00Z"
    state = adopted()
    for manifest in history:
        state = state.accept(made.path(manifest.sequence)).adopted
    assert state.sha256 == history[-1].sha256
    late = adopted().accept(made.path(1)).adopted
    assert late.accept(made.path(3), made.links(1, 3)).adopted == state
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "releases").iterdir()} == {0o600}


def test_the_same_head_of_the_same_round_is_published_once(tmp_path: Path) -> None:
    made = filled(tmp_path, 2)
    again = made.publish(publication(2.0, 2), KEY)
    assert (again.sequence, files(tmp_path)) == (2, ["00000001.release", "00000002.release"])
    assert made.publish(publication(2.5, 2), KEY).sequence == 3
    assert made.publish(publication(2.5, 3), KEY).sequence == 4


def test_only_the_chains_key_publishes(tmp_path: Path) -> None:
    made = filled(tmp_path, 1)
    with pytest.raises(WorkError, match="must be signed by key"):
        made.publish(publication(2.0, 2), OTHER_KEY)
    made.publish(publication(2.0, 2, next_key=hexed(OTHER_KEY)), KEY)
    assert made.head() == Head(made.history()[1], hexed(KEY), hexed(OTHER_KEY))
    with pytest.raises(WorkError, match="must be signed by key"):
        made.publish(publication(3.0, 3), KEY)
    made.publish(publication(3.0, 3), OTHER_KEY)
    assert made.read(3).manifest.round == 3
    assert [each.sequence for each in registry(tmp_path).history()] == [1, 2, 3]


def test_a_missing_changed_or_foreign_release_is_told(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    folder = tmp_path / "releases"
    second = (folder / "00000002.release").read_bytes()
    for content, reason in (
        (None, "00000002.release is missing"),
        (second[:-1], "cut short"),
        (second[:120] + b"x" + second[121:], "signature"),
        ((folder / "00000001.release").read_bytes(), "does not follow"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy / "releases")
        if content is None:
            (copy / "releases/00000002.release").unlink()
        else:
            (copy / "releases/00000002.release").write_bytes(content)
        broken = Registry(copy / "releases", fleet=FLEET, first_key=hexed(KEY))
        if reason == "cut short":  # tensors are looked at when they are read
            with pytest.raises(WorkError, match=reason):
                broken.read(2)
        else:
            with pytest.raises(RegistryBroken, match=reason):
                broken.history()
            with pytest.raises(RegistryBroken):
                broken.publish(publication(9.0, 9), KEY)
        shutil.rmtree(copy)
    with pytest.raises(RegistryBroken, match="fleet-a"):
        Registry(folder, fleet="fleet-b", first_key=hexed(KEY)).history()
    with pytest.raises(RegistryBroken, match="key"):
        Registry(folder, fleet=FLEET, first_key=hexed(OTHER_KEY)).history()


def test_changed_tensors_are_found_when_they_are_read(tmp_path: Path) -> None:
    made = filled(tmp_path, 1)
    content = made.path(1).read_bytes()
    made.path(1).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Tampered):
        made.read(1)


def test_a_full_disk_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled(tmp_path, 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            made.publish(publication(2.0, 2), KEY)
    assert files(tmp_path) == ["00000001.release"]
    assert made.publish(publication(2.0, 2), KEY).sequence == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.server.test_registry import KEY, publication, registry

real = os.fsync
def die(descriptor):
    real(descriptor)
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync = die
registry(Path(sys.argv[1])).publish(publication(2.0, 2), KEY)
"""


def test_what_a_killed_server_left_is_swept_away(tmp_path: Path) -> None:
    made = filled(tmp_path, 1)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(files(tmp_path)) == 2  # the release and what was not finished
    assert len(made.history()) == 1
    assert made.publish(publication(2.0, 2), KEY).sequence == 2
    assert files(tmp_path) == ["00000001.release", "00000002.release"]


SIDE_BY_SIDE = """
import sys
from pathlib import Path
from tests.server.test_registry import KEY, publication, registry

made = registry(Path(sys.argv[1]))
for number in range(5):
    made.publish(publication(float(sys.argv[2]) + number / 8, 1), KEY)
"""


def test_two_servers_publish_one_chain(tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", SIDE_BY_SIDE, str(tmp_path), value], cwd=ROOT)
        for value in ("10", "20")
    ]
    assert [process.wait() for process in running] == [0, 0]
    made = registry(tmp_path)
    history = made.history()
    assert [each.sequence for each in history] == list(range(1, 11))
    found = {float(made.read(n).arrays["user.bias"][0]) for n in range(1, 11)}
    assert found == {start + n / 8 for start in (10, 20) for n in range(5)}


def test_a_release_is_never_written_over(tmp_path: Path) -> None:
    made = filled(tmp_path, 2)
    before = made.path(1).read_bytes()
    made.publish(publication(1.0, 1), KEY)
    assert made.path(1).read_bytes() == before
    assert read_release(made.path(3), KEY.public_key()).manifest.round == 1
