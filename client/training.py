"""The device's share in the universal head: what it computes from its clips for one round."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from client.settings import FEWEST_CLIPS as FEWEST_CLIPS
from common.clips import ClipSet
from common.heads.batch import ClipBatch
from common.heads.specification import BRANCHES, REFERENCE_STAGE
from common.heads.standardise import coarse, coarse_scatter, exact_reference
from common.heads.training import TrainingSettings, train_branch
from common.heads.universal import (
    UniversalHead,
    branch_batch,
    clip_rows,
    scatter_of,
    statistics_by_user,
)
from common.update import HeadUpdate

Arrays = dict[str, npt.NDArray[np.float32]]


def reference_update(head: UniversalHead, clips: ClipSet) -> HeadUpdate:
    """Round 0: the device's coarse centre and spread, averaged over its users, and scatter."""
    rows = clip_rows(head.specification, clips)
    told = coarse(exact_reference([rows.of_user(user) for user in clips.user_names()]))
    trained = {"reference.centre": told.centre, "reference.spread": told.spread}
    if head.specification.scatter:
        trained["reference.scatter"] = coarse_scatter(scatter_of(rows, clips.labels), len(clips))
    return _update(head, REFERENCE_STAGE, 0, len(clips), trained)


def head_update(
    head: UniversalHead, clips: ClipSet, settings: TrainingSettings, *, round: int
) -> HeadUpdate:
    """One round of local training of both branches on all of the device's clips."""
    trained: dict[str, npt.NDArray[np.float64]] = {}
    labels = torch.from_numpy(clips.labels)
    for branch, batch in training_batches(head, clips).items():
        found = train_branch(head.specification.kind, head.branch(branch), batch, labels, settings)
        trained |= {f"{branch}.{name}": value.numpy() for name, value in found.items()}
    return _update(head, "head", round, len(clips), trained)


def training_batches(head: UniversalHead, clips: ClipSet) -> dict[str, ClipBatch]:
    """Both branches' inputs of all clips, each user standardised by the own statistics.

    Clips keep their order; each batch is (clips, frames, dimension).
    """
    rows = clip_rows(head.specification, clips)
    statistics = statistics_by_user(head, rows)
    return {branch: branch_batch(head, rows, branch, statistics) for branch in BRANCHES}


def _update(
    head: UniversalHead,
    stage: str,
    round: int,
    clips: int,
    trained: Mapping[str, npt.NDArray[np.float64]],
) -> HeadUpdate:
    """Trained minus received, rounded once to the wire's dtype."""
    arrays: Arrays = {
        name: (trained[name] - head.arrays[name].astype(np.float64)).astype(np.float32)
        for name in head.specification.shapes(stage)
    }
    return HeadUpdate(
        specification=head.specification, stage=stage, round=round, clips=clips, arrays=arrays
    )
