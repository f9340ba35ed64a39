"""Clips per second with all frames and with adaptive frame rate, on synthetic clips.

A universal head is trained on the features of some synthetic actors (all frames), the margins are
calibrated on the same actors' clips, and the other actors' clips are measured: both ways by turns,
and how often the two decide the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from common.heads.universal import UniversalHead, inputs_of, universal_logits
from common.video.adaptive import AdaptivePlan, Trace, calibrate, extract_adaptively, trace
from common.video.extract import Features, FrameGrid, Walk, extract
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import FaceFinder, Tracker
from simulations.data.ravdess_tree import FoundClip, find_clips
from simulations.pooled import pooled_head
from simulations.settings import parse_settings
from simulations.sources import synthetic_actors
from simulations.watching import Watcher

_L2: Final = 0.01
_ONE_IN: Final = 4
"""Each fourth actor's clips are measured; the others' train and calibrate."""


@dataclass(frozen=True)
class _Tools:
    backbone: Backbone
    finder: FaceFinder


def measure_adaptive(*, actors: int, seed: int, workers: int, watch: Watcher) -> dict[str, Any]:
    """Figures of both ways on synthetic clips.

    Args:
        actors: synthetic actors, at least 4; drawn into the cache where they are missing.
        seed: of the actors.
        workers: processes that draw.
        watch: told of each phase.

    Returns:
        `mien_clips_per_second`, `mien_adaptive_clips_per_second`, their ratio, the share of clips
        with the same decision, the mean share of frames looked at, and the clips measured.
    """
    settings = parse_settings({"actors": actors, "seed": seed})
    clips = find_clips(synthetic_actors(settings, workers=workers, watch=watch)).clips
    tools = _Tools(load(DEFAULT_BACKBONE), Tracker(FastMtcnn()))
    known, measured = _divided(clips)
    head, plan = _prepared(known, tools, seed, watch)
    return _measured(measured, tools, head, plan, watch)


def _divided(clips: Sequence[FoundClip]) -> tuple[list[FoundClip], list[FoundClip]]:
    """Training and calibration clips, and those that are measured; no actor is in both."""
    measured = [clip for clip in clips if clip.name.actor % _ONE_IN == 0]
    return [clip for clip in clips if clip.name.actor % _ONE_IN], measured


def _prepared(
    clips: Sequence[FoundClip], tools: _Tools, seed: int, watch: Watcher
) -> tuple[UniversalHead, AdaptivePlan]:
    rows = []
    for done, clip in enumerate(clips, 1):
        rows.append(Walk(clip.path, tools.backbone, tools.finder).through(FrameGrid(1)))
        watch("clips to train and calibrate on", done, len(clips))
    usable = [(clip, found) for clip, found in zip(clips, rows, strict=True) if found]
    features = [np.stack([row.feature for row in found]) for _, found in usable]
    head = _trained([clip for clip, _ in usable], features, tools, seed)
    traces = [
        trace(one, [row.frame for row in found], lambda rows: decide(head, rows))
        for one, (_, found) in zip(features, usable, strict=True)
    ]
    return head, calibrate([one for one in traces if isinstance(one, Trace)])


def _trained(
    clips: Sequence[FoundClip], features: Sequence[Features], tools: _Tools, seed: int
) -> UniversalHead:
    record = tools.backbone.record
    specification = HeadSpecification(
        kind="logistic", features=feature_spec(record), dimension=record.dimension
    )
    table = make_clip_set(
        [str(clip.name) for clip in clips],
        [f"actor-{clip.name.actor:02d}" for clip in clips],
        [clip.name.label for clip in clips],
        features,
    )
    return pooled_head(specification, table, l2=_L2, seed=seed)


def decide(head: UniversalHead, features: Features) -> npt.NDArray[np.float64]:
    """Logits of an unknown user's clip, (classes,), from its features, (frames, dimension)."""
    width = features.shape[1]
    nobody = UserStatistics(np.zeros(width), np.ones(width), 0.0)
    return np.asarray(universal_logits(head, inputs_of(head, _one(features), nobody), 0.0)[0])


def _one(features: Features) -> ClipSet:
    return make_clip_set(["clip"], ["user"], [0], [features])


def _measured(
    clips: Sequence[FoundClip],
    tools: _Tools,
    head: UniversalHead,
    plan: AdaptivePlan,
    watch: Watcher,
) -> dict[str, Any]:
    seconds = {"all": 0.0, "adaptive": 0.0}
    same, shares, right = 0, [], 0
    for done, clip in enumerate(clips, 1):
        started = time.perf_counter()
        whole = extract(clip.path, tools.backbone, tools.finder)
        decision = int(np.argmax(decide(head, whole.features)))
        middle = time.perf_counter()
        early = extract_adaptively(
            clip.path, tools.backbone, tools.finder, lambda rows: decide(head, rows), plan
        )
        adaptive = int(np.argmax(decide(head, early.features.features)))
        seconds["all"] += middle - started
        seconds["adaptive"] += time.perf_counter() - middle
        same += adaptive == decision
        right += decision == clip.name.label
        shares.append(early.features.decoded / whole.decoded)
        watch("clips measured both ways", done, len(clips))
    count = len(clips)
    return {
        "adaptive_data": f"synthetic, {count} clips of actors that nothing was trained on",
        "mien_clips_per_second": round(count / seconds["all"], 2),
        "mien_adaptive_clips_per_second": round(count / seconds["adaptive"], 2),
        "adaptive_times_all_frames": round(seconds["all"] / seconds["adaptive"], 2),
        "adaptive_same_decision": round(same / count, 4),
        "adaptive_frames_looked_at": round(float(np.mean(shares)), 3),
        "accuracy_all_frames": round(right / count, 4),
        "classes": len(EXPRESSIONS),
    }
