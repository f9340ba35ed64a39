"""Memory is bounded by the batch and the frame size, not by the clip's length."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from common.video import Image
from common.video.extract import MOST_FRAMES
from simulations.actors.clips import take_frames
from simulations.actors.plan import ClipPlan

pytestmark = pytest.mark.slow

FPS = 25
SIZE = 160
_ROOT = Path(__file__).resolve().parents[3]
_EXTRACT = """
import sys
from pathlib import Path

from common.backbones.registry import load
from common.video.extract import extract
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import Tracker

found = extract(Path(sys.argv[1]), load("mini-xception"), Tracker(FastMtcnn()))
status = Path("/proc/self/status").read_text().splitlines()
(peak,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
print(found.decoded, found.with_face, peak)
"""


def synthetic_take(count: int) -> list[Image]:
    plan = ClipPlan(frames=count, size=SIZE)
    return list(take_frames(7, plan.clips(2)[20].take, plan))


def write_loop(path: Path, images: list[Image], count: int) -> Path:
    """`count` frames: the images there and back again, so that nothing jumps."""
    loop = images + images[-2:0:-1]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(loop[index % len(loop)], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def run(path: Path) -> tuple[int, int, int]:
    """Frames looked at, frames with a face, and the peak of memory in KiB."""
    command = [sys.executable, "-c", _EXTRACT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, check=False)
    assert done.returncode == 0, done.stderr
    looked_at, with_face, peak = map(int, done.stdout.split())
    return looked_at, with_face, peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_ten_minutes_need_no_more_memory_than_ten_seconds(tmp_path: Path) -> None:
    images = synthetic_take(20)
    assert len({image.tobytes() for image in islice(images, 5)}) == 5
    short = write_loop(tmp_path / "short.mp4", images, 10 * FPS)
    long = write_loop(tmp_path / "long.mp4", images, 600 * FPS)
    run(short)  # the first one may convert weights, which takes memory of its own
    few, many = run(short), run(long)
    print("peak in KiB:", few[2], many[2])
    assert few[0] == 10 * FPS
    assert many[0] == 600 * FPS / 8 <= MOST_FRAMES
    assert few[1] >= 0.95 * few[0]
    assert many[1] >= 0.95 * many[0]
    assert many[2] <= 1.1 * few[2]
    # a frame is 77 kB: all of them would be a gigabyte
    assert np.prod((SIZE, SIZE, 3)) * 600 * FPS > 2 * 1024 * many[2]
