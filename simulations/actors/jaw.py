"""The jaw's drop as a vertical stretch of the lower face, and its inverse."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.actors.curves import Points

_DROP: Final = 0.22
_FROM, _TO, _NECK = 0.42, 0.94, 1.5
_HALF_WIDTH: Final = 0.72
_Y: Final = np.linspace(-2.5, 3.0, 551)


def _fall(y: NDArray[np.float64]) -> NDArray[np.float64]:
    return (_step(y, _FROM, _TO) - _step(y, _TO, _NECK)) * _DROP


def _step(y: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    t = np.clip((y - start) / (end - start), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


_FALL_AT_Y: Final = _fall(_Y)


def _lift(y: NDArray[np.floating], jaw: float) -> NDArray[np.float64]:
    # At full drop the stretch's slope stays below 1, so y + fall is increasing and invertible.
    return np.asarray(np.interp(y, _Y + jaw * _FALL_AT_Y, jaw * _FALL_AT_Y))


def before_jaw(points: Points, jaw: float) -> Points:
    """Where points `(n, 2)` seen with the jaw dropped by `jaw` (0..1) were before the drop."""
    x, y = points[:, 0], points[:, 1]
    return np.stack([x, y - _lift(y, jaw) * _window(x)], axis=1)


def lift_map(x: NDArray[np.float32], y: NDArray[np.float32], jaw: float) -> NDArray[np.float32]:
    """The same for a whole picture: how far above `y` its content was, `(height, width)`."""
    if jaw <= 0.0:
        return np.zeros_like(y)
    return (_lift(y, jaw) * _window(x)).astype(np.float32)


def _window(x: NDArray[np.floating]) -> NDArray[np.floating]:
    square = (x / _HALF_WIDTH) ** 2
    return np.exp(-square * square)
