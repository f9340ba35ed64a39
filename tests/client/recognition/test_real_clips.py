"""The built-in networks on the two real clips, and on synthetic actors against regressions.

Two real people are too few to say how often strangers are let in; see `mien device
check-identity`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.recognition.likeness import clip_distance
from client.recognition.readers import OwnLabels
from client.recognition.recogniser import Look, Recogniser
from client.vault.records import GalleryEntry
from common.identity.records import DLIB_RESNET
from common.ravdess import Take
from common.video.decode import ClipError, Reason
from simulations.actors.clips import take_frames
from simulations.actors.plan import ClipPlan
from tests.common.video.files import encode
from tests.support import shared_video

SPEAKER = "01-01-08-02-01-01-19.mp4"
LAUGHER = "WolfgangLanger_Pexels.mp4"


@pytest.fixture(scope="module")
def recogniser() -> Iterator[Recogniser]:
    with Recogniser(threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def looks(recogniser: Recogniser) -> dict[str, Look]:
    return {name: recogniser.look(shared_video(name), name=name) for name in (SPEAKER, LAUGHER)}


def entries(looks: dict[str, Look], *names: str) -> list[GalleryEntry]:
    return [
        GalleryEntry(user=name, spec="dlib-resnet/1", embeddings=looks[name].embeddings)
        for name in names
    ]


def test_each_clip_shows_one_person(looks: dict[str, Look]) -> None:
    for look in looks.values():
        assert (look.faces_at_once, look.persons, look.warnings) == (1, 1, ())
        assert look.with_face > 0.95 * look.frames
        assert len(look.embeddings) >= 6


def test_the_right_person_is_known_and_the_other_refused(
    recogniser: Recogniser, looks: dict[str, Look]
) -> None:
    """The first half of a clip enrols, the whole is recognised: not the same embeddings."""
    half = {name: look.embeddings[: len(look.embeddings) // 2] for name, look in looks.items()}
    enrolled = [
        GalleryEntry(user=name, spec=recogniser.identity_spec, embeddings=face)
        for name, face in half.items()
    ]
    path = shared_video(SPEAKER)
    seen = recogniser.see(path, gallery=enrolled, readers=OwnLabels(), name=SPEAKER)
    assert seen.user == SPEAKER
    assert seen.answer.likeness.distance is not None
    assert seen.answer.likeness.distance < 0.5
    assert seen.arrays.features.shape[1] == 128
    only_other = [entry for entry in enrolled if entry.user == LAUGHER]
    seen = recogniser.see(path, gallery=only_other, readers=OwnLabels(), name=SPEAKER)
    assert seen.user == ""
    assert seen.answer.likeness.distance is not None
    assert seen.answer.likeness.distance > 0.6


def test_another_part_of_a_clip_is_the_same_person(looks: dict[str, Look]) -> None:
    """And the two people's are not, whichever parts are compared."""
    parts = {name: (look.embeddings[::2], look.embeddings[1::2]) for name, look in looks.items()}
    for one, other in parts.values():
        assert clip_distance(DLIB_RESNET, one, other) < 0.6
    for one in parts[SPEAKER]:
        for other in parts[LAUGHER]:
            assert clip_distance(DLIB_RESNET, one, other) > 0.6


@pytest.mark.slow
def test_the_laughing_woman_is_happy_by_the_backbones_own_labels(recogniser: Recogniser) -> None:
    path = shared_video(LAUGHER)
    seen = recogniser.see(path, gallery=(), readers=OwnLabels(), name=LAUGHER)
    assert seen.answer.expression == "happy"
    assert seen.user == ""


def test_a_clip_without_a_face_is_named(recogniser: Recogniser) -> None:
    with pytest.raises(ClipError, match="no face was found") as caught:
        recogniser.look(shared_video("no_face.mp4"), name="no_face.mp4")
    assert caught.value.reason is Reason.NO_FACE


def test_a_stream_of_the_real_clip_gives_the_same(
    recogniser: Recogniser, looks: dict[str, Look]
) -> None:
    content = io.BytesIO(shared_video(SPEAKER).read_bytes())
    again = recogniser.look(content, name="stream")
    np.testing.assert_array_equal(again.embeddings, looks[SPEAKER].embeddings)


def synthetic(folder: Path, actor: int, expression: int) -> Path:
    plan = ClipPlan(frames=12, size=200)
    take = Take(
        channel=1, expression=expression, intensity=1, statement=1, repetition=1, actor=actor
    )
    path = folder / f"{actor}-{expression}.mp4"
    return encode(path, list(take_frames(1, take, plan)), options={"crf": "20"})


def test_synthetic_actors_are_themselves(recogniser: Recogniser, tmp_path: Path) -> None:
    """Synthetic: it guards against regressions and says nothing about people."""
    look = recogniser.look(synthetic(tmp_path, 1, 3), name="enrolled")
    entry = GalleryEntry(user="one", spec=recogniser.identity_spec, embeddings=look.embeddings)
    path = synthetic(tmp_path, 1, 5)
    seen = recogniser.see(path, gallery=[entry], readers=OwnLabels(), name="another take")
    assert seen.user == "one"
    assert seen.answer.with_face == 12
