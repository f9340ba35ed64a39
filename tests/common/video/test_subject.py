from __future__ import annotations

import numpy as np
import pytest

from common.video import Image
from common.video.faces import Face
from common.video.subject import SubjectChooser
from common.video.tracking import TrackedFace
from tests.common.video.fakes import upright_face

FRAME = np.zeros((200, 400, 3), np.uint8)


def seen(track: int, area: float, left: float = 0.0) -> TrackedFace:
    side = area**0.5
    return TrackedFace(upright_face(left, 0, left + side, side), track)


def chosen(chooser: SubjectChooser, *frames: list[TrackedFace]) -> list[int | None]:
    faces = (chooser.choose(FRAME, frame) for frame in frames)
    return [face.track if face else None for face in faces]


def test_without_faces_there_is_no_subject() -> None:
    chooser = SubjectChooser()
    assert chosen(chooser, [], []) == [None, None]
    assert chooser.kept_tracks() == frozenset()


def test_largest_face_is_the_subject() -> None:
    assert chosen(SubjectChooser(), [seen(0, 100), seen(1, 400, 50)]) == [1]


@pytest.mark.parametrize(("others", "expected"), [(150, 0), (199, 0), (201, 1), (900, 1)])
def test_subject_stays_while_it_has_half_the_largest_area(others: float, expected: int) -> None:
    chooser = SubjectChooser()
    assert chosen(chooser, [seen(0, 100)], [seen(1, others, 50), seen(0, 100)]) == [0, expected]


def test_subject_that_has_changed_stays_changed() -> None:
    chooser = SubjectChooser()
    frames = [[seen(0, 100)], [seen(0, 100), seen(1, 300)], [seen(0, 100), seen(1, 60)]]
    assert chosen(chooser, *frames) == [0, 1, 1]


def test_of_faces_seen_together_only_the_main_ones_track_is_kept() -> None:
    chooser = SubjectChooser()
    frames = [[seen(0, 100)], [seen(0, 100), seen(1, 300)], [seen(1, 300)]]
    assert chosen(chooser, *frames) == [0, 1, 1]
    assert chooser.kept_tracks() == {1}


def test_all_faces_of_a_frame_were_seen_together() -> None:
    chooser = SubjectChooser()
    chosen(chooser, [seen(1, 100)], [seen(0, 10), seen(1, 100), seen(2, 300)], [seen(2, 300)])
    assert chooser.kept_tracks() == {2}


def test_main_track_is_that_of_the_largest_summed_area() -> None:
    chooser = SubjectChooser()
    long_before = [[seen(0, 100)]] * 8
    assert chosen(chooser, *long_before, [seen(0, 100), seen(1, 300)], [seen(1, 300)])[-2:] == [
        1,
        1,
    ]
    assert chooser.kept_tracks() == {0}


def test_face_that_left_and_came_back_is_kept() -> None:
    chooser = SubjectChooser()
    chosen(chooser, [seen(0, 100)], [], [seen(1, 90)], [seen(2, 80)])
    assert chooser.kept_tracks() == {0, 1, 2}


def test_a_third_face_is_kept_if_it_was_never_beside_the_main_one() -> None:
    chooser = SubjectChooser()
    chosen(chooser, [seen(0, 400)], [seen(1, 50), seen(2, 60)], [seen(0, 400), seen(3, 10)])
    # 2 was beside 1 only; 1 and 3 were never chosen
    assert chooser.kept_tracks() == {0, 2}


class Asked:
    """A wanted user whose faces lie to the right; remembers whom it was asked about."""

    def __init__(self) -> None:
        self.questions: list[Face] = []

    def __call__(self, frame: Image, face: Face) -> bool:
        assert frame is FRAME
        self.questions.append(face)
        return face.box.left >= 100


def test_wanted_user_is_chosen_however_small() -> None:
    chooser = SubjectChooser(Asked())
    frames = [[seen(0, 900), seen(1, 10, 200)], [seen(0, 900)], [seen(1, 10, 200)]]
    assert chosen(chooser, *frames) == [1, None, 1]
    assert chooser.kept_tracks() == {1}


def test_wanted_user_is_asked_for_once_per_track() -> None:
    asked = Asked()
    chooser = SubjectChooser(asked)
    # track 0 wanders into the wanted half: nobody asks again
    frames = [[seen(0, 100, 20 * i), seen(1, 90, 200)] for i in range(10)]
    assert chosen(chooser, *frames, [seen(2, 80, 300)]) == [1] * 10 + [2]
    assert len(asked.questions) == 3


def test_all_tracks_of_the_wanted_user_are_kept_though_seen_together() -> None:
    chooser = SubjectChooser(Asked())
    chosen(chooser, [seen(0, 100, 100), seen(1, 90, 200)], [seen(1, 90, 200)])
    assert chooser.kept_tracks() == {0, 1}


def test_wanted_user_who_never_comes() -> None:
    chooser = SubjectChooser(Asked())
    assert chosen(chooser, [seen(0, 100)], [seen(0, 100)]) == [None, None]
    assert chooser.kept_tracks() == frozenset()
