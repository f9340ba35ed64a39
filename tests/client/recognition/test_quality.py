from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.recognition.quality import (
    Glance,
    faces_at_once,
    glance,
    quality_warnings,
    relative_box,
    turn,
)
from common.video.faces import Box, Face, Landmarks, Point
from tests.common.video.fakes import moved, upright_face

GOOD = Glance(level=120, side=200, turn=0.1, faces=1)


def told(*glances: Glance, frames: int = 0, persons: int = 1) -> str:
    return " ".join(quality_warnings(glances, frames=frames or len(glances), persons=persons))


def seen_from(yaw: float, tilt: float = 0.0) -> Face:
    """A head with the nose half an eye distance before the face, turned and then tilted."""
    head = {"eyes": (-1, -1), "mouth": (-0.7, 1)}
    (eye, up), (mouth, down) = head["eyes"], head["mouth"]
    points = [(eye, up, 0), (-eye, up, 0), (0, 0.1, 1), (mouth, down, 0), (-mouth, down, 0)]
    flat = []
    for x, y, depth in points:
        across = x * math.cos(yaw) + depth * math.sin(yaw)
        flat.append(
            Point(
                50 + 10 * (across * math.cos(tilt) - y * math.sin(tilt)),
                50 + 10 * (across * math.sin(tilt) + y * math.cos(tilt)),
            )
        )
    return Face(Box(30, 30, 70, 70), Landmarks(*flat), 0.99)


@given(yaw=st.floats(-1.3, 1.3), tilt=st.floats(-0.6, 0.6))
@settings(max_examples=60, deadline=None)
def test_turn_is_the_sine_of_the_angle_however_the_head_is_tilted(yaw: float, tilt: float) -> None:
    assert turn(seen_from(yaw, tilt)) == pytest.approx(abs(math.sin(yaw)), abs=1e-6)


def test_eyes_in_one_place_are_a_profile() -> None:
    face = upright_face(0, 0, 40, 40)
    marks = face.landmarks
    assert turn(replace(face, landmarks=Landmarks(marks[0], marks[0], *marks[2:]))) == 1


def test_a_glance_measures_the_face() -> None:
    face = upright_face(10, 10, 60, 60)
    near, speck = moved(face, 80), upright_face(0, 0, 10, 10)
    found = glance(face, np.full((64, 64, 3), 77, np.uint8), [face, near, speck])
    assert found == pytest.approx(Glance(77, 50, 0, 2), abs=1e-6)


def test_a_good_clip_has_no_warning() -> None:
    assert told(*[GOOD] * 30) == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [({"level": 20.0}, "dark"), ({"side": 40.0}, "small"), ({"turn": 0.8}, "turned away")],
)
def test_a_fault_of_most_frames_is_told(change: dict[str, float], word: str) -> None:
    bad = GOOD._replace(**change)  # type: ignore[arg-type]
    assert word in told(*[bad] * 20, *[GOOD] * 10)
    assert word not in told(*[bad] * 10, *[GOOD] * 20)


def test_missing_frames_and_persons_are_told() -> None:
    assert "Only 3 frame(s)" in told(*[GOOD] * 3)
    assert "missing from 40 of 60" in told(*[GOOD] * 20, frames=60)
    assert "Another person" in told(*[GOOD] * 20, persons=2)
    assert "2 faces" in told(*[GOOD._replace(faces=2)] * 20)


def test_several_faces_count_for_more_than_a_moment() -> None:
    two = GOOD._replace(faces=2)
    assert faces_at_once([GOOD] * 98 + [two] * 2) == 1
    assert faces_at_once([GOOD] * 95 + [two] * 5) == 2
    assert faces_at_once([two]) == 2
    assert faces_at_once([]) == 0


@given(box=st.tuples(*[st.floats(-500, 500)] * 4))
@settings(max_examples=40, deadline=None)
def test_boxes_stay_in_the_picture(box: tuple[float, float, float, float]) -> None:
    assert all(0 <= share <= 1 for share in relative_box(Box(*box), 100, 50))
