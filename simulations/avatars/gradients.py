"""Features of drawn pictures: histograms of oriented gradients, and what of them expressions move.

They stand in for the backbones of real faces where only drawn ones are at hand: nothing is
downloaded, and thousands of pictures take seconds. Histograms are after Dalal and Triggs (CVPR
2005), with soft cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

BINS: Final = 8
STEP: Final = 6
"""Pixels between the middles of two cells, in pictures of 64 pixels."""
_GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)
_TOP, _BOTTOM, _SIDE = 0.16, 0.92, 0.17
"""The part of a picture that holds the face, as shares of its height and width."""

Floats = npt.NDArray[np.float32]


def histograms(picture: npt.NDArray[np.uint8]) -> Floats:
    """(figures,) of one RGB picture `(size, size, 3)`; as many for all pictures of a size.

    A cell's histogram is divided by its length over the cells around it, so that light hardly
    matters.
    """
    size = len(picture)
    face = picture[int(_TOP * size) : int(_BOTTOM * size), int(_SIDE * size) : -int(_SIDE * size)]
    grey = np.asarray(face @ _GREY, np.float32)
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1)
    cells = _cells(across, down)
    around = cv2.blur((cells**2).sum(axis=2), (3, 3), borderType=cv2.BORDER_REPLICATE)
    normal = cells / np.sqrt(around + 1.0)[..., None]
    return np.asarray(np.minimum(normal, 1.0).ravel(), np.float32)


def _cells(across: npt.NDArray[np.generic], down: npt.NDArray[np.generic]) -> Floats:
    """(rows, columns, BINS) of soft cells."""
    x, y = np.asarray(across, np.float32), np.asarray(down, np.float32)
    place = (np.arctan2(y, x) % np.pi) * np.float32(BINS / np.pi)
    low = np.floor(place)
    share, low = place - low, low.astype(np.int64) % BINS
    length = np.sqrt(x * x + y * y)
    rows, columns = np.indices(x.shape)
    votes = np.zeros((*x.shape, BINS), np.float32)
    votes[rows, columns, low] = length * (1.0 - share)
    votes[rows, columns, (low + 1) % BINS] = length * share
    pooled = cv2.GaussianBlur(votes, (0, 0), STEP / 2)
    return np.asarray(pooled[STEP // 2 :: STEP, STEP // 2 :: STEP], np.float32)


@dataclass(frozen=True, eq=False)
class Projection:
    """From histograms to a few figures: (figures, dimension) directions about a mean (figures,)."""

    mean: Floats
    directions: Floats

    def __call__(self, rows: Floats) -> Floats:
        """(n, dimension) of (n, figures)."""
        return np.asarray((rows - self.mean) @ self.directions, np.float32)


def within_people(rows: Floats, people: Sequence[int], dimension: int) -> Projection:
    """Directions in which pictures of one person differ most: faces at rest are taken off.

    Principal components of what is left when each person's mean is subtracted.

    Args:
        rows: (n, figures), of several people.
        people: whose each row is.
        dimension: how many directions.
    """
    owners, left = np.asarray(people), rows.astype(np.float64)
    for owner in np.unique(owners):
        left[owners == owner] -= left[owners == owner].mean(axis=0)
    _, vectors = np.linalg.eigh(left.T @ left)
    directions = vectors[:, ::-1][:, :dimension]
    return Projection(rows.mean(axis=0), np.asarray(directions, np.float32))
