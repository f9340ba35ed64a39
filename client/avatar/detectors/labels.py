"""`labels`: two models name an expression each; where the names differ, the pair is a mismatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from client.avatar.detectors.interface import MadeFor, Pair

NAME: Final = "labels"
_HALF: Final = 0.5


@dataclass(frozen=True)
class Labels:
    """Nothing is trained but the two models themselves, so nothing is stored either.

    Attributes:
        made_for: features are not read; the ids say which models' probabilities are meant.
    """

    made_for: MadeFor

    @property
    def name(self) -> str:
        """`labels`."""
        return NAME

    @property
    def threshold(self) -> float:
        """One half, by the way `score` is made."""
        return _HALF

    def score(self, pair: Pair) -> float:
        """0.5 to 1 where the names differ and 0 to 0.5 where not; less sure ones nearer to 0.5."""
        face, avatar = pair.face.probabilities, pair.avatar.probabilities
        agreement = float(face @ avatar)
        if int(face.argmax()) != int(avatar.argmax()):
            return 1.0 - _HALF * agreement
        return _HALF * (1.0 - agreement) * (1.0 - np.finfo(float).eps)

    def arrays(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """None."""
        return {}
