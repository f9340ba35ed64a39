"""Smooth curves through a few points (uniform Catmull-Rom splines)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
"""Points `(n, 2)` as x to the right and y down, in face units."""


@lru_cache(maxsize=8)
def _basis(samples: int) -> NDArray[np.float64]:
    t = np.linspace(0.0, 1.0, samples, endpoint=False)[:, None]
    powers = np.hstack([np.ones_like(t), t, t**2, t**3])
    catmull_rom = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    basis: NDArray[np.float64] = powers @ catmull_rom
    return basis


def _through(padded: Points, samples: int) -> Points:
    windows = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)])
    return np.asarray(np.einsum("sk,knd->nsd", _basis(samples), windows).reshape(-1, 2))


def open_curve(points: ArrayLike, samples: int = 6) -> Points:
    """A curve through `points` `(n >= 2, 2)`, `(samples * (n - 1) + 1, 2)`, ends included."""
    p = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    return np.vstack([_through(padded, samples), p[-1]])


def closed_curve(points: ArrayLike, samples: int = 8) -> Points:
    """A closed curve through `points` `(n >= 3, 2)`, `(samples * n, 2)`."""
    p = np.asarray(points, dtype=np.float64)
    return _through(np.vstack([p[-1], p, p[:2]]), samples)


def lowered(points: Points, by: float) -> Points:
    """`points` moved down the picture."""
    return np.asarray(points + np.array([0.0, by]))


def mirrored(half: ArrayLike) -> Points:
    """A closed outline from its right half, listed from top to bottom: `(2 n, 2)`."""
    right = np.asarray(half, dtype=np.float64)
    return np.vstack([right, right[::-1] * (-1.0, 1.0)])
