"""A frozen, public projection of features to a few numbers, before a head is federated.

Both sides hold the same matrix; its digest is part of the id of the projected features, and so of
the head's specification: heads on differently projected features are never averaged. It may be
made from a seed or from public clips, never from clips of the fleet's users.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.clips import ClipSet
from common.errors import UsageError
from common.files import write_atomically
from common.heads.leak import WIDEST_PROJECTION
from common.heads.specification import HeadSpecification
from common.randomness import generator

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
FORMAT: Final = "mien-projection-1"
_DIGITS: Final = 16
_LARGEST_FILE: Final = 64 * 1024 * 1024
_NO_VARIATION: Final = 1e-9


@dataclass(frozen=True)
class Projection:
    """`projected = (features - centre) @ matrix`.

    Attributes:
        features: id of the features that it reads.
        centre: (dimension,) float32.
        matrix: (dimension, width) float32; width at most `WIDEST_PROJECTION`.

    Raises:
        UsageError: shapes that do not fit, or values that are not finite.
    """

    features: str
    centre: Floats = field(repr=False)
    matrix: Floats = field(repr=False)

    def __post_init__(self) -> None:
        arrays = self.centre, self.matrix
        shape = self.matrix.shape
        if len(shape) != 2 or self.centre.shape != shape[:1]:
            raise UsageError(
                f"a projection's centre and matrix have shapes {self.centre.shape} and {shape}, "
                "expected (dimension,) and (dimension, width)"
            )
        _check_width(shape[1], shape[0])
        if any(a.dtype != np.float32 or not np.isfinite(a).all() for a in arrays):
            raise UsageError("a projection's arrays are not finite float32")

    @property
    def width(self) -> int:
        """Length of a projected feature."""
        return int(self.matrix.shape[1])

    @property
    def sha256(self) -> str:
        """Digest of the features' id and all values."""
        told = hashlib.sha256(json.dumps([FORMAT, self.features, self.matrix.shape]).encode())
        for array in (self.centre, self.matrix):
            told.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return told.hexdigest()

    @property
    def projected_features(self) -> str:
        """Id of the projected features: what a head's specification names."""
        return f"{self.features}|projection-{self.width}-{self.sha256[:_DIGITS]}"

    def apply(self, frames: npt.NDArray[np.floating]) -> Floats:
        """Projected frames, (frames, width), in the order of (frames, dimension).

        Raises:
            UsageError: frames of another length.
        """
        if frames.ndim != 2 or frames.shape[1] != len(self.centre):
            raise UsageError(
                f"the projection reads features of {len(self.centre)} numbers, found an array of "
                f"shape {frames.shape}"
            )
        centred = frames.astype(np.float64) - self.centre
        return np.asarray(centred @ self.matrix.astype(np.float64), dtype=np.float32)

    def of_clips(self, clips: ClipSet) -> ClipSet:
        """Clips with projected frames; all else as it was."""
        return replace(clips, frames=self.apply(clips.frames))

    def of_specification(self, specification: HeadSpecification) -> HeadSpecification:
        """The specification of a head that reads projected features.

        Raises:
            UsageError: it reads other features than this projection does.
        """
        found = (specification.features, specification.dimension)
        if found != (self.features, len(self.centre)):
            raise UsageError(
                f"the head reads {found[0]} of {found[1]} numbers, the projection "
                f"{self.features} of {len(self.centre)}"
            )
        return replace(specification, features=self.projected_features, dimension=self.width)


def random_projection(features: str, dimension: int, width: int, seed: int) -> Projection:
    """Orthonormal columns drawn from a public seed; the same for everybody who names it."""
    _check_width(width, dimension)
    drawn = generator(seed, "public projection").normal(size=(dimension, width))
    basis, triangle = np.linalg.qr(drawn)
    matrix = basis * np.where(np.diag(triangle) < 0, -1.0, 1.0)
    centre = np.zeros(dimension, dtype=np.float32)
    return Projection(features, centre, matrix.astype(np.float32))


def principal_projection(features: str, public: npt.NDArray[np.floating], width: int) -> Projection:
    """The directions in which public clips' descriptors vary most (principal components).

    They need not be those that tell expressions apart: see `discriminant_projection`.

    Args:
        features: id of the features.
        public: (clips, dimension) descriptors of public clips; more clips than `width`.
        width: of the projection.

    Raises:
        UsageError: too few clips, or they do not vary in so many directions.
    """
    if public.ndim != 2:
        raise UsageError(f"public features have shape {public.shape}, expected (clips, dimension)")
    _check_width(width, public.shape[1])
    centre = public.astype(np.float64).mean(axis=0) if len(public) else np.zeros(public.shape[1])
    _, sizes, rows = np.linalg.svd(public - centre, full_matrices=False)
    varied = int((sizes > _NO_VARIATION * max(float(sizes.max(initial=0)), 1e-300)).sum())
    if varied < width:
        raise UsageError(
            f"{len(public)} public clips vary in {varied} directions, expected at least {width}"
        )
    matrix = _signed(rows[:width].T)
    return Projection(features, centre.astype(np.float32), matrix.astype(np.float32))


def discriminant_projection(
    features: str,
    public: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    width: int,
    *,
    shrinkage: float = 0.1,
) -> Projection:
    """The directions that tell public clips' expressions apart (Fisher's linear discriminants).

    What is projected has about unit variance within an expression.

    Args:
        features: id of the features.
        public: (clips, dimension) descriptors of public clips.
        labels: (clips,) their expressions.
        width: of the projection; below the number of expressions among them.
        shrinkage: 0 to 1, how far the covariance within expressions is drawn to a round one; above
            0 where there are fewer clips than features.

    Raises:
        UsageError: too few expressions or clips, or a covariance that can't be inverted.
    """
    if public.ndim != 2 or labels.shape != public.shape[:1]:
        raise UsageError(
            f"public features and labels have shapes {public.shape} and {labels.shape}, expected "
            "(clips, dimension) and (clips,)"
        )
    _check_width(width, public.shape[1])
    found, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if width >= len(found) or len(labels) <= len(found):
        raise UsageError(
            f"{len(labels)} public clips of {len(found)} expressions tell too few apart for a "
            f"projection to {width}, expected more than {width} expressions and more clips"
        )
    rows = public.astype(np.float64)
    means = np.stack([rows[labels == label].mean(axis=0) for label in found])
    whitening = _whitening(rows - means[places], len(labels) - len(found), shrinkage)
    centre = rows.mean(axis=0)
    between = np.sqrt(counts)[:, None] * ((means - centre) @ whitening)
    matrix = whitening @ np.linalg.svd(between, full_matrices=False)[2][:width].T
    return Projection(features, centre.astype(np.float32), _signed(matrix).astype(np.float32))


def _whitening(residuals: npt.NDArray[np.float64], freedom: int, shrinkage: float) -> Matrix:
    """(dimension, dimension): makes the shrunk covariance of residuals the identity."""
    if not 0 <= shrinkage <= 1:
        raise UsageError(f"shrinkage is {shrinkage!r}, expected 0 to 1")
    dimension = residuals.shape[1]
    covariance = residuals.T @ residuals / freedom
    round_one = np.trace(covariance) / dimension * np.eye(dimension)
    values, vectors = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * round_one)
    if values[0] <= _NO_VARIATION * values[-1]:
        raise UsageError(
            "public clips vary too little within expressions; give more of them, or shrinkage"
        )
    return np.asarray(vectors / np.sqrt(values))


def _signed(matrix: Matrix) -> Matrix:
    """Columns turned so that their largest entry is positive: either sign is as good."""
    largest = np.abs(matrix).argmax(axis=0)
    return np.asarray(matrix * np.sign(matrix[largest, np.arange(matrix.shape[1])]))


def save_projection(path: Path, projection: Projection) -> None:
    """Write it to `path` (safetensors), wholly or not at all."""
    arrays = {
        "centre": np.ascontiguousarray(projection.centre),
        "matrix": np.ascontiguousarray(projection.matrix),
    }
    metadata = {"format": FORMAT, "features": projection.features, "sha256": projection.sha256}
    write_atomically(path, save(arrays, metadata))


def load_projection(path: Path) -> Projection:
    """Read what `save_projection` wrote.

    Raises:
        UsageError: the file is missing, too large, damaged or no projection.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError("it is too large")
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        told = json.loads(content[8 : 8 + length])["__metadata__"]
        arrays = load(content)
        found = Projection(str(told["features"]), arrays["centre"], arrays["matrix"])
        if told["format"] != FORMAT or told["sha256"] != found.sha256:
            raise ValueError("its digest does not fit")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, UsageError) as error:
        raise UsageError(f"{path} is not a readable public projection: {error}") from error
    return found


def _check_width(width: int, dimension: int) -> None:
    most = min(WIDEST_PROJECTION, dimension)
    if type(width) is not int or not 1 <= width <= most:
        raise UsageError(
            f"a public projection of features of {dimension} numbers to {width!r}, expected 1 to "
            f"{most}"
        )
