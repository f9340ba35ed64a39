"""`concat`: features and outputs of both models side by side, through fully connected layers.

After Mikhailov 2023, version 2, with one output: the log-odds of a mismatch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from client.avatar.detectors.interface import MadeFor, Pair
from client.avatar.detectors.layers import Network, network_of

NAME: Final = "concat"
FLOOR: Final = 1e-4
"""Least probability that an output is taken for."""


@dataclass(frozen=True)
class Concat:
    """One network over what both models make of their pictures."""

    network: Network
    threshold: float
    made_for: MadeFor

    @property
    def name(self) -> str:
        """`concat`."""
        return NAME

    def score(self, pair: Pair) -> float:
        """Log-odds of a mismatch."""
        return float(self.network(inputs_of(pair)[None])[0, 0])

    def arrays(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Of the network."""
        return self.network.arrays()


def inputs_of(pair: Pair) -> npt.NDArray[np.float64]:
    """(inputs,) the face's features and log-probabilities, then the avatar's."""
    return np.concatenate(
        [
            part
            for seen in (pair.face, pair.avatar)
            for part in (seen.features, np.log(np.maximum(seen.probabilities, FLOOR)))
        ]
    )


def from_arrays(
    arrays: Mapping[str, npt.NDArray[np.float32]], threshold: float, made_for: MadeFor
) -> Concat:
    """Inverse of `Concat.arrays`.

    Raises:
        UsageError: an array is missing, or they don't fit.
    """
    return Concat(network_of(arrays), threshold, made_for)
