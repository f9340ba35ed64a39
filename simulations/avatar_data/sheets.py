"""Sheets of drawn avatars: what `mien avatar new` puts on a device."""

from __future__ import annotations

from typing import Final

import numpy as np

from client.avatar.sources.sheet import LEVELS, AvatarSheet
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from simulations.actors.action_units import PROTOTYPES, activations
from simulations.actors.cartoon import render_avatar
from simulations.actors.face import Pose
from simulations.actors.identity import Identity, dressed

LOOKS: Final = 9999
SIDE: Final = 192
STRENGTHS: Final = (0.6, 1.0, 1.35)
"""Of the expressions on the sheet's rows; 1 is what people show at normal intensity."""
_POSE: Final = Pose(scale=1.35)
_WORLD: Final = 20


def draw_sheet(look: int, *, side: int = SIDE) -> AvatarSheet:
    """The pictures of one avatar: eight expressions, each at `LEVELS` strengths.

    Args:
        look: 0 to `LOOKS`; each number is another face, hair, beard, glasses.
        side: of a picture in pixels.

    Raises:
        UsageError: out of range.
    """
    if not 0 <= look <= LOOKS:
        raise UsageError(f"the look is {look}, expected 0 to {LOOKS}")
    identity = look_of(look)
    rows = [
        [
            render_avatar(identity, activations(PROTOTYPES[name][0]) * strength, _POSE, side)
            for name in EXPRESSIONS
        ]
        for strength in STRENGTHS[:LEVELS]
    ]
    return AvatarSheet(np.array(rows, dtype=np.uint8), f"drawn avatar, look {look}")


def look_of(look: int) -> Identity:
    """The person whose avatar a look is."""
    return dressed(_WORLD + look // 2, 1 + look % 2)
