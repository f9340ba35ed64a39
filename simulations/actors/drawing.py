"""Antialiased soft shapes on a float image whose coordinates are face units."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.actors.curves import Points

Image = NDArray[np.float32]
"""`(height, width, 3)` RGB or `(height, width)`, 0..255 unless told otherwise."""
Colour = tuple[float, float, float]
"""RGB, 0..255."""

_SUBPIXEL_BITS = 4
_Window = tuple[int, int, int, int]


def shade(colour: Colour, factor: float) -> Colour:
    """The colour times `factor`."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def tinted(colour: Colour, towards: Colour, share: float) -> Colour:
    """The colour moved by `share` towards another."""
    r, g, b = (c + (t - c) * share for c, t in zip(colour, towards, strict=True))
    return r, g, b


@dataclass(frozen=True)
class Raster:
    """How face units lie on pixels: `density` pixels per unit, `left`, `top` in units."""

    left: float
    top: float
    right: float
    bottom: float
    density: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (
            round((self.bottom - self.top) * self.density),
            round((self.right - self.left) * self.density),
        )

    def pixels(self, points: ArrayLike) -> Points:
        """Pixel coordinates `(n, 2)` of points in units."""
        return (np.asarray(points, dtype=np.float64) - (self.left, self.top)) * self.density

    def grid(self) -> tuple[Image, Image]:
        """x and y in units at every pixel's centre, each `(height, width)`."""
        height, width = self.shape
        x = ((np.arange(width) + 0.5) / self.density + self.left).astype(np.float32)
        y = ((np.arange(height) + 0.5) / self.density + self.top).astype(np.float32)
        return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))

    def mask(self, points: ArrayLike, soft: float = 0.0) -> Image:
        """A filled polygon over the whole raster, 0..1; `soft` is the blur's sigma in units."""
        height, width = self.shape
        return _polygon(self.pixels(points), (0, 0, width, height), soft * self.density)

    def trace(self, points: ArrayLike, width: float, soft: float) -> Image:
        """A line over the whole raster, 0..1 with maximum 1 (0 where it lies outside)."""
        height, columns = self.shape
        line = _polyline(
            self.pixels(points), (0, 0, columns, height), width * self.density, soft * self.density
        )
        return line / max(float(line.max()), 1e-6)


def _window(points: Points, margin: float, shape: tuple[int, ...]) -> _Window:
    low = np.floor(points.min(axis=0) - margin).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    return left, top, min(int(high[0]), shape[1]), min(int(high[1]), shape[0])


def _fixed_point(points: Points, window: _Window) -> NDArray[np.int32]:
    # OpenCV puts a pixel's centre on whole numbers, the raster on halves.
    local = points - (window[0] + 0.5, window[1] + 0.5)
    return np.rint(local * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _softened(mask: NDArray[np.uint8], sigma: float) -> Image:
    if sigma > 0.3:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), dtype=np.uint8)
    return mask.astype(np.float32) * np.float32(1 / 255)


def _polygon(points: Points, window: _Window, sigma: float) -> Image:
    mask = np.zeros((window[3] - window[1], window[2] - window[0]), np.uint8)
    cv2.fillPoly(mask, [_fixed_point(points, window)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _softened(mask, sigma)


def _polyline(points: Points, window: _Window, width: float, sigma: float) -> Image:
    mask = np.zeros((window[3] - window[1], window[2] - window[0]), np.uint8)
    # Lines thinner than a pixel are drawn one pixel wide and paler.
    thickness = max(1, round(width))
    level = round(255 * min(1.0, max(width, 0.25) / thickness))
    cv2.polylines(
        mask, [_fixed_point(points, window)], False, level, thickness, cv2.LINE_AA, _SUBPIXEL_BITS
    )
    return _softened(mask, sigma)


@dataclass(frozen=True)
class Canvas:
    """An RGB image that shapes in face units are blended into, in place."""

    image: Image
    raster: Raster

    def fill(
        self,
        points: ArrayLike,
        colour: Colour,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        clip: ArrayLike | None = None,
    ) -> None:
        """Blend a polygon in; `soft` is the edge's blur in units, `clip` a polygon around it."""
        pixels = self.raster.pixels(points)
        sigma = soft * self.raster.density
        window = _window(pixels, 3 * sigma + 2, self.image.shape)
        if window[0] < window[2] and window[1] < window[3]:
            self._blend(_polygon(pixels, window, sigma), window, colour, alpha, clip)

    def line(
        self,
        points: ArrayLike,
        colour: Colour,
        *,
        width: float,
        alpha: float = 1.0,
        soft: float = 0.0,
        clip: ArrayLike | None = None,
    ) -> None:
        """Blend a line of `width` units in."""
        pixels = self.raster.pixels(points)
        sigma, thickness = soft * self.raster.density, width * self.raster.density
        window = _window(pixels, 3 * sigma + thickness + 2, self.image.shape)
        if window[0] < window[2] and window[1] < window[3]:
            mask = _polyline(pixels, window, thickness, sigma)
            self._blend(mask, window, colour, alpha, clip)

    def disc(
        self,
        centre: tuple[float, float],
        radius: float | tuple[float, float],
        colour: Colour,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        clip: ArrayLike | None = None,
    ) -> None:
        """Blend an ellipse in; `radius` is one number or (across, down)."""
        points = ellipse(centre, radius)
        self.fill(points, colour, alpha=alpha, soft=soft, clip=clip)

    def _blend(
        self,
        mask: Image,
        window: _Window,
        colour: Colour,
        alpha: float,
        clip: ArrayLike | None,
    ) -> None:
        if clip is not None:
            mask = mask * _polygon(self.raster.pixels(clip), window, 0.0)
        left, top, right, bottom = window
        region = self.image[top:bottom, left:right]
        region += (np.asarray(colour, np.float32) - region) * (mask * np.float32(alpha))[..., None]


_CIRCLE = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 32, False)), np.sin(np.linspace(0, 2 * np.pi, 32, False))],
    axis=1,
)


def ellipse(centre: tuple[float, float], radius: float | tuple[float, float]) -> Points:
    """A polygon `(32, 2)` round `centre`."""
    return _CIRCLE * radius + centre
