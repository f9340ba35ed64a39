"""The frames of one take, as a camera would deliver them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from common.ravdess import Take
from simulations.actors.action_units import draw_style
from simulations.actors.face import render_frame
from simulations.actors.identity import draw_identity
from simulations.actors.motion import perform, take_generator
from simulations.actors.plan import ClipPlan

Frame = NDArray[np.uint8]
"""RGB `(size, size, 3)`."""


def take_frames(seed: int, take: Take, plan: ClipPlan) -> Iterator[Frame]:
    """The `plan.frames` frames of `take`; a function of the arguments, never of call order."""
    identity, style = draw_identity(seed, take.actor), draw_style(seed, take.actor)
    performance = perform(seed, style, take, plan.frames, plan.fps)
    camera = take_generator(seed, "camera", take)
    for units, pose in zip(performance.activations, performance.poses, strict=True):
        frame = render_frame(identity, units, pose, performance.light, plan.size)
        yield _noisy(frame, plan.noise, camera)


def _noisy(frame: Frame, sigma: float, random: np.random.Generator) -> Frame:
    if sigma <= 0:
        return frame
    grain = random.standard_normal(frame.shape[:2], dtype=np.float32) * np.float32(sigma)
    grainy = frame + (grain + np.float32(0.5))[..., None]
    return np.clip(grainy, 0.0, 255.0, out=grainy).astype(np.uint8)
