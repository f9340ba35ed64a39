import json

import av
import numpy as np
import pytest

from common.errors import UsageError
from common.ravdess import parse_clip_name
from simulations.actors import writer
from simulations.actors.clips import take_frames
from simulations.actors.manifest import MANIFEST
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import encode_mp4, write_actors

TINY = ClipPlan(statements=(1,), intensities=(1,), repetitions=(1,), frames=3, size=64)


def decoded(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        assert not container.streams.audio
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_clips_decode_to_the_promised_frames(tmp_path):
    paths = write_actors(tmp_path, actors=1, seed=7, plan=TINY)
    assert [path.name for path in paths] == [f"01-01-0{e}-01-01-01-01.mp4" for e in range(1, 9)]
    assert {path.parent.name for path in paths} == {"Actor_01"}
    frames = decoded(paths[2])
    drawn = list(take_frames(7, parse_clip_name(paths[2].stem).take, TINY))
    assert len(frames) == 3
    error = np.abs(np.array(frames, float) - np.array(drawn, float)).mean()
    assert error < 6.0
    with av.open(str(paths[0])) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 25


def test_twins_hold_the_same_frames_compressed_otherwise(tmp_path):
    paths = write_actors(tmp_path, actors=1, seed=7, plan=TINY, twins=True)
    assert len(paths) == 16
    first = tmp_path / "Actor_01" / "01-01-03-01-01-01-01.mp4"
    second = tmp_path / "Actor_01" / "02-01-03-01-01-01-01.mp4"
    assert first.read_bytes() != second.read_bytes()
    a, b = np.array(decoded(first), float), np.array(decoded(second), float)
    assert 0.0 < np.abs(a - b).mean() < 5.0


def test_several_workers_write_the_same_files(tmp_path):
    alone = write_actors(tmp_path / "one", actors=1, seed=7, plan=TINY)
    calls = []
    shared = write_actors(
        tmp_path / "two",
        actors=1,
        seed=7,
        plan=TINY,
        workers=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert [p.read_bytes() for p in alone] == [p.read_bytes() for p in shared]
    assert calls == [(i, 8) for i in range(1, 9)]


def test_what_is_there_is_not_drawn_again(tmp_path, monkeypatch):
    paths = write_actors(tmp_path, actors=1, seed=7, plan=TINY)
    paths[3].unlink()
    drawn = []
    monkeypatch.setattr(writer, "take_frames", lambda *a: drawn.append(a) or take_frames(*a))
    assert write_actors(tmp_path, actors=1, seed=7, plan=TINY) == paths
    assert [arguments[1] for arguments in drawn] == [parse_clip_name(paths[3].stem).take]


def test_a_broken_run_leaves_no_part_of_a_clip(tmp_path, monkeypatch):
    def breaks(seed, take, plan):
        if take.expression == 3:
            raise RuntimeError("power cut")
        return take_frames(seed, take, plan)

    monkeypatch.setattr(writer, "take_frames", breaks)
    with pytest.raises(RuntimeError, match="power cut"):
        write_actors(tmp_path, actors=1, seed=7, plan=TINY)
    files = sorted(path.name for path in (tmp_path / "Actor_01").iterdir())
    assert files == ["01-01-01-01-01-01-01.mp4", "01-01-02-01-01-01-01.mp4"]
    monkeypatch.undo()
    assert len(write_actors(tmp_path, actors=1, seed=7, plan=TINY)) == 8


def test_manifest_says_what_was_drawn_and_that_it_is_synthetic(tmp_path):
    write_actors(tmp_path, actors=1, seed=7, plan=TINY)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["synthetic"] is True
    assert manifest["sound"] is False
    assert manifest["seed"] == 7
    assert manifest["plan"]["frames"] == 3


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"seed": 8}, "seed"), ({"actors": 2}, "actors"), ({"twins": True}, "twins")],
)
def test_a_folder_of_other_actors_is_refused(tmp_path, changed, word):
    write_actors(tmp_path, actors=1, seed=7, plan=TINY)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=word):
        write_actors(tmp_path, **({"actors": 1, "seed": 7, "plan": TINY} | changed))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_broken_manifest_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UsageError, match=MANIFEST):
        write_actors(tmp_path, actors=1, seed=7, plan=TINY)


def test_real_recordings_are_never_mixed_with_synthetic_ones(tmp_path):
    (tmp_path / "Actor_01").mkdir()
    with pytest.raises(UsageError, match="Actor_"):
        write_actors(tmp_path, actors=1, seed=7, plan=TINY)
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.parametrize("wrong", [{"actors": 0}, {"actors": 25}, {"workers": 0}])
def test_impossible_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError):
        write_actors(tmp_path, **({"actors": 1, "seed": 7, "plan": TINY} | wrong))


def test_a_clip_needs_a_frame():
    with pytest.raises(UsageError, match="frame"):
        encode_mp4([], fps=25)
