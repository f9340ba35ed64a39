"""`personal`: what the user's own head reads in the face, against what is read in the avatar.

The universal head misreads people whose way of showing an expression is not the common one; the
user's personal head knows this user's. The device also draws the user's avatar itself, so that it
can learn from avatars whose expression it knows (`own_avatar`). What is trained on pairs of other
people is only how far the readings are believed: a small network over figures of agreement between
the two posteriors, which knows neither faces nor features. Where a reading is missing, the
universal model's stands in, and another network answers that was trained for this case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from client.avatar.detectors.interface import MadeFor, Pair, Posterior
from client.avatar.detectors.layers import Network, network_of

NAME: Final = "personal"
FLOOR: Final = 1e-4
"""Least probability that a reading is taken for: one that is certain and wrong is still finite."""
CASES: Final = ("both", "face", "avatar", "neither")
"""Which of the user's own readings are there."""
Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Personal:
    """One network per case; equal odds have the same meaning in all, so one threshold serves."""

    networks: Mapping[str, Network]
    threshold: float
    made_for: MadeFor

    @property
    def name(self) -> str:
        """`personal`."""
        return NAME

    def score(self, pair: Pair) -> float:
        """Log-odds of a mismatch."""
        return float(self.networks[case_of(pair)](evidence_rows([pair]))[0, 0])

    def arrays(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Of all networks."""
        return {
            name: array
            for case in CASES
            for name, array in self.networks[case].arrays(f"{case}.").items()
        }


def from_arrays(
    arrays: Mapping[str, npt.NDArray[np.float32]], threshold: float, made_for: MadeFor
) -> Personal:
    """Inverse of `Personal.arrays`.

    Raises:
        UsageError: an array is missing, or they don't fit.
    """
    return Personal({case: network_of(arrays, f"{case}.") for case in CASES}, threshold, made_for)


def case_of(pair: Pair) -> str:
    """Which of `CASES` a pair is."""
    if pair.personal is not None:
        return "both" if pair.own_avatar is not None else "face"
    return "neither" if pair.own_avatar is None else "avatar"


def without(pair: Pair, case: str) -> Pair:
    """The pair as if only the readings of `case` were there."""
    face = pair.personal if case in ("both", "face") else None
    avatar = pair.own_avatar if case in ("both", "avatar") else None
    return Pair(pair.face, pair.avatar, face, avatar)


def evidence_rows(pairs: Sequence[Pair]) -> Rows:
    """(pairs, figures) of agreement between what is read in faces and in avatars."""
    faces = [_blunted(p.face.probabilities if p.personal is None else p.personal) for p in pairs]
    avatars = [
        _blunted(p.avatar.probabilities if p.own_avatar is None else p.own_avatar) for p in pairs
    ]
    universal = [_blunted(p.face.probabilities) for p in pairs]
    universal_avatar = [_blunted(p.avatar.probabilities) for p in pairs]
    face, avatar = np.stack(faces), np.stack(avatars)
    return np.concatenate(
        [
            _agreement(face, avatar),
            _agreement(np.stack(universal), np.stack(universal_avatar))[:, :1],
            face * avatar,
            face,
            avatar,
        ],
        axis=1,
    )


def _blunted(posterior: Posterior) -> Posterior:
    raised = np.maximum(posterior, FLOOR)
    return np.asarray(raised / raised.sum())


def _agreement(face: Rows, avatar: Rows) -> Rows:
    """(pairs, 6): log-odds of one common expression, both entropies, what each makes of the
    other's first choice, and the divergence between the two (Jensen and Shannon's)."""
    same = np.clip((face * avatar).sum(axis=1), FLOOR, 1 - FLOOR)
    rows = np.arange(len(face))
    return np.stack(
        [
            np.log(same / (1 - same)),
            _entropy(face),
            _entropy(avatar),
            np.log(avatar[rows, face.argmax(axis=1)]),
            np.log(face[rows, avatar.argmax(axis=1)]),
            _entropy((face + avatar) / 2) - (_entropy(face) + _entropy(avatar)) / 2,
        ],
        axis=1,
    )


def _entropy(rows: Rows) -> Rows:
    return np.asarray(-(rows * np.log(rows)).sum(axis=1))
