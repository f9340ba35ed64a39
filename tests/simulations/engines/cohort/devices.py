"""Ragged devices, and the plain way through them: one device after the other, no batching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from client.training import FEWEST_CLIPS, head_update, reference_update, training_batches
from common.clips import ClipSet, make_clip_set
from common.heads.specification import REFERENCE_STAGE, HeadSpecification
from common.heads.training import train_branch
from common.heads.universal import UniversalHead
from common.messages import Request
from common.settings import FederationPlan
from server.federation import Replies
from server.sampling import asked_devices, lost_devices

DIMENSION = 6


def specification(kind: str, pooling: str = "max", *, scatter: bool = False) -> HeadSpecification:
    return HeadSpecification(
        kind=kind,
        dimension=DIMENSION,
        features="made-up",
        key_dimension=3,
        pooling=pooling,
        scatter=scatter,
    )


def plan(kind: str, **changes: Any) -> FederationPlan:
    """Five rounds; a logistic rate so large that steps are halved, and accelerated."""
    convex = kind == "logistic"
    settings = {
        "rounds": 5,
        "epochs": 4,
        "learning_rate": 60.0 if convex else 0.02,
        "l2": 0.01,
        "memory": 5 if convex else 0,
        "seed": 1,
    }
    return FederationPlan(name="fold-1", **{**settings, **changes})


def ragged_devices(count: int = 9, *, seed: int = 0, most_frames: int = 5) -> list[ClipSet]:
    """Devices of 2 to 13 clips of 1 to `most_frames` frames; every third has two or three users."""
    chooser = np.random.default_rng(seed)
    devices = []
    for number in range(count):
        clips = int(chooser.integers(2, 14))
        users = 1 if number % 3 else 2 + number % 2
        shift = chooser.normal(size=DIMENSION)
        lengths = chooser.integers(1, most_frames + 1, clips)
        devices.append(
            make_clip_set(
                [f"{number}-{clip}" for clip in range(clips)],
                [f"user-{clip % users}" for clip in range(clips)],
                chooser.integers(0, 8, clips).tolist(),
                [3 * chooser.normal(size=(length, DIMENSION)) + shift for length in lengths],
            )
        )
    return devices


class PlainFleet:
    """The functions that a device calls, for one device after the other."""

    def __init__(self, devices: Sequence[ClipSet]) -> None:
        self._devices = devices

    def ask(self, request: Request) -> Replies:
        lost = lost_devices(request, len(self._devices))
        asked = asked_devices(request, len(self._devices)).tolist()
        ready = [device for device in asked if len(self._devices[device]) >= FEWEST_CLIPS]
        updates = [self._update(request, device) for device in ready if not lost[device]]
        gone = sum(bool(lost[device]) for device in ready)
        return Replies(tuple(updates), 0, len(asked) - len(ready), (), gone)

    def _update(self, request: Request, device: int) -> Any:
        clips = self._devices[device]
        if request.stage == REFERENCE_STAGE:
            return reference_update(request.head, clips)
        return head_update(request.head, clips, request.plan.training, round=request.round)


def plain_moves(
    head: UniversalHead, clips: ClipSet, settings: FederationPlan
) -> dict[str, np.ndarray[Any, Any]]:
    """What one device's training moves each array by, in float64, before any rounding."""
    labels = torch.from_numpy(clips.labels)
    moves = {}
    for branch, batch in training_batches(head, clips).items():
        start = head.branch(branch)
        end = train_branch(head.specification.kind, start, batch, labels, settings.training)
        moves |= {f"{branch}.{name}": (end[name] - start[name]).numpy() for name in end}
    return moves
