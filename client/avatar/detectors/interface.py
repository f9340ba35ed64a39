"""What every mismatch detector gets and gives: does the avatar show what the person shows?

A detector reads one pair, a face and the avatar that stands for it, and answers with a number that
is the higher the more likely the two show different expressions. At its `threshold` and above the
pair counts as a mismatch. Detectors are `labels`, `siamese`, `concat` and `personal`; `file` writes
and reads them, `training` makes them. Reading pairs needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from common.errors import UsageError
from common.expressions import EXPRESSIONS

Features = npt.NDArray[np.float32]
"""(dimension,) of the backbone, before the head."""
Posterior = npt.NDArray[np.float64]
"""(8,) probabilities in the order of `common.expressions.EXPRESSIONS`; they add up to 1."""

CLASSES: Final = len(EXPRESSIONS)
_ROUNDING: Final = 1e-3


@dataclass(frozen=True, eq=False)
class Seen:
    """One picture as the model of its domain sees it.

    Attributes:
        features: (dimension,) of the backbone, before the head.
        probabilities: (8,) of the universal model that reads this domain.

    Raises:
        UsageError: wrong shapes, or numbers that are not finite or no probabilities.
    """

    features: Features
    probabilities: Posterior

    def __post_init__(self) -> None:
        if self.features.ndim != 1 or not np.isfinite(self.features).all():
            raise UsageError(
                f"features of a picture have shape {self.features.shape}, expected one row of "
                "finite numbers; read the picture again with this device's backbone"
            )
        check_posterior(self.probabilities, "probabilities of a picture")


@dataclass(frozen=True, eq=False)
class Pair:
    """A face and the avatar that stands for it.

    Attributes:
        face: the face by the universal model of faces.
        avatar: the avatar by the universal model of avatars.
        personal: (8,) what the user's personal head reads in the face; None where the user has
            none.
        own_avatar: (8,) what a head reads in the avatar that was made of this user's own avatar,
            drawn by the device with known expressions; None where there is none.

    Raises:
        UsageError: as `Seen`.
    """

    face: Seen
    avatar: Seen
    personal: Posterior | None = None
    own_avatar: Posterior | None = None

    def __post_init__(self) -> None:
        for name in ("personal", "own_avatar"):
            posterior = getattr(self, name)
            if posterior is not None:
                check_posterior(posterior, f"{name} probabilities")


@dataclass(frozen=True)
class MadeFor:
    """Ids of what makes the features that a detector was trained on; others it can't read."""

    face: str
    avatar: str


class Detector(Protocol):
    """One trained detector."""

    @property
    def name(self) -> str:
        """Its kind: `labels`, `siamese`, `concat` or `personal`."""
        ...

    @property
    def threshold(self) -> float:
        """A pair that scores this or more is a mismatch; chosen on validation pairs."""
        ...

    @property
    def made_for(self) -> MadeFor:
        """What features it reads."""
        ...

    def score(self, pair: Pair) -> float:
        """Higher is more likely a mismatch; finite.

        Raises:
            UsageError: the features are of another length than those it was trained on.
        """
        ...

    def arrays(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Its numbers by name, as they are stored."""
        ...


def is_mismatch(detector: Detector, pair: Pair) -> bool:
    """Whether a pair counts as a mismatch."""
    return detector.score(pair) >= detector.threshold


def check_posterior(values: Posterior, what: str) -> None:
    """Refuse what is no probability of each expression.

    Raises:
        UsageError: naming `what` it is.
    """
    if values.shape != (CLASSES,) or not np.isfinite(values).all():
        raise UsageError(
            f"{what} have shape {values.shape}, expected ({CLASSES},) finite numbers: one for each "
            "expression"
        )
    if values.min() < -_ROUNDING or abs(float(values.sum()) - 1.0) > _ROUNDING:
        raise UsageError(
            f"{what} lie between {values.min():.3g} and {values.max():.3g} and add up to "
            f"{values.sum():.3g}; expected 0 to 1, and 1 together"
        )
