"""A device's own test: test clips are predicted, never learnt from."""

from __future__ import annotations

from dataclasses import replace
from math import isinf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.evaluation import (
    draw_own_clips,
    draw_resting_stream,
    evaluate_part,
    view,
)
from client.personalisation.heads import PersonalHead
from client.personalisation.maximum_a_posteriori import CANDIDATES
from client.rounds import answer
from client.store import DeviceSettings
from common.clips import ClipSet
from common.heads.specification import KINDS
from common.heads.standardise import UserStatistics
from common.heads.universal import statistics_of
from common.messages import EVALUATE
from tests.client.fakes import any_head, device, made_up_clips, part_of, request, specification

CURVES = ("personal", "local_only", "shared_attention")
PREDICTIONS = ("universal", "universal_raw", "resting_stream", "confidence", *CURVES)
CLIPS = made_up_clips(["Ada", "Ben"], per_expression=4)
PART = part_of(CLIPS, "Ada")


def evaluated(
    clips: ClipSet, kind: str = "logistic", **changes: Any
) -> tuple[dict[str, Any], PersonalHead, UserStatistics]:
    settings = DeviceSettings(
        specification=specification(kind),
        seed=3,
        own_clips=(1, 2),
        draws=3,
        peers=("shared-attention",),
    )
    part = replace(PART, **changes)
    return evaluate_part(any_head(specification(kind)), clips, part, settings)


def with_labels(labels: np.ndarray) -> ClipSet:
    return ClipSet(CLIPS.names, CLIPS.users, labels, CLIPS.frames, CLIPS.lengths)


def with_frames_of(indices: tuple[int, ...], value: float) -> ClipSet:
    frames = CLIPS.frames.copy()
    starts = np.concatenate([[0], np.cumsum(CLIPS.lengths)])
    for index in indices:
        frames[starts[index] : starts[index + 1]] += value
    return ClipSet(CLIPS.names, CLIPS.users, CLIPS.labels, frames, CLIPS.lengths)


def assert_same_learnt(
    one: tuple[dict[str, Any], PersonalHead, UserStatistics],
    other: tuple[dict[str, Any], PersonalHead, UserStatistics],
) -> None:
    np.testing.assert_array_equal(one[1].weight, other[1].weight)
    np.testing.assert_array_equal(one[1].bias, other[1].bias)
    np.testing.assert_array_equal(one[2].mean, other[2].mean)
    np.testing.assert_array_equal(one[2].spread, other[2].spread)
    assert one[2].trust == other[2].trust


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_never_see_the_test_clips_labels(kind: str) -> None:
    labels = CLIPS.labels.copy()
    labels[list(PART.test)] = labels[list(PART.test)][::-1]
    one, other = evaluated(CLIPS, kind), evaluated(with_labels(labels), kind)
    for name in PREDICTIONS:
        assert one[0][name] == other[0][name]
    assert one[0]["labels"] == other[0]["labels"][::-1]
    assert_same_learnt(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learnt_from_the_test_clips_features(kind: str) -> None:
    changed = evaluated(with_frames_of(PART.test, 100.0), kind)
    assert_same_learnt(evaluated(CLIPS, kind), changed)
    assert changed[0]["universal_raw"] != evaluated(CLIPS, kind)[0]["universal_raw"]


def test_a_test_clip_s_prediction_does_not_depend_on_other_test_clips() -> None:
    whole = evaluated(CLIPS)[0]
    alone = evaluated(CLIPS, test=PART.test[:1])[0]
    for name in ("universal", "universal_raw"):
        assert alone[name] == whole[name][:1]
    for name in CURVES:
        assert alone[name] == [[draw[:1] for draw in draws] for draws in whole[name]]


def test_other_users_clips_do_not_matter() -> None:
    others = tuple(index for index, user in enumerate(CLIPS.users) if user != "Ada")
    changed = evaluated(with_frames_of(others, 100.0))
    assert changed[0] == evaluated(CLIPS)[0]
    assert_same_learnt(evaluated(CLIPS), changed)


def test_adaptation_labels_matter_to_personal_and_local_heads_only() -> None:
    labels = CLIPS.labels.copy()
    labels[list(PART.adaptation)] = (labels[list(PART.adaptation)] + 3) % 8
    one, other = evaluated(CLIPS)[0], evaluated(with_labels(labels))[0]
    for name in ("universal", "universal_raw", "trust"):
        assert one[name] == other[name]
    for name in CURVES:
        assert one["confidence"][name] != other["confidence"][name]


def test_own_clips_alone_know_nothing_of_the_universal_head() -> None:
    settings = DeviceSettings(specification=specification(), seed=3, own_clips=(1, 2), draws=3)
    heads = [any_head(specification(), seed) for seed in (1, 2)]
    one, other = (evaluate_part(head, CLIPS, PART, settings)[0] for head in heads)
    assert one["local_only"] == other["local_only"]
    assert one["universal"] != other["universal"]


def test_the_record_names_what_was_tested() -> None:
    record = evaluated(CLIPS)[0]
    assert record["user"] == "Ada"
    assert record["federation"] == "fold-1"
    assert record["adaptation_clips"] == [CLIPS.names[index] for index in PART.adaptation]
    assert record["test_clips"] == [CLIPS.names[index] for index in PART.test]
    assert record["labels"] == CLIPS.labels[list(PART.test)].tolist()
    assert 0 < record["trust"] < 1
    for name in ("universal", "universal_raw"):
        assert len(record[name]) == len(PART.test)


def test_confidence_is_what_was_thought_of_the_choice() -> None:
    record = evaluated(CLIPS)[0]
    shares = record["confidence"]
    assert set(shares) == {"universal", *CURVES}
    assert len(shares["universal"]) == len(PART.test)
    for name in CURVES:
        for chosen, sure in zip(record[name], shares[name], strict=True):
            assert [len(draw) for draw in chosen] == [len(draw) for draw in sure]
    assert all(1 / 8 <= share <= 1 for share in shares["universal"])


def test_the_record_says_which_head_was_in_use() -> None:
    record = evaluated(CLIPS)[0]
    assert [len(draws) for draws in record["personal_in_use"]] == [3, 1]
    for draws, used in zip(record["personal"], record["personal_in_use"], strict=True):
        for chosen, personal in zip(draws, used, strict=True):
            assert personal or chosen == record["universal"]


def test_what_the_fleet_knows_reaches_the_personal_head() -> None:
    none = tuple(0.0 if isinf(each.strength) else -9.0 for each in CANDIDATES)
    record = evaluated(CLIPS, evidence=none)[0]
    assert not any(flag for flags in record["personal_in_use"] for flag in flags)


def test_draws_that_take_every_clip_are_one() -> None:
    """Two clips per expression to adapt on: with k = 1 three draws, with k = 2 only one."""
    record = evaluated(CLIPS)[0]
    assert [len(draws) for draws in record["personal"]] == [3, 1]
    assert [len(draws) for draws in record["local_only"]] == [3, 1]


@pytest.mark.parametrize("per_expression", [1, 2, 3, 9])
def test_own_clips_are_that_many_of_each_expression_at_most(per_expression: int) -> None:
    labels = np.array([0, 0, 0, 1, 1, 5, 7, 7, 7, 7])
    drawn = draw_own_clips(labels, per_expression, seed=1, draw=0, user="Ada")
    assert list(drawn) == sorted(set(drawn))
    for label in range(8):
        there = int((labels == label).sum())
        assert int((labels[list(drawn)] == label).sum()) == min(per_expression, there)


def test_draws_are_a_function_of_seed_draw_and_user() -> None:
    labels = np.repeat(np.arange(8), 6)
    base = {"seed": 1, "draw": 0, "user": "Ada"}
    changes: tuple[dict[str, Any], ...] = ({"seed": 2}, {"draw": 1}, {"user": "Ben"})
    for draw in (draw_resting_stream, lambda labels, **who: draw_own_clips(labels, 2, **who)):
        first = draw(labels, **base)
        assert draw(labels, **base) == first
        for change in changes:
            assert draw(labels, **{**base, **change}) != first


def test_a_resting_stream_is_mostly_neutral_and_calm() -> None:
    labels = np.repeat(np.arange(8), 8)
    drawn = draw_resting_stream(labels, seed=1, draw=0, user="Ada")
    resting = labels[list(drawn)] <= 1
    assert resting.sum() == 16
    assert resting.mean() == pytest.approx(0.8)


@pytest.mark.parametrize("labels", [[], [2, 3, 4], [0], [0, 0, 1]])
def test_a_resting_stream_of_a_user_who_lacks_clips(labels: list[int]) -> None:
    drawn = draw_resting_stream(np.array(labels, dtype=np.int64), seed=1, draw=0, user="Ada")
    assert [labels[index] for index in drawn] == [label for label in labels if label <= 1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_with_one_clip_of_no_resting_expression(kind: str) -> None:
    """No stream to take statistics from: the population branch answers alone."""
    angry = int(np.flatnonzero(CLIPS.labels == 4)[0])
    record, head, statistics = evaluated(CLIPS, kind, adaptation=(angry,))
    assert statistics.trust < 0.5
    assert record["resting_stream"] == [record["universal_raw"]] * 3
    assert np.isfinite(head.weight).all()


def test_a_view_without_trust_is_the_population_branch() -> None:
    head = any_head(specification())
    nobody = UserStatistics(np.zeros(5), np.ones(5), 0.0)
    seen = view(head, CLIPS.of_user("Ada"), nobody)
    np.testing.assert_array_equal(seen.universal, seen.raw)


def test_statistics_are_of_unlabelled_clips() -> None:
    head = any_head(specification())
    one = statistics_of(head, CLIPS)
    other = statistics_of(head, with_labels(np.zeros_like(CLIPS.labels)))
    np.testing.assert_array_equal(one.mean, other.mean)
    assert one.trust == other.trust


def test_evaluate_tests_the_parts_of_its_federation_only(tmp_path: Path) -> None:
    parts = (PART, part_of(CLIPS, "Ben"), part_of(CLIPS, "Ada", "fold-2"))
    folder = device(tmp_path, CLIPS, specification(), parts=parts, own_clips=(1,), draws=1)
    head = any_head(specification())
    assert answer(folder, request(specification(), EVALUATE, head=head, round=4), run=1) is None
    assert [record["user"] for record in folder.load_evaluation("fold-1")] == ["Ada", "Ben"]
    assert folder.load_evaluation("fold-2") == []
    assert folder.load_personal("Ben") is not None


def test_evaluate_of_a_federation_without_parts_leaves_nothing(tmp_path: Path) -> None:
    folder = device(tmp_path, CLIPS, specification(), parts=(PART,), own_clips=(1,))
    asked = request(specification(), EVALUATE, name="fold-9", round=4)
    assert answer(folder, asked, run=1) is None
    assert {path.name for path in folder.path.iterdir()} == {"device.json", "clips.safetensors"}
