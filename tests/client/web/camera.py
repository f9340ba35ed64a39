"""What the browser's fake camera shows, as motion JPEG, and the browser itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from common.expressions import expression_index
from common.ravdess import AUDIO_VIDEO, SPEECH, ClipName
from simulations.actors.clips import take_frames
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import encode_mp4

Frame = NDArray[np.uint8]
WIDTH, HEIGHT = 640, 480
FRAMES_PER_SECOND = 30
"""Chromium plays motion JPEG at this rate, whatever the file says."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


def chromium() -> str:
    """Chromium's path; skips the test, with the reason, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs Chromium (Debian's package chromium) on PATH")
    pytest.importorskip("playwright", reason="needs playwright, which `make setup` installs")
    return found


def film(frames: Iterable[Frame], path: Path) -> Path:
    """Write RGB frames as motion JPEG."""
    with av.open(str(path), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=Fraction(FRAMES_PER_SECOND))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        stream.options = {"qmin": "2", "qmax": "4"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def clip_frames(path: Path) -> Iterator[Frame]:
    """A clip as a camera of 640 by 480 would show it: the whole picture between dark edges."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            side = round(HEIGHT * picture.shape[1] / picture.shape[0])
            yield _widened(cv2.resize(picture, (side, HEIGHT), interpolation=cv2.INTER_AREA))


def actor_frames(actor: int, expression: str, *, seed: int = 7, count: int = 36) -> list[Frame]:
    """A synthetic actor who shows an expression, forth and back."""
    plan = ClipPlan(frames=count, size=HEIGHT, fps=FRAMES_PER_SECOND // 2, noise=0.0)
    take = ClipName(AUDIO_VIDEO, SPEECH, expression_index(expression) + 1, 2, 1, 1, actor).take
    frames = [_widened(frame) for frame in take_frames(seed, take, plan)]
    return [*frames, *frames[-2:0:-1]]


def clip_file(frames: list[Frame], path: Path) -> Path:
    """Frames as a file that a person could have at hand."""
    path.write_bytes(encode_mp4(frames, fps=FRAMES_PER_SECOND))
    return path


def _widened(frame: Frame) -> Frame:
    left = (WIDTH - frame.shape[1]) // 2
    right = WIDTH - frame.shape[1] - left
    widened = cv2.copyMakeBorder(frame, 0, 0, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(widened, dtype=np.uint8)
