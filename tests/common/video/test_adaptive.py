from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video import extract as module
from common.video.adaptive import (
    EARLY,
    GRIDS,
    NEVER_EARLY,
    AdaptiveClip,
    AdaptivePlan,
    Trace,
    calibrate,
    extract_adaptively,
    margin,
    trace,
)
from common.video.decode import ClipError, Reason
from common.video.extract import Features, extract
from tests.common.video.fakes import MeanBackbone
from tests.common.video.made_up import PATH, MadeUpClip, finder, numbers

Scores = npt.NDArray[np.floating]

FIRST, SECOND, THIRD = [0, 8, 16], [0, 4, 8, 12, 16, 20], list(range(0, 21, 2))
"""Of a clip of 21 frames: what the first rates have looked at."""


@contextmanager
def shown(clip: MadeUpClip) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pictures", clip.pictures)
        yield


def run(clip: MadeUpClip, decide: Callable[[Features], Scores], plan: AdaptivePlan) -> AdaptiveClip:
    with shown(clip):
        return extract_adaptively(PATH, MeanBackbone(), finder(), decide, plan)


def by_number(features: Features) -> Scores:
    """The margin is the number of frames."""
    return np.array([1.0, len(features) + 1.0, 0.0])


def by_levels(features: Features) -> Scores:
    """Changes its mind from rate to rate."""
    total = features[:, 0].sum()
    return np.array([total % 7, 3.0, total % 5])


def test_grids_take_every_frame_once() -> None:
    taken = [index for step, offset in GRIDS for index in range(offset, 64, step)]
    assert sorted(taken) == list(range(64))


@pytest.mark.parametrize(
    ("least", "rate", "frames"),
    [
        ((3, 99, 99), 0, FIRST),
        ((0, 0, 0), 0, FIRST),
        ((4, 6, 99), 1, SECOND),
        ((math.inf, 0, 0), 1, SECOND),
        ((99, 7, 11), 2, THIRD),
        ((99, 99, 12), 3, list(range(21))),
        (NEVER_EARLY.margins, 3, list(range(21))),
    ],
)
def test_clip_ends_at_the_first_rate_that_is_sure_enough(
    least: tuple[float, float, float], rate: int, frames: list[int]
) -> None:
    found = run(MadeUpClip(21), by_number, AdaptivePlan(least))
    assert found.rate == rate
    assert numbers(found.features.features) == frames
    assert found.features.decoded == found.features.with_face == len(frames)


def test_decisions_are_for_the_frames_looked_at_until_then() -> None:
    asked: list[list[int]] = []

    def decide(features: Features) -> Scores:
        asked.append(numbers(features))
        return np.zeros(2)

    run(MadeUpClip(21), decide, AdaptivePlan((1.0, 1.0, 1.0)))
    # after the last rate nothing is left to be decided
    assert asked == [FIRST, SECOND, THIRD]


@given(count=st.integers(1, 40), faceless=st.frozensets(st.integers(0, 39), max_size=30))
@settings(deadline=None, max_examples=40)
def test_never_early_is_every_frame(count: int, faceless: frozenset[int]) -> None:
    clip = MadeUpClip(count, faceless)
    if len(faceless & set(range(count))) == count:
        with pytest.raises(ClipError) as caught:
            run(clip, by_levels, NEVER_EARLY)
        assert caught.value.reason is Reason.NO_FACE
        return
    found = run(clip, by_levels, NEVER_EARLY)
    with shown(clip):
        plain = extract(PATH, MeanBackbone(), finder())
    assert found.rate == EARLY
    assert found.features.features.tobytes() == plain.features.tobytes()
    assert (found.features.decoded, found.features.with_face) == (plain.decoded, plain.with_face)
    assert (found.features.several_faces, found.features.spec) == (0, plain.spec)


@given(
    count=st.integers(1, 40),
    faceless=st.frozensets(st.integers(0, 39), max_size=12),
    least=st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf])] * EARLY),
)
@settings(deadline=None, max_examples=40)
def test_traces_foretell_where_clips_end(
    count: int, faceless: frozenset[int], least: tuple[float, float, float]
) -> None:
    clip, plan = MadeUpClip(count, faceless), AdaptivePlan(least)
    with_face = [index for index in range(count) if index not in faceless]
    if not with_face:
        return
    features = np.repeat(np.array(with_face, np.float32)[:, None] + 50, 128, axis=1)
    told = trace(features, with_face, by_levels)
    if told is None:
        assert not any(index % 8 == 0 for index in with_face)
        return
    found = run(clip, by_levels, plan)
    assert found.rate == ended(told, plan)
    assert int(np.argmax(by_levels(found.features.features))) == told.decisions[found.rate]


def test_rate_without_a_face_decides_nothing() -> None:
    clip = MadeUpClip(17, frozenset((0, 8, 16)))
    found = run(clip, by_number, AdaptivePlan((0.0, 0.0, 0.0)))
    assert (found.rate, numbers(found.features.features)) == (1, [4, 12])
    assert (found.features.decoded, found.features.with_face) == (5, 2)


def test_infinite_margin_never_ends_though_there_is_one_class_only() -> None:
    assert run(MadeUpClip(21), lambda features: np.ones(1), NEVER_EARLY).rate == EARLY


def ended(told: Trace, plan: AdaptivePlan) -> int:
    """The rate at which a clip ends."""
    for rate, least in enumerate(plan.margins):
        if least <= told.margins[rate] and least < math.inf:
            return rate
    return EARLY


TRACES = st.lists(
    st.builds(
        Trace,
        st.tuples(*[st.integers(0, 1)] * len(GRIDS)),
        st.tuples(*[st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1)] * len(GRIDS)),
    ),
    min_size=1,
    max_size=40,
)


def wrong_early(traces: Sequence[Trace], plan: AdaptivePlan, rate: int) -> int:
    """Clips that this rate ends with another decision."""
    return sum(
        ended(told, plan) == rate and told.decisions[rate] != told.decisions[-1] for told in traces
    )


@given(traces=TRACES, risk=st.sampled_from([0.0, 0.005, 0.1, 0.25, 0.5, 1.0]))
def test_no_more_clips_than_the_risk_end_early_with_another_decision(
    traces: list[Trace], risk: float
) -> None:
    plan = calibrate(traces, risk=risk)
    wrong = sum(wrong_early(traces, plan, rate) for rate in range(EARLY))
    assert wrong <= risk * len(traces)


@given(traces=TRACES, risk=st.sampled_from([0.0, 0.005, 0.1, 0.25, 0.5, 1.0]))
def test_margins_are_the_smallest_of_all_that_could_be_tried(
    traces: list[Trace], risk: float
) -> None:
    """Rate by rate, given the rates before."""
    plan = calibrate(traces, risk=risk)
    for rate, chosen in enumerate(plan.margins):
        tried = [0.0, *(told.margins[rate] for told in traces), chosen]
        assert chosen == min(
            least
            for least in tried
            if wrong_early(traces, replaced(plan, rate, least), rate) <= risk / EARLY * len(traces)
        )


def replaced(plan: AdaptivePlan, rate: int, least: float) -> AdaptivePlan:
    return AdaptivePlan((*plan.margins[:rate], least, *plan.margins[rate + 1 :]))


def test_calibration_by_hand() -> None:
    right, wrong = (1, 1, 1, 1), (0, 1, 1, 1)
    traces = [
        Trace(right, (0.9, 0.9, 0.9, 0.9)),
        Trace(wrong, (0.4, 0.9, 0.9, 0.9)),
        Trace(right, (0.4, 0.2, 0.3, 0.9)),
        Trace(right, (0.1, 0.1, 0.1, 0.1)),
    ]
    plan = calibrate(traces)
    assert plan.margins == (math.nextafter(0.4, 1), 0.0, 0.0)
    assert [ended(told, plan) for told in traces] == [0, 1, 1, 1]
    # a risk of 3/4 allows one of four clips per rate
    assert calibrate(traces, risk=0.75).margins == (0.0, 0.0, 0.0)


def test_clips_that_agree_at_once_end_at_once() -> None:
    assert calibrate([Trace((2,) * 4, (0.0,) * 4)] * 3).margins == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("risk", [-0.1, 1.1, math.nan])
def test_calibration_checks_its_arguments(risk: float) -> None:
    with pytest.raises(ValueError, match="calibration"):
        calibrate([Trace((0,) * 4, (0.0,) * 4)], risk=risk)
    with pytest.raises(ValueError, match="calibration"):
        calibrate([])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.25], math.inf), ([1.0, 1.0], 0.0), ([0.5, 3.0, 2.0], 1.0), ([-1.0, -4.0], 3.0)],
)
def test_margin_is_between_the_two_best(scores: list[float], expected: float) -> None:
    assert margin(np.array(scores)) == expected


def test_trace_of_a_clip_with_faces_late_only() -> None:
    assert trace(np.zeros((2, 4), np.float32), [3, 4], by_number) is None
    told = trace(np.zeros((3, 4), np.float32), [0, 3, 4], by_number)
    assert told == Trace((1, 1, 1, 1), (1.0, 2.0, 2.0, 3.0))


@pytest.mark.parametrize("margins", [(0.0, 0.0), (0.0,) * 4, (0.0, -1.0, 0.0), (math.nan,) * 3])
def test_plans_are_checked(margins: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="margins"):
        AdaptivePlan(margins)
