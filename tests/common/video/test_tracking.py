from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.video import Image
from common.video.faces import Box, Face, Landmarks, Point
from common.video.tracking import (
    EveryFrame,
    TrackedFace,
    Tracker,
    TrackingSettings,
    intersection_over_union,
    plausible,
)
from tests.common.video.fakes import moved, upright_face

FACE = upright_face(100, 100, 140, 140)
OTHER = upright_face(300, 100, 340, 140)

Scene = Callable[[int], list[Face]]
"""The faces that a frame of this number shows."""


def frame(number: int, shape: tuple[int, int, int] = (4, 4, 3)) -> Image:
    image = np.zeros(shape, np.uint8)
    image[0, 0, :2] = divmod(number, 256)
    return image


def number_of(image: Image) -> int:
    return int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])


class Script:
    """Finds what the scene shows; places each face at the nearest face there, or as told."""

    def __init__(self, scene: Scene, placed: dict[int, list[Face]] | None = None) -> None:
        self.scene, self.placed = scene, placed or {}
        self.searched: list[int] = []
        self.tried: list[int] = []

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        self.searched += [number_of(image) for image in frames]
        return [self.scene(number_of(image)) for image in frames]

    def place(self, image: Image, faces: Sequence[Face]) -> list[Face]:
        number = number_of(image)
        self.tried.append(number)
        if number in self.placed:
            return self.placed[number]
        shown = self.scene(number)
        return [_nearest(face, shown) for face in faces]


def _nearest(face: Face, shown: Sequence[Face]) -> Face:
    """What O-Net makes of the place; where no face is near, it is unsure."""
    near = max(shown, key=lambda other: intersection_over_union(face.box, other.box), default=None)
    if near is None or intersection_over_union(face.box, near.box) == 0:
        return replace(face, probability=0.1)
    return near


def follow(script: Script, count: int, **settings: float) -> list[list[TrackedFace]]:
    tracker = Tracker(script, TrackingSettings(**settings))  # type: ignore[arg-type]
    return tracker.follow().faces([frame(number) for number in range(count)])


def ids(found: Sequence[Sequence[TrackedFace]]) -> list[list[int]]:
    return [[tracked.track for tracked in faces] for faces in found]


@pytest.mark.parametrize("every", [1, 2, 5, 12])
def test_searches_come_every_so_many_frames(every: int) -> None:
    script = Script(lambda number: [moved(FACE, number)])
    found = follow(script, 30, search_every=every)
    assert script.searched == list(range(0, 30, every))
    assert script.tried == [number for number in range(30) if number % every]
    assert found == [[TrackedFace(moved(FACE, number), 0)] for number in range(30)]


def test_batches_change_nothing() -> None:
    scripts = [Script(lambda number: [moved(FACE, number)]) for _ in range(2)]
    together = Tracker(scripts[0]).follow().faces([frame(number) for number in range(20)])
    follower = Tracker(scripts[1]).follow()
    pieces = [follower.faces([frame(number)])[0] for number in range(20)]
    assert together == pieces
    assert follower.faces([]) == []
    assert scripts[0].searched == scripts[1].searched == [0, 12]


def test_clips_know_nothing_of_each_other() -> None:
    script = Script(lambda number: [FACE])
    tracker = Tracker(script)
    first, second = tracker.follow(), tracker.follow()
    for follower in (first, second, first, second):
        assert follower.faces([frame(0)]) == [[TrackedFace(FACE, 0)]]
    assert script.searched == [0, 0]


def turned_over(face: Face) -> Face:
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    marks = Landmarks(left_mouth, right_mouth, nose, left_eye, right_eye)
    return replace(face, landmarks=marks)


IN_DOUBT = {
    "probability": [replace(FACE, probability=0.89)],
    "jump": [moved(FACE, 30)],
    "growth": [upright_face(60, 60, 180, 180)],
    "mouth above the eyes": [turned_over(FACE)],
    "landmarks elsewhere": [replace(FACE, landmarks=OTHER.landmarks)],
    "no area": [replace(FACE, box=Box(120, 120, 120, 140))],
}


@pytest.mark.parametrize("why", IN_DOUBT)
def test_face_in_doubt_is_searched_for_at_once(why: str) -> None:
    script = Script(lambda number: [FACE], {5: IN_DOUBT[why]})
    found = follow(script, 20)
    # the next search is due 12 frames after this one
    assert script.searched == [0, 5, 17]
    assert found == [[TrackedFace(FACE, 0)]] * 20


@pytest.mark.parametrize("placed", [moved(FACE, 17), replace(FACE, probability=0.9)])
def test_face_that_is_just_sure_enough_is_not(placed: Face) -> None:
    script = Script(lambda number: [placed if number else FACE])
    assert ids(follow(script, 12)) == [[0]] * 12
    assert script.searched == [0]


def test_one_face_in_doubt_is_enough() -> None:
    script = Script(lambda number: [FACE, OTHER], {3: [FACE, replace(OTHER, probability=0.5)]})
    assert ids(follow(script, 12)) == [[0, 1]] * 12
    assert script.searched == [0, 3]


def test_two_tracks_on_one_face_are_searched_for() -> None:
    near = moved(FACE, 24)  # their boxes overlap by a quarter
    script = Script(lambda number: [FACE, near], {4: [moved(FACE, 10), moved(FACE, 12)]})
    assert ids(follow(script, 10)) == [[0, 1]] * 10
    assert script.searched == [0, 4]


def test_pictures_of_another_size_are_searched() -> None:
    script = Script(lambda number: [FACE])
    frames = [frame(n, (4, 4, 3) if n < 5 else (6, 8, 3)) for n in range(10)]
    assert ids(Tracker(script).follow().faces(frames)) == [[0]] * 10
    assert script.searched == [0, 5]


def test_without_faces_every_frame_is_searched() -> None:
    script = Script(lambda number: [FACE] if number >= 4 else [])
    assert ids(follow(script, 10)) == [[]] * 4 + [[0]] * 6
    assert script.searched == [0, 1, 2, 3, 4]
    assert script.tried == [5, 6, 7, 8, 9]


def test_a_second_face_is_found_at_the_next_search() -> None:
    script = Script(lambda number: [OTHER, FACE] if number >= 2 else [FACE])
    found = follow(script, 14, search_every=6)
    assert ids(found) == [[0]] * 6 + [[1, 0]] * 8
    assert script.searched == [0, 6, 12]


@pytest.mark.parametrize(("away", "track"), [(1, 0), (11, 0), (12, 0), (13, 1)])
def test_lost_face_is_remembered_for_a_while(away: int, track: int) -> None:
    script = Script(lambda number: [] if 5 <= number < 5 + away else [FACE])
    found = ids(follow(script, 5 + away + 3, search_every=4, remembered=12))
    assert found == [[0]] * 5 + [[]] * away + [[track]] * 3


def test_nothing_need_be_remembered() -> None:
    script = Script(lambda number: [] if number == 3 else [FACE])
    assert ids(follow(script, 5, search_every=1, remembered=0)) == [[0], [0], [0], [], [1]]


def crossing(number: int) -> list[Face]:
    """Two faces that pass each other, one above the other by half a face."""
    return [moved(FACE, 4 * number), moved(FACE, 160 - 4 * number, 22)]


@pytest.mark.parametrize("every", [1, 3, 7, 12])
def test_two_faces_that_cross_keep_their_numbers(every: int) -> None:
    for scene in (crossing, lambda number: crossing(number)[:: -1 if number % 2 else 1]):
        found = follow(Script(scene), 41, search_every=every)
        for number, faces in enumerate(found):
            assert {tracked.track: tracked.face for tracked in faces} == dict(
                enumerate(crossing(number))
            )


def test_placed_face_keeps_its_number_where_another_was_lost() -> None:
    still = moved(FACE, 40)

    def scene(number: int) -> list[Face]:
        return [moved(FACE, 10 * number)] + ([still] if number == 0 else [])

    found = follow(Script(scene), 8, search_every=100)
    assert [faces[0].track for faces in found] == [0] * 8


def test_every_frame_is_searched_and_linked() -> None:
    script = Script(crossing)
    found = EveryFrame(script).follow().faces([frame(number) for number in range(41)])
    assert script.searched == list(range(41))
    assert script.tried == []
    assert ids(found) == [[0, 1]] * 41


def test_every_frame_remembers_between_batches() -> None:
    follower = EveryFrame(Script(lambda number: [FACE])).follow()
    assert [ids(follower.faces([frame(n)])) for n in range(3)] == [[[0]]] * 3


FACES = st.lists(
    st.builds(
        lambda left, top, side: upright_face(left, top, left + side, top + side),
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(5, 40),
    ),
    max_size=5,
)


@given(scenes=st.lists(FACES, min_size=1, max_size=12), every=st.integers(1, 4))
def test_whatever_is_found_numbers_are_unique_and_never_given_twice(
    scenes: list[list[Face]], every: int
) -> None:
    images = [frame(number) for number in range(len(scenes))]
    for finder in (
        EveryFrame(Script(scenes.__getitem__)),
        Tracker(Script(scenes.__getitem__), TrackingSettings(search_every=every, remembered=2)),
    ):
        last_seen: dict[int, int] = {}
        for number, faces in enumerate(finder.follow().faces(images)):
            tracks = [tracked.track for tracked in faces]
            assert len(set(tracks)) == len(tracks)
            new = [track for track in tracks if track not in last_seen]
            assert sorted(new) == list(range(len(last_seen), len(last_seen) + len(new)))
            last_seen.update(dict.fromkeys(tracks, number))


@given(
    shakes=st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=1, max_size=20),
    others=st.lists(st.booleans(), min_size=20, max_size=20),
    every=st.integers(1, 6),
)
def test_still_face_keeps_its_number(
    shakes: list[tuple[float, float]], others: list[bool], every: int
) -> None:
    def scene(number: int) -> list[Face]:
        face = moved(FACE, *shakes[number])
        return [OTHER, face] if others[number] else [face]

    for finder in (
        EveryFrame(Script(scene)),
        Tracker(Script(scene), TrackingSettings(search_every=every)),
    ):
        found = finder.follow().faces([frame(number) for number in range(len(shakes))])
        tracks = {t.track for faces in found for t in faces if t.face.box.left < 200}
        assert len(tracks) == 1


def test_a_track_goes_to_the_best_overlap() -> None:
    script = Script(lambda number: [FACE] if number == 0 else [moved(FACE, 15), moved(FACE, 5)])
    assert ids(follow(script, 2, search_every=1)) == [[0], [1, 0]]


def test_plausible_faces() -> None:
    assert plausible(FACE.landmarks, FACE.box)
    assert not plausible(turned_over(FACE).landmarks, FACE.box)
    assert not plausible(OTHER.landmarks, FACE.box)


@given(degrees=st.integers(-180, 180))
def test_tilted_face_is_plausible_and_its_mirror_is_not(degrees: int) -> None:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (np.array(FACE.landmarks) - 120) @ turn.T + 120
    marks = Landmarks(*(Point(*point) for point in points.tolist()))
    assert plausible(marks, FACE.box)
    left_eye, right_eye, *others = marks
    assert not plausible(Landmarks(right_eye, left_eye, *others), FACE.box)


@pytest.mark.parametrize(
    ("x", "inside"), [(90.1, True), (89.9, False), (149.9, True), (150.1, False)]
)
def test_landmarks_may_leave_the_box_by_a_quarter(x: float, inside: bool) -> None:
    for point in (Point(x, 120), Point(120, x)):
        marks = FACE.landmarks._replace(nose=point)
        assert plausible(marks, FACE.box) is inside


BOXES = st.tuples(*[st.integers(0, 9)] * 4).map(lambda edges: Box(*edges))


@given(one=BOXES, other=BOXES)
def test_overlap_is_counted_in_pixels(one: Box, other: Box) -> None:
    def pixels(box: Box) -> set[tuple[int, int]]:
        left, top, right, bottom = map(int, box)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    joint = pixels(one) | pixels(other)
    expected = len(pixels(one) & pixels(other)) / len(joint) if joint else 0.0
    assert intersection_over_union(one, other) == pytest.approx(expected)
    assert intersection_over_union(other, one) == intersection_over_union(one, other)


@pytest.mark.parametrize(
    "bad",
    [
        {"search_every": 0},
        {"remembered": -1},
        {"sure": 1.01},
        {"sure": -0.1},
        {"least_overlap": 0.0},
        {"least_overlap": 1.0},
        {"sure": float("nan")},
    ],
)
def test_settings_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrackingSettings(**bad)  # type: ignore[arg-type]
