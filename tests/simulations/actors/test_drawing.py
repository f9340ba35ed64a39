import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.actors.curves import lowered
from simulations.actors.drawing import Canvas, Raster, ellipse

RASTER = Raster(-1.0, -1.0, 1.0, 1.0, 50.0)
SQUARE = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])


def canvas() -> Canvas:
    return Canvas(np.zeros((*RASTER.shape, 3), np.float32), RASTER)


def test_raster_maps_units_to_pixels_and_back():
    assert RASTER.shape == (100, 100)
    np.testing.assert_allclose(RASTER.pixels([(-1, -1), (0, 1)]), [(0, 0), (50, 100)])
    x, y = RASTER.grid()
    assert x[0, 0] == pytest.approx(-0.99)
    assert y[99, 0] == pytest.approx(0.99)


def test_filled_square_has_its_area_and_centre():
    target = canvas()
    target.fill(SQUARE, (200, 100, 0))
    weight = target.image[..., 0] / 200
    x, y = RASTER.grid()
    # OpenCV's antialiased fill covers about 0.7 pixels more on each side.
    assert weight.sum() / 50**2 == pytest.approx(1.0, abs=0.07)
    assert (weight * x).sum() / weight.sum() == pytest.approx(0.0, abs=0.01)
    assert (weight * y).sum() / weight.sum() == pytest.approx(0.0, abs=0.01)
    np.testing.assert_allclose(target.image[50, 50], (200, 100, 0))


def test_alpha_and_clip_limit_a_shape():
    target = canvas()
    target.fill(SQUARE, (100, 100, 100), alpha=0.5, clip=lowered(SQUARE, 0.5))
    assert target.image[60, 50, 0] == pytest.approx(50.0)
    assert target.image[40, 50, 0] == 0.0


def test_shapes_outside_the_picture_change_nothing():
    target = canvas()
    target.disc((5.0, 5.0), 0.2, (255, 255, 255))
    target.line(lowered(SQUARE, 9.0), (255, 255, 255), width=0.1)
    assert not target.image.any()


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.001, 1.5), st.floats(0, 0.3))
def test_colours_stay_between_ground_and_paint(x, y, radius, soft):
    target = canvas()
    target.disc((x, y), radius, (255, 255, 255), soft=soft)
    target.line(ellipse((x, y), radius), (255, 0, 0), width=radius, soft=soft)
    assert target.image.min() >= 0.0
    assert target.image.max() <= 255.01


def test_traced_line_is_strongest_on_the_line():
    trace = RASTER.trace([(-0.5, 0.0), (0.5, 0.0)], 0.02, 0.02)
    assert trace.max() == pytest.approx(1.0)
    assert trace[49:51, 50].max() > 0.9
    assert trace[20, 50] == 0.0
