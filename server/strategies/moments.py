"""What the adaptive server optimisers share (Reddi et al., ICLR 2021, algorithm 2).

They treat the mean update d_t as a negative gradient: `m_t = beta1 m_(t-1) + (1 - beta1) d_t`, a
second moment v_t of their own, and `w_(t+1) = w_t + rate m_t / (sqrt(v_t) + tau)`, from m = v = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from server.strategies.interface import Vector


@dataclass(frozen=True)
class Moments:
    """One branch's moments after `rounds` head rounds."""

    first: Vector
    second: Vector
    rounds: int


def no_moments(like: Vector) -> Moments:
    """Before the first head round."""
    return Moments(np.zeros_like(like), np.zeros_like(like), 0)


def moved(point: Vector, moments: Moments, rate: float, tau: float) -> Vector:
    """The next point."""
    return np.asarray(point + rate * moments.first / (np.sqrt(moments.second) + tau))
