"""The drawn faces are faces to the detector that Mien uses."""

import numpy as np
import pytest
from facenet_pytorch import MTCNN

from simulations.actors.clips import take_frames
from simulations.actors.plan import ClipPlan

PLAN = ClipPlan(frames=3)


@pytest.fixture(scope="module")
def detector() -> MTCNN:
    return MTCNN(keep_all=True, device="cpu")


@pytest.mark.parametrize("actor", [1, 2, 11, 24])
def test_one_face_is_found_where_it_was_drawn(detector, actor):
    names = ClipPlan().clips(actor)
    frames = [list(take_frames(7, names[i].take, PLAN))[1] for i in (0, 20, 59)]
    boxes, probabilities = detector.detect(frames)
    for box, probability in zip(boxes, probabilities, strict=True):
        assert len(box) == 1
        assert probability[0] >= 0.95
        left, top, right, bottom = np.asarray(box[0], float)
        assert 90 < (left + right) / 2 < 150
        assert 0.35 < (bottom - top) / 240 < 0.7
