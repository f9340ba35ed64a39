"""Synthetic actors' faces."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UsageError
from simulations.expression_models.actors import CLASSES, actor_faces


def test_parts_share_no_actor_and_hold_all_expressions() -> None:
    data = actor_faces(actors=3, takes=1, size=32)
    people = [set(part.people or ()) for part in data.parts().values()]
    assert [len(each) for each in people] == [1, 1, 1]
    assert len(set.union(*people)) == 3
    assert all(part.synthetic for part in data.parts().values())
    assert all(part.counts().tolist() == [1] * len(CLASSES) for part in data.parts().values())
    image = data.train.image(0)
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    assert "happiness" in CLASSES


def test_too_few_actors_are_refused() -> None:
    with pytest.raises(UsageError, match="2 actors"):
        actor_faces(actors=2)
