"""Clips per second with all frames and with adaptive frame rate, on synthetic clips.

The clips are as long as RAVDESS's actors speak, and their users are known, as on a device: a head
is trained on every actor's first repetition (all frames), the margins are calibrated on the second
repetition of one statement, and the second repetition of the other statement is measured, both
ways by turns, and how often the two decide the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from common.backbones.registry import DEFAULT_BACKBONE, Backbone, feature_spec, load
from common.clips import ClipSet, make_clip_set
from common.expressions import EXPRESSIONS
from common.heads.specification import HeadSpecification
from common.heads.standardise import UserStatistics
from common.heads.universal import (
    UniversalHead,
    inputs_of,
    statistics_of,
    universal_logits,
)
from common.paths import cache_folder
from common.video.adaptive import AdaptivePlan, Decide, calibrate, extract_adaptively, trace
from common.video.extract import Features, extract
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import FaceFinder, Tracker
from simulations.actors.manifest import RENDERER_VERSION
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from simulations.data.ravdess_tree import FoundClip, find_clips
from simulations.pooled import pooled_head
from simulations.watching import Watcher

_L2: Final = 0.01
_PLAN: Final = ClipPlan(frames=64)


@dataclass(frozen=True)
class _Tools:
    backbone: Backbone
    finder: FaceFinder


def measure_adaptive(*, actors: int, seed: int, workers: int, watch: Watcher) -> dict[str, Any]:
    """Figures of both ways on synthetic clips.

    Args:
        actors: synthetic actors, at least 2; drawn into the cache where they are missing.
        seed: of the actors.
        workers: processes that draw.
        watch: told of each phase.

    Returns:
        `mien_clips_per_second`, `mien_adaptive_clips_per_second`, their ratio, the share of clips
        with the same decision, the mean share of frames looked at, and the clips measured.
    """
    clips = find_clips(_long_clips(actors, seed, workers, watch)).clips
    tools = _Tools(load(DEFAULT_BACKBONE), Tracker(FastMtcnn()))
    training = [clip for clip in clips if clip.name.repetition == 1]
    others = [clip for clip in clips if clip.name.repetition == 2]
    known = _trained(training, tools, seed, watch)
    plan = _calibrated([c for c in others if c.name.statement == 1], tools, known, watch)
    return _measured([c for c in others if c.name.statement == 2], tools, known, plan, watch)


@dataclass(frozen=True)
class _Known:
    """A head and its users' own means and spreads, by actor."""

    head: UniversalHead
    statistics: Mapping[int, UserStatistics]

    def decide(self, clip: FoundClip) -> Decide:
        """Logits of a clip of this clip's actor, (classes,)."""
        own = self.statistics[clip.name.actor]

        def scores(features: Features) -> npt.NDArray[np.float64]:
            inputs = inputs_of(self.head, _one(features), own)
            return np.asarray(universal_logits(self.head, inputs, own.trust)[0])

        return scores


def _long_clips(actors: int, seed: int, workers: int, watch: Watcher) -> Path:
    name = f"bench-seed-{seed}-actors-{actors}-renderer-{RENDERER_VERSION}"
    folder = cache_folder() / "synthetic-actors" / name
    write_actors(
        folder,
        actors=actors,
        seed=seed,
        plan=_PLAN,
        workers=workers,
        progress=lambda done, total: watch("long clips drawn", done, total),
    )
    return folder


def _trained(clips: Sequence[FoundClip], tools: _Tools, seed: int, watch: Watcher) -> _Known:
    record = tools.backbone.record
    specification = HeadSpecification(
        kind="logistic",
        features=feature_spec(record),
        dimension=record.dimension,
        pooling="mean",
    )
    features = []
    for done, clip in enumerate(clips, 1):
        features.append(extract(clip.path, tools.backbone, tools.finder).features)
        watch("clips to train on", done, len(clips))
    table = make_clip_set(
        [str(clip.name) for clip in clips],
        [f"actor-{clip.name.actor:02d}" for clip in clips],
        [clip.name.label for clip in clips],
        features,
    )
    head = pooled_head(specification, table, l2=_L2, seed=seed)
    own = {
        int(user.removeprefix("actor-")): statistics_of(head, table.of_user(user))
        for user in table.user_names()
    }
    return _Known(head, own)


def _calibrated(
    clips: Sequence[FoundClip], tools: _Tools, known: _Known, watch: Watcher
) -> AdaptivePlan:
    traces = []
    for done, clip in enumerate(clips, 1):
        found = trace(clip.path, tools.backbone, tools.finder, known.decide(clip))
        traces += [found] if found else []
        watch("clips to calibrate on", done, len(clips))
    return calibrate(traces)


def _one(features: Features) -> ClipSet:
    return make_clip_set(["clip"], ["user"], [0], [features])


def _measured(
    clips: Sequence[FoundClip],
    tools: _Tools,
    known: _Known,
    plan: AdaptivePlan,
    watch: Watcher,
) -> dict[str, Any]:
    seconds = {"all": 0.0, "adaptive": 0.0}
    same, shares, right = 0, [], 0
    for done, clip in enumerate(clips, 1):
        decide = known.decide(clip)
        started = time.perf_counter()
        whole = extract(clip.path, tools.backbone, tools.finder)
        decision = int(np.argmax(decide(whole.features)))
        middle = time.perf_counter()
        early = extract_adaptively(clip.path, tools.backbone, tools.finder, decide, plan)
        adaptive = int(np.argmax(decide(early.features.features)))
        seconds["all"] += middle - started
        seconds["adaptive"] += time.perf_counter() - middle
        same += adaptive == decision
        right += decision == clip.name.label
        shares.append(early.features.decoded / whole.decoded)
        watch("clips measured both ways", done, len(clips))
    count = len(clips)
    return {
        "adaptive_data": f"synthetic, {count} takes that nothing was trained or calibrated on",
        "mien_clips_per_second": round(count / seconds["all"], 2),
        "mien_adaptive_clips_per_second": round(count / seconds["adaptive"], 2),
        "adaptive_times_all_frames": round(seconds["all"] / seconds["adaptive"], 2),
        "adaptive_same_decision": round(same / count, 4),
        "adaptive_frames_looked_at": round(float(np.mean(shares)), 3),
        "accuracy_all_frames": round(right / count, 4),
        "classes": len(EXPRESSIONS),
    }
