"""Error rates of identification, against counting by hand and an oracle for the bounds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.recognition.error_rates import (
    KnownFace,
    error_rates,
    pairs_needed,
    people_needed,
    rate,
)
from client.recognition.known_faces import face_files, known_faces, read_picture
from client.recognition.recogniser import Recogniser
from common.errors import UsageError
from common.identity.records import DLIB_RESNET, VGGFACE2_ENET0
from common.video.decode import ClipError, Reason
from tests.client.recognition.fakes import ANN, BOB, CARL, clip, enrolled, frame, tools


def known(owner: str, face: int, name: str = "clip") -> KnownFace:
    return KnownFace(owner, f"{owner}/{name}", enrolled(face, "").embeddings)


def binomial_tail(errors: int, trials: int, share: float) -> float:
    """Probability of at most so many errors."""
    return sum(
        math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(errors + 1)
    )


@given(data=st.data(), trials=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_bounds_are_clopper_and_pearsons(data: st.DataObject, trials: int) -> None:
    errors = data.draw(st.integers(0, trials))
    found = rate(errors, trials)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= errors / trials <= found.high
    if errors < trials:
        assert binomial_tail(errors, trials, found.high) == pytest.approx(0.025, rel=1e-6)
    else:
        assert found.high == 1
    if errors:
        assert 1 - binomial_tail(errors - 1, trials, found.low) == pytest.approx(0.025, rel=1e-6)
    else:
        assert found.low == 0


def test_nothing_to_compare_has_no_rate() -> None:
    assert rate(0, 0).rate is None


@pytest.mark.parametrize("target", [0.5, 0.1, 0.01, 1e-3])
def test_so_many_pairs_are_needed_and_no_fewer(target: float) -> None:
    pairs, people = pairs_needed(target), people_needed(target)
    assert (1 - target) ** pairs <= 0.05 < (1 - target) ** (pairs - 1)
    assert math.comb(people, 2) >= pairs > math.comb(people - 1, 2)


def test_comparisons_are_counted() -> None:
    """Bob's second clip shows Ann: one accept, and one reject of Bob's own."""
    faces = [
        known("ann", ANN, "1"),
        known("ann", ANN, "2"),
        known("bob", BOB, "1"),
        known("bob", ANN, "2"),
        known("carl", CARL, "1"),
    ]
    steps: list[tuple[int, int]] = []
    found = error_rates(
        DLIB_RESNET, faces, progress=lambda done, total: steps.append((done, total))
    )
    assert (found.false_accepts.errors, found.false_accepts.trials) == (2, 8)
    assert (found.false_rejects.errors, found.false_rejects.trials) == (1, 2)
    assert (found.people, found.faces, found.people_pairs) == (3, 5, 3)
    assert {frozenset(pair[:2]) for pair in found.worst} == {
        frozenset({"ann/1", "bob/2"}),
        frozenset({"ann/2", "bob/2"}),
    }
    assert "not measurable" in found.verdict
    assert "2995 pairs (78 people)" in found.verdict
    assert steps[-1] == (5, 5)
    json.dumps(found.to_json())


def test_enough_people_are_enough() -> None:
    embedding = np.zeros((1, 128), np.float32)
    faces = []
    for person in range(78):
        embedding = np.zeros((1, 128), np.float32)
        embedding[0, person] = 1
        faces.append(KnownFace(str(person), str(person), embedding))
    found = error_rates(DLIB_RESNET, faces)
    assert "enough" in found.verdict
    assert found.false_accepts.errors == 0


def test_too_little_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        error_rates(DLIB_RESNET, [known("ann", ANN)])
    with pytest.raises(UsageError, match="no published threshold"):
        error_rates(VGGFACE2_ENET0, [known("ann", ANN)] * 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for owner, face in (("ann", ANN), ("bob", BOB)):
        (tmp_path / owner).mkdir()
        clip(tmp_path / owner / "clip.mp4", [frame(face)] * 12)
        picture = cv2.cvtColor(frame(face), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / owner / "picture.png"), picture)
    (tmp_path / "ann" / "notes.txt").write_text("no face")
    (tmp_path / "ann" / ".hidden.mp4").touch()
    return tmp_path


def test_clips_and_pictures_are_read(folder: Path) -> None:
    clip(folder / "ann" / "two.mp4", [frame(ANN, BOB)] * 12)
    (folder / "bob" / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    (folder / "bob" / "empty.mp4").touch()
    cv2.imwrite(str(folder / "bob" / "wall.png"), frame())
    known, left_out = known_faces(folder, Recogniser(tools=tools()))
    assert [(face.person, face.name) for face in known] == [
        ("ann", "ann/clip.mp4"),
        ("ann", "ann/picture.png"),
        ("bob", "bob/clip.mp4"),
        ("bob", "bob/picture.png"),
    ]
    assert [each.name for each in left_out] == [
        "ann/two.mp4",
        "bob/broken.jpg",
        "bob/empty.mp4",
        "bob/wall.png",
    ]
    assert "several people" in left_out[0].reason
    assert "no face" in left_out[3].reason


def test_a_folder_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one folder per person"):
        face_files(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        face_files(tmp_path / "absent")


def test_a_picture_that_declares_too_much_is_never_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    cv2.imwrite(str(path), frame(ANN))
    content = bytearray(path.read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        read_picture(path, "huge.png")
    assert caught.value.reason is Reason.TOO_LARGE


@given(
    content=st.binary(max_size=200), head=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"])
)
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_picture_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.mktemp("pictures") / "picture.jpg"
    path.write_bytes(head + content)
    with pytest.raises(ClipError):
        read_picture(path, "picture.jpg")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_are_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"red{suffix}"
    cv2.imwrite(str(path), np.full((40, 50, 3), (0, 0, 250), np.uint8))
    picture = read_picture(path, "red")
    assert picture.shape == (40, 50, 3)
    assert np.abs(picture.mean(axis=(0, 1)) - (250, 0, 0)).max() < 6
