"""Adaptive frame rate: look at few frames first, and at more only while it could matter.

After Savchenko, "Facial expression recognition with adaptive frame rate based on multiple testing
correction" (ICML 2023): a clip is looked at with a growing frame rate, and the first rate at which
the decision is sure enough ends it.  Here the rates are every 8th, 4th, 2nd and every frame, no
frame is looked at twice, and "sure enough" is a margin between the two best scores.  The margins
are calibrated on clips whose all-frames decision is known, so that the share of all clips that end
early with another decision stays below a risk that is divided among the rates (Bonferroni's
correction; the paper uses Benjamini and Hochberg's).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.backbones.registry import Backbone, feature_spec
from common.video.extract import (
    MOST_FRAMES,
    ClipFeatures,
    Features,
    FrameGrid,
    Row,
    Walk,
    clip_features,
)
from common.video.tracking import FaceFinder

GRIDS: Final = ((8, 0), (8, 4), (4, 2), (2, 1))
"""(step, offset) of the frames that each rate adds; together every frame, each once."""

EARLY: Final = len(GRIDS) - 1
"""Rates at which a clip can end early; the last one has looked at everything."""

Decide = Callable[[Features], npt.NDArray[np.floating]]
"""Scores of the classes, (classes,), from a clip's features, (frames, dimension)."""


@dataclass(frozen=True)
class AdaptivePlan:
    """How sure a decision must be to end a clip.

    Attributes:
        margins: per early rate, the least difference of the two best scores; infinity never ends.
    """

    margins: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.margins) != EARLY or any(math.isnan(m) or m < 0 for m in self.margins):
            raise ValueError(f"margins are {self.margins}, expected {EARLY} numbers from 0")

    def ends(self, rate: int, found: float) -> bool:
        """Whether a decision with the margin `found` ends a clip at this early rate."""
        least = self.margins[rate]
        return found >= least and least < math.inf


NEVER_EARLY: Final = AdaptivePlan((math.inf,) * EARLY)


class AdaptiveClip(NamedTuple):
    """Features of the frames that were looked at, and the rate (0..3) that ended the clip."""

    features: ClipFeatures
    rate: int


class Trace(NamedTuple):
    """A clip's decision and margin at each rate."""

    decisions: tuple[int, ...]
    margins: tuple[float, ...]


def extract_adaptively(
    path: Path, backbone: Backbone, finder: FaceFinder, decide: Decide, plan: AdaptivePlan
) -> AdaptiveClip:
    """Features of as many of a clip's frames as its decision needs.

    Args:
        path: the video file; decoded once per rate.
        backbone: makes the frame features.
        finder: finds and follows the faces.
        decide: the scores that the features are for.
        plan: when to end.

    Raises:
        ClipError: the file is unusable, or no frame shows a face.
    """
    rows: list[Row] = []
    looked_at, thinning = 0, 1
    first_step = GRIDS[0][0]
    walk = Walk(path, backbone, finder, most_frames=MOST_FRAMES // first_step)
    for rate, (step, offset) in enumerate(GRIDS):
        grid = FrameGrid(step * thinning, offset * thinning)
        rows = sorted([*rows, *walk.through(grid)], key=lambda row: row.frame)
        looked_at += grid.looked_at()
        if rate == 0:
            # A clip too long for its first rate is thinned alike at all of them.
            thinning = grid.step // first_step
            walk = Walk(path, backbone, finder)
        if rate < EARLY and rows and plan.ends(rate, margin(decide(_stack(rows)))):
            break
    return AdaptiveClip(clip_features(path, rows, looked_at, feature_spec(backbone.record)), rate)


def trace(features: Features, frames: Sequence[int], decide: Decide) -> Trace | None:
    """What each rate would decide, from the features of all frames; None where a rate has none.

    Args:
        features: (rows, dimension) of every frame with a face.
        frames: the rows' frame numbers.
        decide: the scores.
    """
    taken = np.zeros(len(features), dtype=bool)
    decisions, margins = [], []
    for step, offset in GRIDS:
        taken |= np.asarray(frames) % step == offset
        if not taken.any():
            return None
        scores = decide(features[taken])
        decisions.append(int(np.argmax(scores)))
        margins.append(margin(scores))
    return Trace(tuple(decisions), tuple(margins))


def calibrate(traces: Sequence[Trace], *, risk: float = 0.005) -> AdaptivePlan:
    """The smallest margins with which early ends stay within `risk`.

    Args:
        traces: of the calibration clips, at least one.
        risk: largest share of all clips that may end early with another decision than with all
            frames, 0..1.  With few clips it allows none.

    Raises:
        ValueError: no trace, or `risk` is out of range.
    """
    if not traces or not 0 <= risk <= 1:
        raise ValueError("calibration needs at least one clip and a risk between 0 and 1")
    allowed = math.floor(risk / EARLY * len(traces))
    going_on = list(traces)
    chosen: list[float] = []
    for rate in range(EARLY):
        chosen.append(_least_margin(going_on, rate, allowed))
        going_on = [t for t in going_on if t.margins[rate] < chosen[-1]]
    return AdaptivePlan(tuple(chosen))


def margin(scores: npt.NDArray[np.floating]) -> float:
    """Difference of the two best scores; of a single class infinite."""
    if len(scores) < 2:
        return math.inf
    second, best = np.partition(scores, -2)[-2:]
    return float(best - second)


def _least_margin(traces: Sequence[Trace], rate: int, allowed: int) -> float:
    """Just above the margin of the first clip too many that would end with another decision."""
    wrong = sorted(
        (t.margins[rate] for t in traces if t.decisions[rate] != t.decisions[-1]), reverse=True
    )
    if len(wrong) <= allowed:
        return 0.0
    return math.nextafter(wrong[allowed], math.inf)


def _stack(rows: Sequence[Row]) -> Features:
    return np.stack([row.feature for row in rows])
