"""Adaptive frame rate: look at few frames first, and at more only while it could matter.

After Savchenko, "Facial expression recognition with adaptive frame rate based on multiple testing
correction" (ICML 2023): a clip is looked at with a growing frame rate, and the first rate at which
the decision is sure enough ends it.  Here the rates are every 8th, 4th and 2nd
frame, each adding to the one before, and then all frames, followed anew from the first to the last
as without an adaptive rate.  "Sure enough" is a margin between the two best scores.  The margins
are calibrated on clips whose all-frames decision is known, so that the expected share of clips that
end early with another decision stays within a risk that is divided among the rates (Bonferroni's
correction; the paper uses Benjamini and Hochberg's).  Scores of mean-pooled frames change little
with the frame rate; of max-pooled ones so much that few clips end early.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from common.backbones.registry import Backbone, feature_spec
from common.video.decode import pictures
from common.video.extract import (
    MOST_FRAMES,
    ClipFeatures,
    Features,
    FrameGrid,
    Row,
    Walk,
    clip_features,
)
from common.video.picture import Picture
from common.video.tracking import FaceFinder

EARLY_GRIDS: Final = ((8, 0), (8, 4), (4, 2))
"""(step, offset) of the frames that each early rate adds: every 8th, 4th, 2nd frame together."""

EARLY: Final = len(EARLY_GRIDS)
"""Rates at which a clip can end early; at the last one it is extracted as without any of this."""

HELD_BYTES: Final = 256 << 20
"""Decoded frames of a clip are kept for the next rate up to this size, else decoded again."""
_EARLY_BATCH: Final = 2
"""Frames that go through finder and backbone together at an early rate: it has few frames, and
those that come first are worked on while the others are decoded."""
_DECODER_THREADS: Final = 2
"""An early rate mostly waits for the decoder."""
_BYTES_PER_PIXEL: Final = 1.5
"""Of common video (4:2:0, 8 bits)."""

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
    """A clip at each rate.

    Attributes:
        margins: by how much the best class leads there.
        leads: by how much the same class leads the best of the others in the end, negative where
            another class is the best then; of the last rate the margin itself.
    """

    margins: tuple[float, ...]
    leads: tuple[float, ...]


def extract_adaptively(
    path: Path, backbone: Backbone, finder: FaceFinder, decide: Decide, plan: AdaptivePlan
) -> AdaptiveClip:
    """Features of as many of a clip's frames as its decision needs.

    Args:
        path: the video file; decoded once, or once per rate if it is large.
        backbone: makes the frame features.
        finder: finds and follows the faces.
        decide: the scores that the features are for.
        plan: when to end.

    Returns:
        A clip that does not end early has the features of `extract`.

    Raises:
        ClipError: the file is unusable, or no frame shows a face.
    """
    spec = feature_spec(backbone.record)
    for rate, (rows, looked_at) in enumerate(_rates(path, backbone, finder)):
        if rate == EARLY or (rows and plan.ends(rate, margin(decide(_stack(rows))))):
            return AdaptiveClip(clip_features(path, rows, looked_at, spec), rate)
    raise AssertionError("the last rate ends every clip")


def trace(path: Path, backbone: Backbone, finder: FaceFinder, decide: Decide) -> Trace | None:
    """What each rate decides of a clip; None where a rate finds no face.

    Raises:
        ClipError: the file is unusable.
    """
    found = [rows for rows, _ in _rates(path, backbone, finder)]
    if not all(found):
        return None
    return trace_of([decide(_stack(rows)) for rows in found])


def trace_of(scores: Sequence[npt.NDArray[np.floating]]) -> Trace:
    """The trace of a clip with these scores, (classes,) at each rate, two classes at least."""
    margins = tuple(margin(each) for each in scores)
    leads = []
    for each in scores:
        best = int(np.argmax(each))
        leads.append(float(scores[-1][best] - np.delete(scores[-1], best).max()))
    return Trace(margins, tuple(leads))


def _rates(path: Path, backbone: Backbone, finder: FaceFinder) -> Iterator[tuple[list[Row], int]]:
    """(rows, frames looked at) of one rate after the other, as far as they are asked for."""
    source = _HeldPictures(path)
    tools = backbone, finder
    first_step = EARLY_GRIDS[0][0]
    rows: list[Row] = []
    looked_at, thinning, most_frames = 0, 1, MOST_FRAMES // first_step
    for step, offset in EARLY_GRIDS:
        walk = Walk(path, *tools, source=source, batch=_EARLY_BATCH, most_frames=most_frames)
        grid = FrameGrid(step * thinning, offset * thinning)
        rows = sorted([*rows, *walk.through(grid)], key=lambda row: row.frame)
        looked_at += grid.looked_at()
        yield rows, looked_at
        # A clip too long for its first rate is thinned alike at the others.
        thinning, most_frames = grid.step // step, MOST_FRAMES
    grid = FrameGrid(1)
    rows = Walk(path, *tools, source=source).through(grid)
    yield rows, grid.looked_at()


class _HeldPictures:
    """A clip's decoded frames; kept for the next time if they are few or small enough."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: list[Picture] | None = None

    def __call__(self) -> Iterator[Picture]:
        """All frames, in order.

        Raises:
            ClipError: the file is unusable.
        """
        return iter(self._held) if self._held is not None else self._decoded()

    def _decoded(self) -> Iterator[Picture]:
        held: list[Picture] = []
        size = 0.0
        for picture in pictures(self._path, threads=_DECODER_THREADS):
            size += picture.width * picture.height * _BYTES_PER_PIXEL
            if size <= HELD_BYTES:
                held.append(picture)
            else:
                held.clear()
            yield picture
        if size <= HELD_BYTES:
            self._held = held


def calibrate(traces: Sequence[Trace], *, risk: float = 0.005) -> AdaptivePlan:
    """The smallest margins with which early ends are expected to stay within `risk`.

    What a rate's leading class gains or loses until the end is taken as normal about 0, with the
    variance that the calibration clips show at this rate; so every clip says something, not only
    the few that change their mind.  A clip that ends early with margin m is then wrong with
    probability Phi(-m / sigma).

    Args:
        traces: of the calibration clips, at least one.
        risk: expected share of all clips that end early with another decision than with all
            frames, 0..1, divided among the rates.

    Raises:
        ValueError: no trace, or `risk` is out of range.
    """
    if not traces or not 0 <= risk <= 1:
        raise ValueError("calibration needs at least one clip and a risk between 0 and 1")
    margins = np.array([t.margins[:EARLY] for t in traces])
    changes = np.array([t.leads[:EARLY] for t in traces]) - margins
    going_on = np.ones(len(traces), dtype=bool)
    chosen = []
    for rate in range(EARLY):
        sigma = float(np.sqrt(np.mean(changes[:, rate] ** 2)))
        allowed = risk / EARLY * len(traces)
        least = _least_margin(margins[going_on, rate], sigma, allowed)
        going_on &= margins[:, rate] < least
        chosen.append(least)
    return AdaptivePlan(tuple(chosen))


def margin(scores: npt.NDArray[np.floating]) -> float:
    """Difference of the two best scores; of a single class infinite."""
    if len(scores) < 2:
        return math.inf
    second, best = np.partition(scores, -2)[-2:]
    return float(best - second)


def _least_margin(margins: npt.NDArray[np.float64], sigma: float, allowed: float) -> float:
    """The smallest of the margins above which the expected number of wrong clips is allowed."""
    falling = np.sort(margins)[::-1]
    wrong = ndtr(-falling / sigma) if sigma > 0 else np.zeros(len(falling))
    ending = int(np.searchsorted(np.cumsum(wrong), allowed, side="right"))
    while 0 < ending < len(falling) and falling[ending] == falling[ending - 1]:
        ending -= 1  # equal margins end together or not at all
    return float(falling[ending - 1]) if ending else math.inf


def _stack(rows: Sequence[Row]) -> Features:
    return np.stack([row.feature for row in rows])
