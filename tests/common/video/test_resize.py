from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video import Image
from common.video.resize import halve, shrink


def picture(height: int, width: int) -> Image:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int, width: int) -> Image:
    """Brightness grows along the diagonal: wherever one looks, one can tell where it was."""
    down, across = np.linspace(0, 127, height)[:, None], np.linspace(0, 127, width)[None]
    return np.repeat((down + across)[..., None], 3, axis=2).astype(np.uint8)


def slow_mean(image: Image, width: int, height: int) -> np.ndarray:
    """Mean over each pixel's area: every old pixel counts as far as it lies in the new one."""
    down, across = shares(image.shape[0], height), shares(image.shape[1], width)
    return np.einsum("ij,jkc,lk->ilc", down, image.astype(float), across, optimize=True)


def shares(before: int, after: int) -> np.ndarray:
    """(after, before): share of each old pixel in each new one, along one side."""
    new, old = np.arange(after)[:, None] * before / after, np.arange(before)[None]
    overlap = np.minimum(new + before / after, old + 1) - np.maximum(new, old)
    return overlap.clip(0) * after / before


@given(height=st.integers(2, 40), width=st.integers(2, 40))
@settings(deadline=None)
def test_half_a_picture_is_the_mean_of_each_four_pixels(height: int, width: int) -> None:
    image = picture(height, width)
    rows, columns = height // 2, width // 2
    even = image[: 2 * rows, : 2 * columns].astype(float)
    expected = even.reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3))
    half = halve(image)
    assert half.dtype == np.uint8
    assert half.shape == (rows, columns, 3)
    assert np.abs(half - expected).max() <= 0.5


def test_half_of_a_part_of_a_picture() -> None:
    image = picture(20, 20)
    part = image[3:13, 5:15]
    assert np.array_equal(halve(part), halve(part.copy()))


@given(data=st.data())
@settings(deadline=None)
def test_any_size_down_to_a_pixel(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    size = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    small = shrink(np.full((height, width, 3), (9, 99, 199), np.uint8), *size)
    assert small.dtype == np.uint8
    assert small.shape == (size[1], size[0], 3)
    assert (small == (9, 99, 199)).all()


def test_same_size_is_the_same_picture() -> None:
    image = picture(7, 9)
    assert np.array_equal(shrink(image, 9, 7), image)


@pytest.mark.parametrize("times", [2, 4, 8])
def test_powers_of_two_are_means_over_blocks(times: int) -> None:
    image = picture(48, 64)
    small = shrink(image, 64 // times, 48 // times)
    # each halving rounds once
    assert np.abs(small - slow_mean(image, 64 // times, 48 // times)).max() <= np.log2(times) / 2


@pytest.mark.parametrize(
    ("before", "after"),
    [((60, 80), (23, 31)), ((71, 93), (10, 13)), ((97, 61), (96, 60)), ((90, 120), (30, 40))],
)
def test_close_to_the_mean_over_each_pixels_area(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    height, width = after
    image = ramp(*before)
    difference = shrink(image, width, height) - slow_mean(image, width, height)
    assert np.abs(difference).max() < 8  # an odd last row or column moves it a little
    assert abs(difference.mean()) < 4


def test_no_pixel_is_skipped() -> None:
    rows, columns = np.indices((150, 150))
    board = np.repeat(((rows + columns) % 2 * 255)[..., None], 3, axis=2).astype(np.uint8)
    for side in (75, 60, 40, 30, 10):
        assert np.abs(shrink(board, side, side).astype(int) - 127).max() <= 1
