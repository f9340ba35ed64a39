"""`siamese`: one embedding per domain, trained so that equal expressions lie near each other.

After Mikhailov 2023, version 1: the features of the face's and of the avatar's model, each through
a network of the same form, and the Euclidean distance of the two results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from client.avatar.detectors.interface import MadeFor, Pair
from client.avatar.detectors.layers import Network, network_of

NAME: Final = "siamese"


@dataclass(frozen=True)
class Siamese:
    """Two networks with outputs of the same length; the score is their distance."""

    face: Network
    avatar: Network
    threshold: float
    made_for: MadeFor

    @property
    def name(self) -> str:
        """`siamese`."""
        return NAME

    def score(self, pair: Pair) -> float:
        """Euclidean distance, 0 or more."""
        face = self.face(pair.face.features[None])
        avatar = self.avatar(pair.avatar.features[None])
        return float(np.linalg.norm(face - avatar))

    def arrays(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Of both networks."""
        return self.face.arrays("face.") | self.avatar.arrays("avatar.")


def from_arrays(
    arrays: Mapping[str, npt.NDArray[np.float32]], threshold: float, made_for: MadeFor
) -> Siamese:
    """Inverse of `Siamese.arrays`.

    Raises:
        UsageError: an array is missing, or they don't fit.
    """
    face, avatar = network_of(arrays, "face."), network_of(arrays, "avatar.")
    return Siamese(face, avatar, threshold, made_for)
