"""What a device measures for itself on a user's test clips; the figures stay on the device.

In a simulation the researcher owns the devices' folders and reads them there; no message carries
a prediction, a label or an accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from client.personalisation import METHODS
from client.personalisation.corrected import fit_map
from client.personalisation.heads import PersonalHead
from client.personalisation.interface import Acquaintance, Fitting, View, get_acquainted
from client.personalisation.maximum_a_posteriori import Prior
from client.personalisation.solver import Labels, Rows
from client.store import DeviceSettings, Part
from common.clips import ClipSet
from common.heads.standardise import UserStatistics
from common.heads.universal import UniversalHead, statistics_of
from common.randomness import generator

RESTING = (0, 1)
"""Labels of the resting expressions, neutral and calm."""
STREAM_SHARE = 0.8
CONFIDENCE_DIGITS = 4

Draws = list[list[tuple[int, ...]]]
Curve = list[list[list[Any]]]


def view(head: UniversalHead, clips: ClipSet, statistics: UserStatistics) -> View:
    """See `clips` (one user's, at least one) through `head`, without descriptors of their own."""
    return Acquaintance(head, statistics).view(clips)


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


@dataclass(frozen=True)
class _Tested:
    """One method on all draws: per number of own clips and draw, one entry per test clip."""

    choices: Curve
    confidence: Curve
    personal: list[list[bool]]


def evaluate_part(
    head: UniversalHead, clips: ClipSet, part: Part, settings: DeviceSettings
) -> tuple[dict[str, Any], PersonalHead, UserStatistics]:
    """Test one user: predictions of every head on the same test clips.

    Returns:
        The record for the device's folder, the personal head from all adaptation clips, and the
        user's statistics (from the adaptation clips only, never from test clips).
    """
    adaptation, test = clips.select(part.adaptation), clips.select(part.test)
    known_user = get_acquainted(head, adaptation)
    known, asked = known_user.view(adaptation), known_user.view(test)
    fitting = Fitting(prior=Prior(evidence=part.evidence), seed=settings.seed, user=part.user)
    draws = _own_clip_draws(adaptation.labels, part.user, settings)
    methods = {"personal": "map", "local_only": "local-only"}
    methods |= {name.replace("-", "_"): name for name in settings.peers}
    tested = {
        key: _test(name, known, asked, adaptation.labels, draws, fitting)
        for key, name in methods.items()
    }
    record = {
        "user": part.user,
        "federation": part.federation,
        "adaptation_clips": list(adaptation.names),
        "test_clips": list(test.names),
        "labels": test.labels.tolist(),
        "trust": known_user.statistics.trust,
        "universal": _choose(asked.universal),
        "universal_raw": _choose(asked.raw),
        "resting_stream": _streams(head, adaptation, test, settings, part.user),
        **{key: found.choices for key, found in tested.items()},
        "confidence": {
            "universal": _confidence(asked.universal),
            **{key: found.confidence for key, found in tested.items()},
        },
        "personal_in_use": tested["personal"].personal,
    }
    return record, fit_map(known, adaptation.labels, fitting).head, known_user.statistics


def _test(
    name: str, known: View, asked: View, labels: Labels, draws: Draws, fitting: Fitting
) -> _Tested:
    tested = _Tested([], [], [])
    for chosen in draws:
        heads = [METHODS[name](known.select([*rows]), labels[[*rows]], fitting) for rows in chosen]
        logits = [head.logits(asked) for head in heads]
        tested.choices.append([_choose(each) for each in logits])
        tested.confidence.append([_confidence(each) for each in logits])
        tested.personal.append([head.personal for head in heads])
    return tested


def _own_clip_draws(labels: Labels, user: str, settings: DeviceSettings) -> Draws:
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


def _confidence(logits: Rows) -> list[float]:
    """Probability of the chosen expression, clip by clip, 0..1."""
    highest: Sequence[float] = softmax(logits, axis=1).max(axis=1).tolist()
    return [round(value, CONFIDENCE_DIGITS) for value in highest]
