"""The cascade: P-Net proposes, R-Net rejects, O-Net decides and places the landmarks.

Thresholds and overlaps are the published ones (Zhang et al. 2016; facenet-pytorch's values where
the paper is silent).  Boxes are rows (left, top, right, bottom), pixel edges of the picture given.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from common.video import Image
from common.video.mtcnn.networks import O_NET, P_NET, R_NET, Network
from common.video.mtcnn.weights import Weights
from common.video.resize import shrink

Rows = npt.NDArray[np.float64]

_CELL: Final = 12
_STRIDE: Final = 2
_OVERLAP_IN_SCALE: Final = 0.5
_OVERLAP: Final = 0.7


class Found(NamedTuple):
    """Faces of one picture: (n, 4) boxes, (n,) probabilities and (n, 5, 2) landmarks."""

    boxes: Rows
    probabilities: Rows
    landmarks: Rows


class Cascade:
    """The three networks; finds faces of at least `smallest` pixels."""

    def __init__(
        self,
        weights: Weights,
        *,
        smallest: int,
        factor: float,
        thresholds: tuple[float, float, float],
        threads: int = 1,
    ) -> None:
        self._proposal = Network("pnet", P_NET, weights, threads)
        self._refinement = Network("rnet", R_NET, weights, threads)
        self._output = Network("onet", O_NET, weights, threads)
        self._smallest, self._factor, self._thresholds = smallest, factor, thresholds

    def find(self, picture: Image) -> Found:
        """All faces of an RGB picture, most probable first."""
        boxes = self._proposed(picture)
        if len(boxes):
            boxes = self._refined(picture, boxes)
        if not len(boxes):
            return _NOTHING
        found = self.place(picture, boxes)
        keep = suppress(found.boxes, found.probabilities, _OVERLAP, of_smaller=True)
        keep = keep[found.probabilities[keep] > self._thresholds[2]]
        return Found(*(values[keep] for values in found))

    def place(self, picture: Image, boxes: Rows) -> Found:
        """What O-Net says of the faces near `boxes`, (n, 4) with n at least 1; none is rejected."""
        squares = squared(boxes)
        probabilities, offsets, marks = self._output(cut(picture, squares, O_NET.side))
        sides = (squares[:, 2:] - squares[:, :2])[:, None]
        relative = marks.reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = squares[:, None, :2] + relative * sides
        return Found(
            shifted(squares, offsets), probabilities.astype(np.float64), landmarks.astype(float)
        )

    def _proposed(self, picture: Image) -> Rows:
        boxes, probabilities = [np.zeros((0, 4))], [np.zeros(0)]
        smallest = min(self._smallest, *picture.shape[:2])
        for scale in _scales(picture.shape[:2], smallest, self._factor):
            found, sure = self._proposed_at(picture, scale)
            keep = suppress(found, sure, _OVERLAP_IN_SCALE)
            boxes.append(found[keep])
            probabilities.append(sure[keep])
        everything, sure = np.concatenate(boxes), np.concatenate(probabilities)
        return everything[suppress(everything, sure, _OVERLAP)]

    def _proposed_at(self, picture: Image, scale: float) -> tuple[Rows, Rows]:
        height, width = (int(length * scale + 1) for length in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        probabilities, offsets = self._proposal(np.asarray(small, np.uint8)[None])
        rows, columns = np.nonzero(probabilities[0] >= self._thresholds[0])
        corners = np.stack([columns, rows], axis=1) * _STRIDE
        cells = np.hstack([corners, corners + _CELL]) / scale
        found = shifted(cells, offsets[0][:, rows, columns].T)
        return found, probabilities[0][rows, columns].astype(np.float64)

    def _refined(self, picture: Image, boxes: Rows) -> Rows:
        squares = squared(boxes)
        probabilities, offsets = self._refinement(cut(picture, squares, R_NET.side))[:2]
        good = probabilities > self._thresholds[1]
        found = shifted(squares[good], offsets[good])
        return found[suppress(found, probabilities[good].astype(np.float64), _OVERLAP)]


_NOTHING: Final = Found(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))


def squared(boxes: Rows) -> Rows:
    """Each box about its centre, both sides as long as its longer one."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    corners = (boxes[:, :2] + boxes[:, 2:] - sides) / 2
    return np.hstack([corners, corners + sides])


def shifted(boxes: Rows, offsets: npt.NDArray[np.floating]) -> Rows:
    """Boxes (n, 4) with each edge moved by its offset, (n, 4) in widths or heights of the box."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + offsets * np.hstack([sides, sides]))


def cut(picture: Image, boxes: Rows, side: int) -> Image:
    """The boxes' content, (n, side, side, 3) uint8; black where a box leaves the picture."""
    return np.stack([_cut_one(picture, np.rint(box).astype(int), side) for box in boxes])


def _cut_one(picture: Image, box: npt.NDArray[np.int_], side: int) -> Image:
    height, width = picture.shape[:2]
    left, top = np.maximum(box[:2], 0)
    right, bottom = min(box[2], width), min(box[3], height)
    if right <= left or bottom <= top:
        return np.zeros((side, side, 3), np.uint8)
    inside = picture[top:bottom, left:right]
    if (right - left, bottom - top) != (box[2] - box[0], box[3] - box[1]):
        beyond = ((top - box[1], box[3] - bottom), (left - box[0], box[2] - right), (0, 0))
        inside = np.pad(inside, beyond)
    if min(inside.shape[:2]) >= side:
        return shrink(inside, side, side)
    return np.asarray(cv2.resize(inside, (side, side), interpolation=cv2.INTER_LINEAR))


def suppress(
    boxes: Rows, probabilities: Rows, overlap: float, *, of_smaller: bool = False
) -> npt.NDArray[np.int_]:
    """Indices of the boxes to keep, most probable first (non-maximum suppression).

    Args:
        boxes: (n, 4).
        probabilities: (n,).
        overlap: a box goes whose overlap with a kept one is larger.
        of_smaller: overlap is shared area over the smaller box, not over the union.
    """
    order = np.argsort(-probabilities, kind="stable")
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        shared = _shared_area(boxes[best], boxes[rest])
        smaller = np.minimum(areas[best], areas[rest])
        whole = smaller if of_smaller else areas[best] + areas[rest] - shared
        order = rest[shared <= overlap * whole]
    return np.array(kept, dtype=int)


def _shared_area(box: Rows, others: Rows) -> Rows:
    corners = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return np.asarray(np.maximum(corners[1] - corners[0], 0).prod(axis=1))


def _scales(shape: tuple[int, ...], smallest: int, factor: float) -> list[float]:
    """Reductions at which a P-Net cell is as large as the faces searched for."""
    scales = []
    scale = _CELL / smallest
    while min(shape) * scale >= _CELL:
        scales.append(scale)
        scale *= factor
    return scales
