import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulations.actors.jaw import before_jaw, lift_map

jaws = st.floats(0, 1)


def lowered_chin(y: float, jaw: float) -> float:
    """Slow oracle: search the place before the drop whose image is `y` on the middle line."""
    low, high = -3.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        seen = middle + jaw * fall(middle)
        low, high = (middle, high) if seen < y else (low, middle)
    return low


def fall(y: float) -> float:
    return 0.22 * (step(y, 0.42, 0.94) - step(y, 0.94, 1.5))


def step(y: float, start: float, end: float) -> float:
    t = min(max((y - start) / (end - start), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@given(st.floats(-1, 1.6), jaws)
def test_before_jaw_inverts_the_drop(y, jaw):
    moved = before_jaw(np.array([[0.0, y]]), jaw)
    assert abs(moved[0, 1] - lowered_chin(y, jaw)) < 2e-4
    assert moved[0, 0] == 0.0


@given(jaws)
def test_the_order_of_points_is_kept(jaw):
    y = np.linspace(-1.2, 1.7, 200)
    moved = before_jaw(np.stack([np.zeros(200), y], axis=1), jaw)[:, 1]
    assert (np.diff(moved) > 0).all()


def test_the_upper_face_stays_where_it_is():
    eyes = np.array([[0.3, 0.0], [-0.3, 0.0]])
    np.testing.assert_array_equal(before_jaw(eyes, 1.0), eyes)


def test_map_agrees_with_points():
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 4), np.linspace(0, 1.4, 5))
    lift = lift_map(x.astype(np.float32), y.astype(np.float32), 0.7)
    moved = before_jaw(np.stack([x.ravel(), y.ravel()], axis=1), 0.7)[:, 1]
    np.testing.assert_allclose(y.ravel() - lift.ravel(), moved, atol=1e-5)
    assert not lift_map(x.astype(np.float32), y.astype(np.float32), 0.0).any()
