"""The pipeline as it is used against the plain one: a search in every full-size frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from facenet_pytorch import MTCNN

from common.backbones.registry import Backbone, load
from common.video import Image
from common.video.crop import align_face
from common.video.decode import frames
from common.video.extract import Features, extract
from common.video.faces import Box, Face, Landmarks, Point, largest
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import Tracker
from tests.support import shared_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load("mini-xception")


def slow_faces(network: MTCNN, frame: Image) -> list[Face]:
    boxes, probabilities, points = network.detect(frame, landmarks=True)
    if boxes is None:
        return []
    return [
        Face(Box(*box), Landmarks(*(Point(*point) for point in marks)), probability)
        for box, marks, probability in zip(
            boxes.tolist(), points.tolist(), probabilities.tolist(), strict=True
        )
    ]


def slow_features(path: Path, backbone: Backbone, every: int) -> tuple[Features, int]:
    """Of the largest face in each frame, and how many frames there are."""
    network = MTCNN(keep_all=True)
    size = backbone.record.input_size
    crops, count = [], 0
    for frame in frames(path, every=every):
        count += 1
        if faces := slow_faces(network, frame):
            crops.append(align_face(frame, largest(faces), size))
    return backbone.features(np.stack(crops)), count


def cosine(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize(
    ("name", "every"), [("01-01-08-02-01-01-19.mp4", 1), ("WolfgangLanger_Pexels.mp4", 3)]
)
def test_clip_descriptors_agree_with_a_search_in_every_full_size_frame(
    backbone: Backbone, name: str, every: int
) -> None:
    path = shared_video(name)
    expected, count = slow_features(path, backbone, every)
    found = extract(path, backbone, Tracker(FastMtcnn()), every=every)
    assert found.decoded == count
    assert found.with_face >= 0.95 * count
    assert len(expected) >= 0.95 * count
    agreement = {
        "mean": cosine(found.features.mean(axis=0), expected.mean(axis=0)),
        "max": cosine(found.features.max(axis=0), expected.max(axis=0)),
    }
    print(name, agreement)
    assert min(agreement.values()) >= 0.98
