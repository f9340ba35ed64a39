import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from simulations.actors.action_units import ACTION_UNITS
from simulations.actors.anatomy import Anatomy
from simulations.actors.brows import brow_curve
from simulations.actors.eyes import lids
from simulations.actors.face import Light, Pose, render_frame
from simulations.actors.head import ORIGIN, UNITS_PER_FRAME
from simulations.actors.identity import draw_identity
from simulations.actors.mouth import lips

PERSON = draw_identity(7, 2)
ANATOMY = Anatomy.of(PERSON)
SIZE = 120
fractions = st.floats(0, 1)


def at_rest(**units: float) -> dict[str, float]:
    return dict.fromkeys(ACTION_UNITS, 0.0) | units


def grey(units: dict[str, float], pose: Pose | None = None) -> np.ndarray:
    frame = render_frame(PERSON, units, pose or Pose(), size=240)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(float)


def row(y: float) -> int:
    return round((y / UNITS_PER_FRAME + ORIGIN[1]) * 240)


def column(x: float) -> int:
    return round((x / UNITS_PER_FRAME + ORIGIN[0]) * 240)


@settings(max_examples=25, deadline=None)
@given(
    units=st.lists(fractions, min_size=len(ACTION_UNITS), max_size=len(ACTION_UNITS)),
    angles=st.tuples(*[st.floats(-90, 90)] * 3),
    shift=st.tuples(*[st.floats(-4, 4)] * 2),
    scale=st.floats(0.1, 3),
    lamp=st.tuples(st.floats(-180, 180), st.floats(-90, 90), fractions, fractions),
    actor=st.integers(1, 24),
    size=st.sampled_from([48, 61, 96]),
)
def test_any_activation_pose_and_light_can_be_drawn(units, angles, shift, scale, lamp, actor, size):
    pose = Pose(*angles, *shift, scale)
    frame = render_frame(draw_identity(1, actor), units, pose, Light(*lamp), size)
    assert frame.shape == (size, size, 3)
    assert frame.dtype == np.uint8


def test_equal_arguments_give_equal_pixels_and_fresh_arrays():
    first = render_frame(PERSON, {"AU12": 0.5}, size=SIZE)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(render_frame(PERSON, {"AU12": 0.5}, size=SIZE), kept)


def test_smile_raises_the_lip_corners():
    calm, smile = lips(PERSON, ANATOMY, at_rest()), lips(PERSON, ANATOMY, at_rest(AU12=1.0))
    assert (smile.upper_inner[[0, -1], 1] < calm.upper_inner[[0, -1], 1] - 0.08).all()
    assert np.ptp(smile.upper_inner[:, 0]) > 1.1 * np.ptp(calm.upper_inner[:, 0])
    frown = lips(PERSON, ANATOMY, at_rest(AU15=1.0))
    assert (frown.upper_inner[[0, -1], 1] > calm.upper_inner[[0, -1], 1] + 0.08).all()


def test_smile_is_seen_in_the_pixels_of_mouth_and_cheeks():
    change = np.abs(grey({"AU12": 1.0}) - grey({}))
    assert change[row(0.3) : row(0.8)].mean() > 4 * change[row(-0.6) : row(-0.1)].mean()


def test_corner_of_a_smile_is_darker_where_the_lips_went():
    x, y = lips(PERSON, ANATOMY, at_rest(AU12=0.9)).upper_inner[-2]
    patch = np.s_[row(y) - 1 : row(y) + 2, column(x) - 1 : column(x) + 2]
    assert grey({"AU12": 0.9})[patch].mean() < grey({})[patch].mean() - 20


def test_jaw_drop_opens_a_dark_gap_and_lowers_the_chin():
    still, open_mouth = grey({}), grey({"AU26": 1.0})
    y = ANATOMY.mouth_y + 0.1
    patch = np.s_[row(y) - 2 : row(y) + 3, column(0) - 3 : column(0) + 4]
    assert open_mouth[patch].mean() < 0.75 * still[patch].mean()
    assert np.abs(open_mouth - still)[: row(0.25)].max() == 0.0


def test_closed_eyes_hide_iris_and_white():
    iris = np.s_[
        row(-0.02) : row(0.005), column(ANATOMY.eye_x - 0.02) : column(ANATOMY.eye_x + 0.04)
    ]
    assert grey({})[iris].min() < 60
    assert grey({"AU43": 1.0})[iris].min() > 80
    assert lids(PERSON, ANATOMY, at_rest(AU43=1.0)).openness == 0.0


@pytest.mark.parametrize(("unit", "sign"), [("AU01", -1), ("AU04", 1)])
def test_inner_brow_moves_up_with_au1_and_down_with_au4(unit, sign):
    rest, moved = (brow_curve(PERSON, ANATOMY, at_rest(**u)) for u in ({}, {unit: 1.0}))
    assert sign * (moved[0, 1] - rest[0, 1]) > 0.05
    assert abs(moved[4, 1] - rest[4, 1]) < 0.02


@given(st.sampled_from(["AU05", "AU07", "AU43"]), fractions)
def test_lids_never_cross_by_more_than_a_hair(unit, value):
    edge = lids(PERSON, ANATOMY, at_rest(**{unit: value}))
    assert (edge.lower[:, 1] - edge.upper[:, 1]).min() > -0.02


def test_head_moves_with_its_pose():
    still = grey({})
    moved = grey({}, Pose(x=0.3))
    shift = round(0.3 / UNITS_PER_FRAME * 240)
    middle = np.s_[row(-0.3) : row(0.8), column(-0.4) : column(0.4)]
    aligned = np.roll(moved, -shift, axis=1)
    assert np.abs(aligned - still)[middle].mean() < 0.3 * np.abs(moved - still)[middle].mean()


def test_yaw_moves_the_nose_more_than_the_ears():
    turned = np.abs(grey({}, Pose(yaw=10.0)) - grey({}))
    assert turned[row(0.2) : row(0.5), column(-0.2) : column(0.2)].mean() > 3.0


def test_light_from_one_side_brightens_that_side():
    frame = render_frame(PERSON, {}, light=Light(azimuth=-60.0, elevation=0.0), size=240)
    cheek = frame[row(0.2) : row(0.4)].astype(float)
    left = cheek[:, column(-0.5) : column(-0.3)].mean()
    assert left > 1.15 * cheek[:, column(0.3) : column(0.5)].mean()


def test_too_small_a_frame_is_refused():
    with pytest.raises(UsageError, match="47"):
        render_frame(PERSON, {}, size=47)
