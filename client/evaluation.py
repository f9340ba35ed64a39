"""What a device measures for itself on a user's test clips; the figures stay on the device.

In a simulation the researcher owns the devices' folders and reads them there; no message carries
a prediction, a label or an accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from client.personal import PersonalHead, PersonalSettings, fit_personal
from client.store import DeviceSettings, Part
from common.clips import ClipSet
from common.heads.standardise import (
    SMALLEST_SPREAD,
    UserStatistics,
    squash,
)
from common.heads.universal import (
    UniversalHead,
    clip_rows,
    inputs_of,
    statistics_of,
    universal_logits,
    user_descriptors,
)
from common.randomness import generator

Rows = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

RESTING = (0, 1)
"""Labels of the resting expressions, neutral and calm."""
STREAM_SHARE = 0.8


@dataclass(frozen=True)
class View:
    """A user's clips as one universal head sees them.

    Attributes:
        universal: (clips, classes) mixed logits.
        raw: (clips, classes) logits of the population branch alone.
        descriptors: (clips, dimension) of the user branch, statistics shrunk by trust.
        statistics: what the clips were standardised by.
    """

    universal: Rows
    raw: Rows
    descriptors: Rows
    statistics: UserStatistics


def view(head: UniversalHead, clips: ClipSet, statistics: UserStatistics) -> View:
    """See `clips` (one user's, at least one) through `head`."""
    inputs = inputs_of(head, clips, statistics)
    shrunk = inputs_of(head, clips, statistics.shrunk())
    return View(
        universal_logits(head, inputs, statistics.trust).numpy(),
        universal_logits(head, inputs, 0.0).numpy(),
        user_descriptors(head, shrunk.user).numpy(),
        statistics,
    )


def own_descriptors(head: UniversalHead, adaptation: ClipSet, clips: ClipSet) -> Rows:
    """Descriptors from a user's own clips alone, (clips, dimension): no population figure in them.

    Frames are averaged, standardised by the adaptation clips' own mean and spread, and squashed.
    """
    known = _clip_means(head, adaptation)
    spread = known.std(axis=0)
    floor = SMALLEST_SPREAD * float(np.median(spread)) + np.finfo(np.float64).eps
    return squash((_clip_means(head, clips) - known.mean(axis=0)) / np.maximum(spread, floor))


def _clip_means(head: UniversalHead, clips: ClipSet) -> Rows:
    rows = clip_rows(head.specification, clips)
    starts = np.concatenate([[0], np.cumsum(rows.lengths)[:-1]])
    return np.asarray(np.add.reduceat(rows.values, starts, axis=0) / rows.lengths[:, None])


def draw_own_clips(
    labels: Labels, per_expression: int, *, seed: int, draw: int, user: str
) -> tuple[int, ...]:
    """Indices of min(k, those there are) clips of each expression, sorted."""
    chooser = generator(seed, f"own clips {per_expression}", round=draw, user=user)
    chosen: list[int] = []
    for label in np.unique(labels):
        candidates = np.flatnonzero(labels == label)
        chosen += chooser.permutation(candidates)[:per_expression].tolist()
    return tuple(sorted(chosen))


def draw_resting_stream(labels: Labels, *, seed: int, draw: int, user: str) -> tuple[int, ...]:
    """A stream of clips of which 80 % are neutral or calm: all resting clips and a few others."""
    chooser = generator(seed, "resting stream", round=draw, user=user)
    resting = np.flatnonzero(np.isin(labels, RESTING))
    others = np.flatnonzero(~np.isin(labels, RESTING))
    few = round(len(resting) * (1 - STREAM_SHARE) / STREAM_SHARE)
    return tuple(sorted([*resting.tolist(), *chooser.permutation(others)[:few].tolist()]))


def evaluate_part(
    head: UniversalHead, clips: ClipSet, part: Part, settings: DeviceSettings
) -> tuple[dict[str, Any], PersonalHead, UserStatistics]:
    """Test one user: predictions of every head on the same test clips.

    Returns:
        The record for the device's folder, the personal head from all adaptation clips, and the
        user's statistics (from the adaptation clips only, never from test clips).
    """
    adaptation, test = clips.select(part.adaptation), clips.select(part.test)
    statistics = statistics_of(head, adaptation)
    known, asked = view(head, adaptation, statistics), view(head, test, statistics)
    own = own_descriptors(head, adaptation, adaptation), own_descriptors(head, adaptation, test)
    prior = PersonalSettings(strength=part.strength, scale=part.scale)
    alone = PersonalSettings(strength=part.strength, scale=0.0)
    personal: list[list[list[int]]] = []
    local: list[list[list[int]]] = []
    for chosen in _own_clip_draws(adaptation.labels, part.user, settings):
        personal.append([])
        local.append([])
        for indices in chosen:
            rows, labels = list(indices), adaptation.labels[list(indices)]
            mine = fit_personal(known.universal[rows], known.descriptors[rows], labels, prior)
            bare = fit_personal(known.universal[rows], own[0][rows], labels, alone)
            personal[-1].append(_choose(mine.logits(asked.universal, asked.descriptors)))
            local[-1].append(_choose(bare.logits(asked.universal, own[1])))
    whole = fit_personal(known.universal, known.descriptors, adaptation.labels, prior)
    record = {
        "user": part.user,
        "federation": part.federation,
        "adaptation_clips": list(adaptation.names),
        "test_clips": list(test.names),
        "labels": test.labels.tolist(),
        "trust": statistics.trust,
        "universal": _choose(asked.universal),
        "universal_raw": _choose(asked.raw),
        "resting_stream": _streams(head, adaptation, test, settings, part.user),
        "personal": personal,
        "local_only": local,
    }
    return record, whole, statistics


def _own_clip_draws(
    labels: Labels, user: str, settings: DeviceSettings
) -> list[list[tuple[int, ...]]]:
    """For each number of own clips its draws; draws that take every clip are one."""
    result = []
    for count in settings.own_clips:
        draws = [
            draw_own_clips(labels, count, seed=settings.seed, draw=draw, user=user)
            for draw in range(settings.draws)
        ]
        result.append(draws[:1] if all(len(d) == len(labels) for d in draws) else draws)
    return result


def _streams(
    head: UniversalHead, adaptation: ClipSet, test: ClipSet, settings: DeviceSettings, user: str
) -> list[list[int]]:
    """Universal predictions where the user's statistics come from a mostly resting stream."""
    predictions = []
    for draw in range(settings.draws):
        drawn = draw_resting_stream(adaptation.labels, seed=settings.seed, draw=draw, user=user)
        statistics = statistics_of(head, adaptation.select(drawn))
        predictions.append(_choose(view(head, test, statistics).universal))
    return predictions


def _choose(logits: Rows) -> list[int]:
    chosen: Sequence[int] = logits.argmax(axis=1).tolist()
    return list(chosen)
