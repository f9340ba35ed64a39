"""What detectors get of a picture: how far it is from what is usual for the person."""

from __future__ import annotations

import numpy as np

from common.heads.standardise import power
from simulations.avatars.readings import movements


def test_movements_of_own_pictures_cancel_out() -> None:
    own = np.random.default_rng(0).random((9, 5), np.float32)
    assert np.allclose(movements(own, own).sum(axis=0), 0.0, atol=1e-5)


def test_movements_are_roots_less_the_own_mean_root() -> None:
    rows, own = np.array([[4.0, 0.0]], np.float32), np.array([[1.0, 9.0], [9.0, 1.0]], np.float32)
    assert movements(rows, own).tolist() == [[0.0, -2.0]]


def test_spreads_of_the_own_pictures_do_not_count() -> None:
    random = np.random.default_rng(1)
    roots = random.random((8, 3))
    near, far = (((roots - roots.mean(axis=0)) * scale + 2.0) ** 2 for scale in (0.1, 1.0))
    rows = random.random((4, 3)).astype(np.float32)
    assert np.allclose(movements(rows, near), power(rows) - 2.0, atol=1e-5)
    assert np.allclose(movements(rows, near), movements(rows, far), atol=1e-5)
