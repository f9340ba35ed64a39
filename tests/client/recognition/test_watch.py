from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.recognition.quality import Glance
from client.recognition.reading import MOST_MOMENTS, SPACING, Schedule, moment_counts
from client.recognition.sights import Sight, Sights
from client.recognition.watch import ENROLLING, RECOGNISING, WAITS, FaceWatch, Pace
from tests.client.recognition.fakes import ANN, PLACES, ColourIdentity, clip, frame, tools
from tests.common.video.fakes import upright_face

PICTURE = frame(ANN)


def sight(index: int, *, track: int = 0, turned: bool = False) -> Sight:
    return Sight(
        index=index,
        seconds=index / 25,
        track=track,
        frame=PICTURE,
        face=upright_face(*PLACES[0]),
        crop=PICTURE[:64, :64],
        glance=Glance(120, 80, 0.9 if turned else 0.0, 1),
    )


def embedded(watch: FaceWatch, sights: list[Sight]) -> list[int]:
    """Numbers of the frames whose face was embedded."""
    found = []
    for each in sights:
        before = watch.count
        watch.look(each)
        found += [each.index] * (watch.count - before)
    return found


def test_gaps_grow() -> None:
    watch = FaceWatch(ColourIdentity())
    assert embedded(watch, [sight(i) for i in range(130)]) == [0, 10, 30, 70]


@given(frames=st.integers(1, 3000))
@settings(max_examples=20, deadline=None)
def test_a_long_clip_has_a_bounded_number(frames: int) -> None:
    for pace in (RECOGNISING, ENROLLING):
        watch = FaceWatch(ColourIdentity(), pace)
        embedded(watch, [sight(i) for i in range(frames)])
        watch.finish()
        assert 1 <= watch.count <= pace.most


def test_a_turned_face_is_waited_for_but_not_for_ever() -> None:
    turned = {i: 6 <= i < 14 for i in range(15)}
    watch = FaceWatch(ColourIdentity())
    assert embedded(watch, [sight(i, turned=turned[i]) for i in turned]) == [0, 14]
    watch = FaceWatch(ColourIdentity())
    assert embedded(watch, [sight(i, turned=True) for i in range(20)]) == [0, 10 + WAITS]


def test_each_track_has_its_own() -> None:
    watch = FaceWatch(ColourIdentity())
    assert embedded(watch, [sight(i, track=i // 5) for i in range(15)]) == [0, 5, 10]
    assert {track: len(each) for track, each in watch.taken.items()} == {0: 1, 1: 1, 2: 1}


def test_tracks_without_end_are_bounded() -> None:
    watch = FaceWatch(ColourIdentity(), Pace(most=4))
    embedded(watch, [sight(i, track=i) for i in range(50)])
    assert watch.count == 4


def test_a_short_clip_is_looked_at_once_more_at_its_end() -> None:
    watch = FaceWatch(ColourIdentity())
    embedded(watch, [sight(i) for i in range(7)])
    watch.finish()
    assert watch.count == 2
    watch.finish()
    assert watch.count == 2


@given(steps=st.lists(st.floats(0.001, 3), min_size=1, max_size=400))
@settings(max_examples=40, deadline=None)
def test_moments_are_bounded_spaced_and_reach_both_ends(steps: list[float]) -> None:
    seconds = np.cumsum(steps).tolist()
    counts = moment_counts(seconds)
    assert counts[0] == 1
    assert counts[-1] == len(seconds)
    assert counts == sorted(set(counts))
    assert len(counts) <= MOST_MOMENTS
    times = [seconds[count - 1] for count in counts]
    assert all(b - a >= SPACING - 1e-9 for a, b in pairwise(times[:-1]))


def test_partial_answers_grow_rare_in_a_long_clip() -> None:
    schedule = Schedule()
    due = [i for i in range(25 * 3600) if schedule.due(i / 25)]
    assert due[:3] == [0, 7, 14]
    assert len(due) < 8 * MOST_MOMENTS
    assert len(schedule.given) <= MOST_MOMENTS


@pytest.mark.parametrize(("most", "step"), [(100, 1), (20, 2), (5, 8)])
def test_a_long_clip_is_thinned_evenly(tmp_path: Path, most: int, step: int) -> None:
    path = clip(tmp_path / "long.mp4", [frame(ANN)] * 40)
    given = tools()
    sights = Sights(given.finder, given.backbone, most_frames=most)
    for _ in sights.through(path, "long", lambda _: None):
        pass
    assert [row.index for row in sights.rows] == list(range(0, 40, step))
    assert sights.frames == len(range(0, 40, step))
