"""Personal heads: the universal head's opinion, corrected from the user's own labelled clips.

Maximum a posteriori: with the universal head's logits `u_i` scaled by `scale`, descriptors `z_i`
and a Gaussian prior of precision `strength` on the correction `(W, b)`,

    minimise  sum_i cross_entropy(scale * u_i + W z_i + b, y_i) + strength / 2 * |(W, b)|^2.

Convex, so it is solved, not stepped. The minimiser's rows lie in the span of the z_i (representer
theorem), so the unknowns are `clips x classes` numbers however wide the features are. A user's
own clips alone are the same problem with `scale` 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

Rows = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PersonalSettings:
    """Prior of a personal head: `strength` > 0, `scale` >= 0 (0 forgets the universal head)."""

    strength: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True)
class PersonalHead:
    """Correction of the universal logits: weight (classes, dimension), bias (classes,), scale."""

    weight: Rows
    bias: Rows
    scale: float

    def logits(self, universal: Rows, descriptors: Rows) -> Rows:
        """Personal logits, (clips, classes), from universal logits and (clips, dimension)."""
        return np.asarray(self.scale * universal + descriptors @ self.weight.T + self.bias)


def fit_personal(
    universal: Rows, descriptors: Rows, labels: Labels, settings: PersonalSettings
) -> PersonalHead:
    """Solve for a user's correction.

    Args:
        universal: (clips, classes) logits of the universal head, at least one clip.
        descriptors: (clips, dimension).
        labels: (clips,) in 0..classes-1.
        settings: the prior.
    """
    classes = universal.shape[1]
    extended = np.hstack([descriptors, np.ones((len(descriptors), 1))])
    basis, triangle = np.linalg.qr(extended.T)
    offset = settings.scale * universal
    solved = _minimise(triangle.T, offset, labels, settings.strength)
    whole = solved.reshape(classes, -1) @ basis.T
    return PersonalHead(whole[:, :-1], whole[:, -1], settings.scale)


def _minimise(coordinates: Rows, offset: Rows, labels: Labels, strength: float) -> Rows:
    """L-BFGS over (classes, rank) coordinates; the basis is orthonormal, so norms are kept."""
    count, classes = offset.shape
    targets = np.eye(classes)[labels]

    def value_and_gradient(flat: Rows) -> tuple[float, Rows]:
        weight = flat.reshape(classes, -1)
        scores = log_softmax(offset + coordinates @ weight.T, axis=1)
        loss = -float(scores[np.arange(count), labels].sum())
        gradient = (np.exp(scores) - targets).T @ coordinates + strength * weight
        return loss + 0.5 * strength * float(flat @ flat), gradient.ravel()

    start = np.zeros(classes * coordinates.shape[1])
    options = {"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6}
    result = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(result.x)
