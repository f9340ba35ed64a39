from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import NormalDist, fmean

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video import adaptive
from common.video import extract as module
from common.video.adaptive import (
    EARLY,
    EARLY_GRIDS,
    NEVER_EARLY,
    AdaptiveClip,
    AdaptivePlan,
    Trace,
    calibrate,
    extract_adaptively,
    margin,
    trace,
    trace_of,
)
from common.video.decode import ClipError, Reason
from common.video.extract import Features, extract
from tests.common.video.fakes import MeanBackbone
from tests.common.video.made_up import PATH, MadeUpClip, MadeUpPicture, finder, numbers

Scores = npt.NDArray[np.floating]

FIRST, SECOND, THIRD = [0, 8, 16], [0, 4, 8, 12, 16, 20], list(range(0, 21, 2))
"""Of a clip of 21 frames: what the first rates have looked at."""


@contextmanager
def shown(clip: MadeUpClip) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pictures", clip.pictures)
        patch.setattr(adaptive, "pictures", clip.pictures)
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


def test_early_grids_take_every_second_frame_once() -> None:
    taken = [index for step, offset in EARLY_GRIDS for index in range(offset, 64, step)]
    assert sorted(taken) == list(range(0, 64, 2))


def test_small_clips_are_decoded_once_and_large_ones_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, opened = MadeUpClip(21), []

    def counted(path: Path, *, threads: int) -> Iterator[MadeUpPicture]:
        opened.append(path)
        return clip.pictures(path)

    monkeypatch.setattr(adaptive, "pictures", counted)
    small = extract_adaptively(PATH, MeanBackbone(), finder(), by_number, NEVER_EARLY)
    assert len(opened) == 1
    monkeypatch.setattr(adaptive, "HELD_BYTES", 1000)
    large = extract_adaptively(PATH, MeanBackbone(), finder(), by_number, NEVER_EARLY)
    assert len(opened) == 1 + EARLY + 1
    assert small.features.features.tobytes() == large.features.features.tobytes()


def test_long_clips_are_thinned_alike_at_all_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive, "MOST_FRAMES", 32)
    found = run(MadeUpClip(200), by_number, AdaptivePlan((99, 99, 0.0)))
    # every 8th of 200 frames would be 25 of at most 4, so every 64th, and the rates that follow
    assert numbers(found.features.features) == list(range(0, 200, 16))


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
    with shown(clip):
        told = trace(PATH, MeanBackbone(), finder(), by_levels)
    if told is None:
        assert not any(index % 8 == 0 for index in with_face)
        return
    found = run(clip, by_levels, plan)
    assert found.rate == ended(told, plan)
    assert margin(by_levels(found.features.features)) == told.margins[found.rate]


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


UNITS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1)
TRACES = st.lists(
    st.builds(
        Trace,
        st.tuples(*[UNITS] * (EARLY + 1)),
        st.tuples(*[st.floats(-1, 1)] * (EARLY + 1)),
    ),
    min_size=1,
    max_size=40,
)
RISKS = st.sampled_from([0.0, 0.005, 0.1, 0.25, 0.5, 1.0])


def expected_wrong(traces: Sequence[Trace], plan: AdaptivePlan, rate: int) -> float:
    """Clips that this rate is expected to end with another decision, one after the other."""
    sigma = math.sqrt(fmean((told.leads[rate] - told.margins[rate]) ** 2 for told in traces))
    ending = [told.margins[rate] for told in traces if ended(told, plan) == rate]
    return sum(NormalDist(0, sigma).cdf(-m) for m in ending) if sigma else 0.0


@given(traces=TRACES, risk=RISKS)
def test_no_more_clips_than_the_risk_are_expected_to_end_wrong(
    traces: list[Trace], risk: float
) -> None:
    plan = calibrate(traces, risk=risk)
    wrong = sum(expected_wrong(traces, plan, rate) for rate in range(EARLY))
    assert wrong <= risk * len(traces) + 1e-9


@given(traces=TRACES, risk=RISKS)
def test_no_smaller_margin_would_keep_the_risk(traces: list[Trace], risk: float) -> None:
    """Rate by rate, given the rates before."""
    plan = calibrate(traces, risk=risk)
    for rate, chosen in enumerate(plan.margins):
        smaller = [told.margins[rate] for told in traces if told.margins[rate] < chosen]
        for least in smaller:
            tried = AdaptivePlan((*plan.margins[:rate], least, *plan.margins[rate + 1 :]))
            more = [t for t in traces if ended(t, tried) == rate and ended(t, plan) != rate]
            allowed = risk / EARLY * len(traces)
            assert not more or expected_wrong(traces, tried, rate) > allowed - 1e-9


def test_calibration_by_hand() -> None:
    told = [Trace((3.0,) * 4, (4.0,) * 4), Trace((1.0,) * 4, (0.0,) * 4)]
    # sigma is 1: wrong with probability Phi(-3) = 0.00135 and Phi(-1) = 0.159
    assert calibrate(told, risk=3 * 0.0006).margins == (math.inf,) * 3
    assert calibrate(told, risk=3 * 0.0007).margins == (3.0, math.inf, math.inf)
    assert calibrate(told, risk=3 * 0.09).margins == (1.0, math.inf, math.inf)


def test_clips_that_never_change_end_at_once() -> None:
    told = [Trace((lead,) * 4, (lead,) * 4) for lead in (0.5, 0.2, 0.9)]
    assert calibrate(told, risk=0.0).margins == (0.2, math.inf, math.inf)


@pytest.mark.parametrize("risk", [-0.1, 1.1, math.nan])
def test_calibration_checks_its_arguments(risk: float) -> None:
    with pytest.raises(ValueError, match="calibration"):
        calibrate([Trace((0.0,) * 4, (0.0,) * 4)], risk=risk)
    with pytest.raises(ValueError, match="calibration"):
        calibrate([])


def test_lead_is_of_the_class_that_led_then() -> None:
    scores = [np.array([2.0, 1.0, 0.0]), np.array([0.0, 3.0, 1.0]), np.array([0.0, 5.0, 4.5])]
    told = trace_of([*scores, np.array([1.0, 4.0, 0.0])])
    assert told == Trace((1.0, 2.0, 0.5, 3.0), (-3.0, 3.0, 3.0, 3.0))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.25], math.inf), ([1.0, 1.0], 0.0), ([0.5, 3.0, 2.0], 1.0), ([-1.0, -4.0], 3.0)],
)
def test_margin_is_between_the_two_best(scores: list[float], expected: float) -> None:
    assert margin(np.array(scores)) == expected


def test_trace_by_hand() -> None:
    with shown(MadeUpClip(9, frozenset({0, 8}))):
        assert trace(PATH, MeanBackbone(), finder(), by_number) is None
    with shown(MadeUpClip(9, frozenset({8}))):
        told = trace(PATH, MeanBackbone(), finder(), by_number)
    assert told == Trace((1.0, 2.0, 4.0, 8.0), (8.0, 8.0, 8.0, 8.0))


@pytest.mark.parametrize("margins", [(0.0, 0.0), (0.0,) * 4, (0.0, -1.0, 0.0), (math.nan,) * 3])
def test_plans_are_checked(margins: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="margins"):
        AdaptivePlan(margins)
