"""The directions in which clips of one expression vary anyway, and descriptors freed of them.

Whitening by the fleet's within-expression scatter (within-class covariance normalisation: Hatch,
Kajarekar and Stolcke, Interspeech 2006): a correction then counts by how far it reaches in units
of what says nothing about the expression, and features that move together count once. For a
linear head it is a Gaussian prior whose precision is the scatter.
"""

from __future__ import annotations

import numpy as np

from client.personalisation.solver import Rows

SHRINKAGE = 0.1
"""Share of the identity in the scatter: no direction counts more than sqrt(10) fold."""


def whitener(scatter: Rows) -> Rows:
    """Symmetric (dimension, dimension) matrix that whitens descriptors as `descriptors @ matrix`.

    Args:
        scatter: (dimension, dimension) mean of devices' scatters, of any size. They are rounded
            before they are sent, so it may be slightly indefinite; what is below 0 counts as 0.
            A scatter without anything above 0 whitens nothing.
    """
    values, vectors = np.linalg.eigh((scatter + scatter.T) / 2)
    values = np.maximum(values, 0)
    mean = float(values.mean())
    if not mean > 0:
        return np.eye(len(scatter))
    spread = (1 - SHRINKAGE) * values / mean + SHRINKAGE
    return np.asarray(vectors / np.sqrt(spread) @ vectors.T)
