"""Small updates for tests of what may travel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.heads.specification import HeadSpecification
from common.update import HeadUpdate

Arrays = dict[str, npt.NDArray[np.float32]]


def specification(kind: str = "logistic", *, dimension: int = 3) -> HeadSpecification:
    return HeadSpecification(
        kind=kind, dimension=dimension, features="test", classes=2, key_dimension=2
    )


def arrays_for(head: HeadSpecification, stage: str, seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in head.shapes(stage).items()
    }


def update_for(
    head: HeadSpecification, stage: str = "head", *, round: int = 4, clips: int = 5, seed: int = 0
) -> HeadUpdate:
    return HeadUpdate(
        specification=head,
        stage=stage,
        round=round,
        clips=clips,
        arrays=arrays_for(head, stage, seed),
    )
