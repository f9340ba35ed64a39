"""What a personal head is, and the settings of one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from client.personalisation.solver import Rows
from common.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PersonalSettings:
    """Prior of a personal head.

    Attributes:
        strength: precision of the correction, above 0; infinite makes no correction.
        scale: what the universal logits are multiplied by, at least 0 (0 forgets them).

    Raises:
        UsageError: out of range.
    """

    strength: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise UsageError(f"strength of a personal head is {self.strength!r}, expected above 0")
        if not 0 <= self.scale < math.inf:
            raise UsageError(f"scale of a personal head is {self.scale!r}, expected 0 or more")


@dataclass(frozen=True)
class PersonalHead:
    """Correction of the universal logits: weight (classes, dimension), bias (classes,), scale."""

    weight: Rows
    bias: Rows
    scale: float

    def logits(self, universal: Rows, descriptors: Rows) -> Rows:
        """Personal logits, (clips, classes), from universal logits and (clips, dimension)."""
        return np.asarray(self.scale * universal + descriptors @ self.weight.T + self.bias)


def no_correction(classes: int, dimension: int) -> PersonalHead:
    """The personal head that says what the universal head says."""
    return PersonalHead(np.zeros((classes, dimension)), np.zeros(classes), 1.0)
