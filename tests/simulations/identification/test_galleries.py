"""Who shares a device, what its gallery holds, and whom a clip is taken for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.evaluation import draw_own_clips
from client.recognition.likeness import match
from client.vault.records import GalleryEntry
from common.identity.network import identity_spec
from common.identity.records import DLIB_RESNET, FACENET
from simulations.data.embeddings import FaceEmbeddings
from simulations.identification.galleries import Enrolment, Likenesses, shared_devices

ANN = Enrolment("ann", ("a0", "a1", "a2", "a3"), (0, 0, 1, 1), seed=3)
BOB = Enrolment("bob", ("b0", "b1"), (0, 1), seed=3)
Faces = Mapping[str, npt.NDArray[np.float32]]


def at(*values: float) -> npt.NDArray[np.float32]:
    """Embeddings whose distance is the difference of their values."""
    found = np.zeros((len(values), DLIB_RESNET.dimension), dtype=np.float32)
    found[:, 0] = values
    return found


def likenesses(faces: Faces) -> Likenesses:
    return Likenesses(FaceEmbeddings(DLIB_RESNET, faces))


@given(st.integers(1, 30), st.integers(0, 40))
def test_each_user_has_one_device(count: int, per_device: int) -> None:
    users = [f"user-{n:02d}" for n in range(count)]
    devices = shared_devices(users, per_device)
    assert [user for device in devices for user in device] == users
    assert max(map(len, devices)) <= (per_device or count)
    assert len(devices) == (-(-count // per_device) if per_device else 1)


@pytest.mark.parametrize("draw", range(4))
def test_the_gallery_is_of_the_clips_that_make_the_personal_head(draw: int) -> None:
    rows = draw_own_clips(np.array(ANN.labels), 1, seed=3, draw=draw, user="ann")
    names = tuple(ANN.clips[row] for row in rows)
    assert ANN.gallery_clips(1, draw) == names
    faces = {name: at(n) for n, name in enumerate(ANN.clips)}
    assert likenesses(faces).enrolled([ANN], 1, draw) == {"ann": names}


def test_clips_without_a_face_are_no_part_of_it() -> None:
    gallery = likenesses({"b1": at(2), "a3": at(5)}).enrolled([ANN, BOB], 1, 0)
    # a3 though it may not be among those drawn
    assert gallery == {"ann": ("a3",), "bob": ("b1",)}


def test_a_user_without_any_face_is_not_enrolled() -> None:
    assert list(likenesses({"a0": at(0)}).enrolled([ANN, BOB], 2, 0)) == ["ann"]


@pytest.mark.parametrize(
    ("probe", "user"),
    [(0.0, "ann"), (0.59, "ann"), (0.61, None), (1.39, None), (1.41, "bob"), (9.0, None)],
)
def test_the_nearest_below_the_threshold(probe: float, user: str | None) -> None:
    faces = {"probe": at(probe), "a": at(0, 0), "far": at(-9), "b": at(2, 2, 2)}
    assert likenesses(faces).nearest("probe", {"bob": ("b",), "ann": ("far", "a")}) == user


def test_one_odd_face_of_three_decides_nothing() -> None:
    faces = {"probe": at(0, 0, 2), "a": at(0), "b": at(2)}
    assert likenesses(faces).nearest("probe", {"ann": ("a",), "bob": ("b",)}) == "ann"


def test_each_network_has_its_own_measure() -> None:
    one, other = np.zeros((2, 1, FACENET.dimension), dtype=np.float32)
    one[0, 0], other[0, 1] = 5, 7
    faces = Likenesses(FaceEmbeddings(FACENET, {"probe": one, "a": one / 5, "b": other}))
    assert faces.nearest("probe", {"ann": ("a",), "bob": ("b",)}) == "ann"
    assert faces.nearest("probe", {"bob": ("b",)}) is None


def test_without_a_face_or_a_user_it_is_nobody() -> None:
    faces = likenesses({"a": at(0)})
    assert faces.nearest("faceless", {"ann": ("a",)}) is None
    assert faces.nearest("a", {}) is None


@given(st.integers(0, 2**32), st.integers(1, 5), st.booleans())
def test_it_is_the_device_s_rule(seed: int, users: int, backwards: bool) -> None:
    """Every clip, ragged, by `client.recognition.likeness.match`, whatever the users' order."""
    random = np.random.default_rng(seed)

    def face(place: float) -> npt.NDArray[np.float32]:
        return at(*(place + 0.4 * random.normal(size=random.integers(1, 5))))

    gallery = {f"user-{n}": tuple(f"{n}/{c}" for c in range(2)) for n in range(users)}
    faces = {clip: face(n) for n, clips in enumerate(gallery.values()) for clip in clips}
    faces |= {f"probe-{n}": face(n) for n in range(users + 2)}
    entries = [
        GalleryEntry(user=user, spec=identity_spec(DLIB_RESNET), embeddings=faces[clip])
        for user, clips in gallery.items()
        for clip in clips
    ]
    ordered = dict(reversed(gallery.items())) if backwards else gallery
    asked = likenesses(faces)
    for clip in faces:
        expected = match(DLIB_RESNET, faces[clip], entries).user
        assert asked.nearest(clip, ordered) == expected
        assert asked.nearest(clip, ordered) == expected  # from what is known by now
