from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.video import Image
from common.video.faces import Box
from common.video.mtcnn.cascade import Cascade, Rows, cut, shifted, squared, suppress
from common.video.mtcnn.weights import mtcnn_weights
from common.video.tracking import intersection_over_union

BOXES = st.tuples(*[st.integers(-20, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def picture(height: int, width: int) -> Image:
    return np.random.default_rng(4).integers(1, 256, (height, width, 3), dtype=np.uint8)


def rows(boxes: list[tuple[int, int, int, int]]) -> Rows:
    return np.array(boxes, dtype=float).reshape(-1, 4)


def overlap_of_smaller(one: Box, other: Box) -> float:
    shared = Box(
        *(max(a, b) for a, b in zip(one[:2], other[:2], strict=True)), *map(min, one[2:], other[2:])
    )
    return shared.area / min(one.area, other.area)


def slow_suppress(
    boxes: Rows, probabilities: list[float], overlap: float, *, of_smaller: bool
) -> list[int]:
    """Take the most probable, leave out what overlaps with any taken before."""
    measure = overlap_of_smaller if of_smaller else intersection_over_union
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-probabilities[i], i)):
        box = Box(*boxes[index])
        if all(measure(Box(*boxes[other]), box) <= overlap for other in kept):
            kept.append(index)
    return kept


@given(
    boxes=st.lists(BOXES, max_size=12),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    of_smaller=st.booleans(),
    data=st.data(),
)
def test_suppress_is_what_one_would_do_by_hand(
    boxes: list[tuple[int, int, int, int]], overlap: float, of_smaller: bool, data: st.DataObject
) -> None:
    levels = st.sampled_from([0.6, 0.7, 0.8, 0.9])  # so that there are equals
    sure = data.draw(st.lists(levels, min_size=len(boxes), max_size=len(boxes)))
    kept = suppress(rows(boxes), np.array(sure), overlap, of_smaller=of_smaller)
    assert kept.tolist() == slow_suppress(rows(boxes), sure, overlap, of_smaller=of_smaller)


def test_box_without_area_suppresses_nothing() -> None:
    boxes = rows([(10, 0, 5, 20), (0, 0, 8, 8), (9, 9, 3, 3)])
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 1, 2]


def test_nothing_is_left_of_nothing() -> None:
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


@given(boxes=arrays(float, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(-99, 99)))
def test_squares_have_the_boxes_centres_and_longer_sides(boxes: Rows) -> None:
    for box, square in zip(boxes, squared(boxes), strict=True):
        side = max(box[2] - box[0], box[3] - box[1])
        assert np.allclose(square[2:] - square[:2], side)
        assert np.allclose(square[:2] + square[2:], box[:2] + box[2:])


@given(
    box=BOXES,
    offsets=st.lists(st.floats(-1, 1), min_size=4, max_size=4),
)
def test_edges_are_shifted_by_shares_of_width_and_height(
    box: tuple[int, int, int, int], offsets: list[float]
) -> None:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    (found,) = shifted(rows([box]), np.array([offsets], np.float32))
    moves = np.multiply(offsets, [width, height, width, height])
    assert np.allclose(found, np.add(box, moves), atol=1e-4)


@given(left=st.integers(-30, 50), top=st.integers(-30, 40), side=st.integers(1, 24))
@settings(deadline=None)
def test_cut_at_its_own_size_is_the_picture_and_black_beyond(
    left: int, top: int, side: int
) -> None:
    image = picture(30, 40)
    padded = np.pad(image, ((60, 60), (60, 60), (0, 0)))
    expected = padded[top + 60 : top + 60 + side, left + 60 : left + 60 + side]
    (found,) = cut(image, rows([(left, top, left + side, top + side)]), side)
    assert np.array_equal(found, expected)


@given(
    left=st.integers(-40, 60),
    top=st.integers(-40, 60),
    width=st.integers(1, 80),
    height=st.integers(1, 80),
)
@settings(deadline=None)
def test_cut_of_any_size_has_black_where_the_picture_ends(
    left: int, top: int, width: int, height: int
) -> None:
    image = np.full((30, 40, 3), 200, np.uint8)
    (found,) = cut(image, rows([(left, top, left + width, top + height)]), 24)
    padded = np.pad(image, ((90, 90), (90, 90), (0, 0)))
    plain = padded[top + 90 : top + 90 + height, left + 90 : left + 90 + width]
    expected = cv2.resize(plain, (24, 24), interpolation=cv2.INTER_AREA)
    assert found.shape == (24, 24, 3)
    # the edge of the picture may lie a pixel elsewhere
    assert np.abs(found.astype(float).mean() - expected.mean()) < 200 * 2.5 / 24
    assert found.max() <= 200


def test_edges_are_rounded_to_whole_pixels() -> None:
    image = picture(40, 40)
    (found,) = cut(image, np.array([[3.4, 4.6, 27.4, 28.6]]), 24)
    assert np.array_equal(found, image[5:29, 3:27])


def test_box_beyond_the_picture_is_black() -> None:
    beyond = [(100, 0, 130, 30), (0, -50, 20, -20), (5, 5, 5, 5), (9, 9, 3, 3)]
    assert not cut(picture(40, 40), rows(beyond), 24).any()


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade(mtcnn_weights(), smallest=20, factor=0.6, thresholds=(0.6, 0.7, 0.7))


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 50), (11, 11), (12, 12), (13, 90), (15, 400), (20, 20), (37, 37), (90, 61)]
)
def test_pictures_of_any_size_can_be_searched(cascade: Cascade, size: tuple[int, int]) -> None:
    for image in (np.full((*size, 3), 128, np.uint8), picture(*size)):
        found = cascade.find(image)
        assert [values.shape for values in found] == [(0, 4), (0,), (0, 5, 2)]


@pytest.mark.parametrize("box", [(0, 0, 30, 30), (-500, 20, -400, 90), (20, 20, 20, 20)])
def test_anything_can_be_placed(cascade: Cascade, box: tuple[int, int, int, int]) -> None:
    found = cascade.place(picture(40, 50), rows([box, box]))
    assert [values.shape for values in found] == [(2, 4), (2,), (2, 5, 2)]
    assert all(np.isfinite(values).all() and values.dtype == float for values in found)
    assert found.probabilities.max() < 0.7
    assert math.isclose(*found.probabilities)
