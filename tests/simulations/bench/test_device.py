"""The device's benchmark: what it measures is what it says."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from client.device.place import write_device
from client.vault.keys import KeyFile, make_key_file
from client.vault.vault import create_vault
from common.errors import WorkError
from common.video.decode import frames
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from simulations.bench.device import idle_cost, measure_device, recording
from tests.support import shared_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = ClipPlan(statements=(1,), intensities=(1,), repetitions=(1,), frames=18, fps=30)
    return sorted(write_actors(tmp_path_factory.mktemp("clip"), actors=1, seed=0, plan=plan))[0]


def test_a_recording_comes_in_pieces_as_a_camera_would_film_it(clip: Path) -> None:
    pieces = recording(clip)
    due = [seconds for seconds, _ in pieces]
    assert due == sorted(due)
    assert due[0] >= 0.1
    assert due[-1] == pytest.approx(18 / 30)
    assert len(pieces) >= 4
    whole = b"".join(data for _, data in pieces)
    assert len(list(frames(io.BytesIO(whole), name="whole"))) == 18
    some = b"".join(data for _, data in pieces[:3])
    filmed = due[2] * 30
    assert 0 < len(list(frames(io.BytesIO(some), name="some"))) <= filmed + 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_the_cost_of_rest_is_read_from_a_daemon_that_ends(tmp_path: Path) -> None:
    make_key_file(tmp_path / "key")
    create_vault(tmp_path / "device", KeyFile(tmp_path / "key")).close()
    key = {"source": "file", "path": str(tmp_path / "key")}
    write_device(tmp_path / "device", {"key": key, "inboxes": []})
    seen: list[tuple[int, int]] = []
    told = idle_cost(tmp_path / "device", 1.0, lambda _, done, total: seen.append((done, total)))
    assert 0 <= told["idle_cpu_percent"] < 100
    assert 10 < told["idle_pss_mb"] <= told["idle_rss_mb"] < 150
    assert seen
    assert not (tmp_path / "device" / "daemon.sock").exists()


def test_a_daemon_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="the daemon did not start"):
        idle_cost(tmp_path / "nothing", 1.0, lambda *_: None)


@pytest.mark.slow
def test_a_device_is_measured_as_a_whole() -> None:
    clip = shared_video("01-01-08-02-01-01-19.mp4")
    told = measure_device(clip, repeats=1, idle_seconds=1.0, watch=lambda *_: None)
    assert told["clip_seconds"] == 4.0
    assert min(told[name] for name in ("recognise_ms", "first_answer_ms", "last_answer_ms")) > 0
    assert set(told["limits"]) <= set(told)
