"""Where things are on a face at rest, in face units: origin between the eyes, chin at y = 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulations.actors.curves import Points, closed_curve, mirrored
from simulations.actors.identity import Identity

CROWN = -1.02
CHIN = 1.0
EYE_HALF_WIDTH = 0.162


@dataclass(frozen=True)
class Anatomy:
    """Landmarks of one identity at rest; x of pairs is that of the right-hand one."""

    outline: Points
    eye_x: float
    eye_half_width: float
    brow_y: float
    nose_y: float
    nose_half_width: float
    mouth_y: float
    mouth_half_width: float

    @staticmethod
    def of(identity: Identity) -> Anatomy:
        """Landmarks from an identity's factors."""
        return Anatomy(
            outline=head_outline(identity),
            eye_x=0.298 * identity.eye_spacing,
            eye_half_width=EYE_HALF_WIDTH * identity.eye_size,
            brow_y=identity.brow_height,
            nose_y=identity.nose_length,
            nose_half_width=0.155 * identity.nose_width,
            mouth_y=identity.mouth_height + (identity.nose_length - 0.4),
            mouth_half_width=0.255 * identity.mouth_width,
        )


def head_outline(identity: Identity, grow: float = 0.0) -> Points:
    """The head's closed outline without ears; `grow` widens the skull (for hair)."""
    width, jaw, chin = identity.head_width, identity.jaw_width, identity.chin_width
    half = np.array(
        [
            (0.14, CROWN - grow),
            (0.42, -0.93 - 0.85 * grow),
            (0.62 * width + 0.6 * grow, -0.66 - 0.5 * grow),
            (0.705 * width + grow, -0.3),
            (0.70 * width + grow, 0.05),
            (0.665 * width + 0.8 * grow, 0.35),
            (0.60 * width * (0.4 + 0.6 * jaw), 0.58),
            (0.49 * jaw, 0.77),
            (0.31 * jaw * (0.6 + 0.4 * chin), 0.925),
            (0.13 * chin, CHIN - 0.012),
        ]
    )
    return closed_curve(mirrored(half), samples=10)
