from __future__ import annotations

import itertools
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.recognition.likeness import clip_distance, match, published_threshold
from client.recognition.watch import SHORTEST, subject
from client.vault.records import GalleryEntry
from common.errors import UsageError
from common.identity.records import DLIB_RESNET, FACENET, VGGFACE2_ENET0
from tests.client.recognition.fakes import ANN, BOB, CARL, SPEC, enrolled

RECORD = replace(DLIB_RESNET, dimension=3)
points = st.lists(st.tuples(*[st.floats(-2, 2, width=32)] * 3), min_size=1, max_size=5)


def rows(values: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(values, np.float32)


def entry(user: str, values: list[tuple[float, ...]]) -> GalleryEntry:
    return GalleryEntry(user=user, spec=SPEC, embeddings=rows(values))


@given(one=points, other=points)
@settings(max_examples=60, deadline=None)
def test_clips_are_as_far_as_the_median_pair(
    one: list[tuple[float, ...]], other: list[tuple[float, ...]]
) -> None:
    pairs = [
        sum((a - b) ** 2 for a, b in zip(left, right, strict=True)) ** 0.5
        for left, right in itertools.product(rows(one).tolist(), rows(other).tolist())
    ]
    found = clip_distance(RECORD, rows(one), rows(other))
    assert found == pytest.approx(statistics.median(pairs), abs=1e-6)


@given(face=points, gallery=st.lists(st.tuples(st.sampled_from("abc"), points), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_nearest_enrolled_clip_decides(
    face: list[tuple[float, ...]], gallery: list[tuple[str, list[tuple[float, ...]]]]
) -> None:
    entries = [entry(user, values) for user, values in gallery]
    found = match(RECORD, rows(face), entries)
    ranked = sorted((clip_distance(RECORD, rows(face), e.embeddings), e.user) for e in entries)
    assert found.likeness.distance == (ranked[0][0] if ranked else None)
    known = bool(ranked) and ranked[0][0] < 0.6
    assert found.user == (ranked[0][1] if known else None)


def test_exactly_the_threshold_is_not_enough() -> None:
    near, at = entry("a", [(0.59, 0, 0)]), entry("a", [(0.6, 0, 0)])
    exact = replace(RECORD, threshold=float(np.float32(0.6)))
    assert match(exact, rows([(0, 0, 0)]), [near]).user == "a"
    assert match(exact, rows([(0, 0, 0)]), [at]).user is None


def test_thresholds_are_the_published_ones() -> None:
    assert (published_threshold(DLIB_RESNET), published_threshold(FACENET)) == (0.6, 0.3)
    with pytest.raises(UsageError, match=r"vggface2-enet0.*no published threshold"):
        published_threshold(VGGFACE2_ENET0)


def faces(person: int) -> np.ndarray:
    return enrolled(person, "").embeddings


def test_the_subject_is_the_person_with_most_of_the_picture() -> None:
    """Ann's two tracks outweigh Bob's one, which is the largest."""
    taken = {0: faces(ANN), 1: faces(BOB), 2: faces(ANN)}
    areas = {0: [1.0] * 20, 1: [1.0] * 30, 2: [1.0] * 15}
    found = subject(DLIB_RESNET, taken, areas, {0, 1, 2})
    assert (set(found.tracks), found.persons, len(found.embeddings)) == ({0, 2}, 2, 6)
    assert subject(DLIB_RESNET, taken, areas, {1}).tracks == {1}


def test_a_short_mistake_of_the_finder_is_no_person() -> None:
    taken = {0: faces(ANN), 1: faces(CARL)}
    areas = {0: [1.0] * 20, 1: [1.0] * (SHORTEST - 1)}
    assert subject(DLIB_RESNET, taken, areas, {0, 1}).persons == 1


def test_a_track_without_embedding_is_left_out() -> None:
    found = subject(DLIB_RESNET, {0: faces(ANN)}, {0: [1.0], 1: [9.0] * 9}, {0, 1})
    assert found.tracks == {0}
    assert subject(DLIB_RESNET, {0: faces(ANN)}, {}, {1}).tracks == {0}
