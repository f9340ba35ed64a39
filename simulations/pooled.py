"""Universal heads from pooled data: what a federation is held against.

For the logistic head, which is convex, it is the ceiling of the objective; attention heads may
stop elsewhere.

A simulation has all clips on one machine; a real fleet does not, and nothing here runs there.
"""

from __future__ import annotations

import numpy as np
import torch

from client.training import training_batches
from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from common.heads.standardise import exact_reference
from common.heads.training import solve_branch
from common.heads.universal import UniversalHead, clip_rows, initial_head, scatter_of


def pooled_head(
    specification: HeadSpecification,
    clips: ClipSet,
    *,
    l2: float,
    seed: int,
    warm: UniversalHead | None = None,
) -> UniversalHead:
    """The head that minimises the federation's objective on all clips together, to convergence.

    `warm` is a head to start from (one solved for another `l2` saves most steps).
    """
    rows = clip_rows(specification, clips)
    reference = exact_reference([rows.of_user(user) for user in clips.user_names()])
    start = warm or initial_head(specification, seed)
    arrays = dict(start.arrays)
    arrays["reference.centre"] = reference.centre.astype(np.float32)
    arrays["reference.spread"] = reference.spread.astype(np.float32)
    if specification.scatter:
        scatter = scatter_of(rows, clips.labels) / len(clips)
        arrays["reference.scatter"] = scatter.astype(np.float32)
    head = UniversalHead(specification, arrays)
    labels = torch.from_numpy(clips.labels)
    for branch, batch in training_batches(head, clips).items():
        solved = solve_branch(specification.kind, head.branch(branch), batch, labels, l2=l2)
        arrays |= {f"{branch}.{name}": v.numpy().astype(np.float32) for name, v in solved.items()}
    return UniversalHead(specification, arrays)
