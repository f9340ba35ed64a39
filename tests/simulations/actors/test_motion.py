import numpy as np
import pytest

from common.ravdess import Take
from simulations.actors.action_units import ACTION_UNITS, AU_INDEX, draw_style
from simulations.actors.clips import take_frames
from simulations.actors.motion import blink, envelope, perform, speech
from simulations.actors.plan import ClipPlan

TAKE = Take(channel=1, expression=3, intensity=2, statement=1, repetition=1, actor=4)
SMALL = ClipPlan(frames=4, size=64)


def test_performance_has_the_promised_shape_and_range():
    performance = perform(7, draw_style(7, 4), TAKE, 14, 25)
    assert performance.activations.shape == (14, len(ACTION_UNITS))
    assert len(performance.poses) == 14
    assert performance.activations.min() >= 0.0
    assert performance.activations.max() <= 1.0


@pytest.mark.parametrize("seed", range(5))
def test_expression_reaches_its_apex_inside_the_clip(seed):
    course = envelope(14, np.random.default_rng(seed))
    assert course.max() == pytest.approx(1.0)
    assert course[0] < course.max()
    assert course[-1] < course.max()


def test_statements_move_the_mouth_differently_and_nothing_else():
    first, second = (speech(s, 30, np.random.default_rng(0)) for s in (1, 2))
    assert np.abs(first - second).max() > 0.05
    moving = {name for name, i in AU_INDEX.items() if first[:, i].any()}
    assert moving == {"AU18", "AU20", "AU25", "AU26"}


def test_a_blink_closes_the_eyes_for_a_moment():
    blinks = [blink(14, 25, np.random.default_rng(i)) for i in range(200)]
    share = np.mean([b.any() for b in blinks])
    assert 0.2 < share < 0.5
    assert max(b.max() for b in blinks) == 1.0
    assert all((b > 0).sum() <= 4 for b in blinks)


def test_frames_depend_on_the_take_and_not_on_what_was_drawn_before():
    alone = list(take_frames(7, TAKE, SMALL))
    list(take_frames(7, TAKE._replace(repetition=2), SMALL))
    again = list(take_frames(7, TAKE, SMALL))
    np.testing.assert_array_equal(alone, again)
    assert len(alone) == 4
    assert alone[0].shape == (64, 64, 3)


@pytest.mark.parametrize("field", ["expression", "intensity", "statement", "repetition", "actor"])
def test_each_field_of_a_take_matters(field):
    other = TAKE._replace(**{field: 1 if getattr(TAKE, field) != 1 else 2})
    assert not np.array_equal(list(take_frames(7, TAKE, SMALL)), list(take_frames(7, other, SMALL)))


def test_noise_can_be_switched_off():
    still = ClipPlan(frames=2, size=64, noise=0.0)
    noisy = ClipPlan(frames=2, size=64, noise=6.0)
    plain, grain = (next(take_frames(7, TAKE, p)).astype(float) for p in (still, noisy))
    corner = (plain - grain)[:8, :8]
    assert 3.0 < corner.std() < 9.0
