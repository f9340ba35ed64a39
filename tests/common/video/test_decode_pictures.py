"""Pictures before they are RGB: the same frames, reduced without the detour."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from common.video import Image
from common.video.decode import frames, pictures
from tests.common.video.clips import SIZE, flat_images, numbers, write_video
from tests.common.video.files import encode, rotated
from tests.support import shared_video

COUNT = 7
LEAST_PSNR = 36.0
"""Decibels.  Pixels skipped instead of averaged give 15 to 35.7 at all sides below but 90."""


def scene(height: int, width: int, index: int = 0) -> Image:
    """Soft shapes and some fine grain, another one per index."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    random = np.random.default_rng(index)
    waves = [
        127 + 90 * np.sin(rows / height * a + index) * np.cos(columns / width * b)
        for a, b in random.uniform(4, 14, (3, 2))
    ]
    grain = random.normal(0, 6, (height, width, 1))
    return np.clip(np.stack(waves, axis=2) + grain, 0, 255).astype(np.uint8)


def oracle(image: Image, longer_side: int) -> npt.NDArray[np.float64]:
    """The whole picture, averaged."""
    height, width = image.shape[:2]
    ratio = min(1.0, longer_side / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float64)


def psnr(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    assert one.shape == other.shape
    error = float(np.square(one - other).mean())
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("pictures") / "clip.mp4", flat_images(COUNT))


@given(every=st.integers(1, 9), most=st.none() | st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_pictures_are_the_frames(clip: Path, every: int, most: int | None) -> None:
    seen = list(pictures(clip, every=every, max_frames=most))
    expected = list(range(0, COUNT, every))[:most]
    assert [picture.index for picture in seen] == expected
    assert numbers([picture.image() for picture in seen]) == expected
    assert [picture.time for picture in seen] == pytest.approx([i / 25 for i in expected])
    assert {(picture.height, picture.width) for picture in seen} == {SIZE}


def test_a_picture_outlives_its_file(clip: Path) -> None:
    source = pictures(clip)
    first = next(source)
    assert len(list(source)) == COUNT - 1
    assert numbers([first.image()]) == [0]
    assert numbers([first.reduced(10)]) == [0]


def test_images_are_arrays_of_their_own(tmp_path: Path) -> None:
    """Also where the file holds RGB, so that nothing has to be converted."""
    path = encode(tmp_path / "rgb.mov", [scene(24, 32)], codec="qtrle", pixels="rgb24")
    (picture,) = pictures(path)
    image = picture.image()
    assert np.array_equal(image, scene(24, 32))
    before = image.copy()
    image[:] = 0
    assert np.array_equal(picture.image(), before)


@pytest.mark.parametrize("bad", [0, -4])
def test_bad_sizes_are_refused(clip: Path, bad: int) -> None:
    with pytest.raises(UsageError, match=f"threads is {bad}"):
        pictures(clip, threads=bad)
    with pytest.raises(UsageError, match=f"longer_side is {bad}"):
        next(pictures(clip)).reduced(bad)


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix", "height", "width", "degrees"),
    [
        ("libx264", "yuv420p", ".mp4", 120, 160, 0),
        ("libx264", "yuv420p", ".mp4", 120, 160, 90),
        ("libx264", "yuv420p", ".mp4", 120, 160, 180),
        ("libx264", "yuv420p", ".mp4", 120, 160, 270),
        ("libx264", "yuv444p", ".mp4", 121, 161, 0),
        ("libx264", "yuv444p", ".mp4", 121, 161, 90),
        ("libx264", "yuv420p10le", ".mp4", 120, 160, 0),
        ("libx264", "yuv420p10le", ".mp4", 120, 160, 270),
        ("libvpx-vp9", "yuv420p", ".webm", 119, 163, 0),
        ("qtrle", "argb", ".mov", 121, 161, 0),
        ("qtrle", "rgb24", ".mov", 121, 161, 0),
        ("mjpeg", "yuvj420p", ".avi", 120, 160, 0),
        ("libx264", "gray", ".mp4", 120, 160, 0),
    ],
)
@pytest.mark.parametrize("side", [1, 17, 60, 90])
def test_reduced_is_the_average_of_the_whole_picture(
    tmp_path: Path,
    codec: str,
    pixels: str,
    suffix: str,
    height: int,
    width: int,
    degrees: int,
    side: int,
) -> None:
    path = encode(tmp_path / f"a{suffix}", [scene(height, width)], codec=codec, pixels=pixels)
    if degrees:
        rotated(path, degrees)
    (picture,) = pictures(path)
    image, small = picture.image(), picture.reduced(side)
    assert (picture.height, picture.width) == image.shape[:2]
    assert image.shape[0] == (width if degrees % 180 else height)
    assert max(small.shape[:2]) == side
    assert small.flags.c_contiguous
    assert psnr(small.astype(np.float64), oracle(image, side)) > LEAST_PSNR


def test_a_small_picture_is_not_enlarged(clip: Path) -> None:
    picture = next(pictures(clip))
    assert np.array_equal(picture.reduced(64), picture.image())
    assert np.array_equal(picture.reduced(9999), picture.image())


def test_threads_change_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [scene(96, 128, i) for i in range(9)])
    one, two = (np.stack(list(frames(path, threads=count))) for count in (1, 3))
    assert np.array_equal(one, two)


def test_reduced_real_frames() -> None:
    for picture in pictures(shared_video("WolfgangLanger_Pexels.mp4"), every=60):
        small = picture.reduced(240)
        assert psnr(small.astype(np.float64), oracle(picture.image(), 240)) > 44
