import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from common.expressions import EXPRESSIONS, expression_index
from simulations.actors.action_units import (
    ACTION_UNITS,
    AU_INDEX,
    PROTOTYPES,
    STRONG_GAIN,
    Style,
    activations,
    apex,
    draw_style,
)

COUNT = len(ACTION_UNITS)
PLAIN = Style((0,) * 8, np.ones(COUNT), np.zeros(COUNT), np.zeros((8, COUNT)))


def mean_apex(style: Style, expression: str, intensity: int = 1) -> np.ndarray:
    label = expression_index(expression)
    takes = [apex(style, label, intensity, np.random.default_rng(i)) for i in range(300)]
    return np.mean(takes, axis=0)


def test_every_expression_has_prototypes_of_known_units():
    assert tuple(PROTOTYPES) == EXPRESSIONS
    for variants in PROTOTYPES.values():
        for units in variants:
            assert set(units) <= set(ACTION_UNITS)
            assert all(0 < value <= 1 for value in units.values())
    assert PROTOTYPES["neutral"] == ({},)


@pytest.mark.parametrize(
    ("expression", "units"),
    [
        ("happy", {"AU12"}),
        ("sad", {"AU01", "AU15"}),
        ("angry", {"AU04"}),
        ("fearful", {"AU01", "AU04", "AU05"}),
        ("surprised", {"AU01", "AU02", "AU26"}),
    ],
)
def test_all_variants_hold_the_core_units_of_emfacs(expression, units):
    assert all(units <= set(variant) for variant in PROTOTYPES[expression])


def test_disgust_always_wrinkles_the_nose_or_raises_the_lip():
    assert all({"AU09", "AU10"} & set(variant) for variant in PROTOTYPES["disgust"])


@given(st.dictionaries(st.sampled_from(list(ACTION_UNITS)), st.floats(-3, 3)))
def test_named_activations_land_in_their_place_and_range(units):
    vector = activations(units)
    for name, index in AU_INDEX.items():
        assert vector[index] == min(max(units.get(name, 0.0), 0.0), 1.0)


@pytest.mark.parametrize(
    ("units", "words"),
    [({"AU99": 1.0}, "AU99"), ([0.0] * 3, "shape"), ({"AU12": float("nan")}, "NaN")],
)
def test_wrong_activations_are_refused(units, words):
    with pytest.raises(UsageError, match=words):
        activations(units)


def test_strong_is_stronger_than_normal():
    unit = AU_INDEX["AU12"]
    ratio = mean_apex(PLAIN, "happy", 2)[unit] / mean_apex(PLAIN, "happy", 1)[unit]
    assert ratio == pytest.approx(STRONG_GAIN, rel=0.05)


def test_gain_and_accent_change_only_used_units():
    gain, accent = np.ones(COUNT), np.zeros((8, COUNT))
    gain[AU_INDEX["AU12"]] = 0.5
    accent[:, AU_INDEX["AU09"]] = 0.3
    own = mean_apex(Style((0,) * 8, gain, np.zeros(COUNT), accent), "happy")
    plain = mean_apex(PLAIN, "happy")
    assert own[AU_INDEX["AU12"]] < 0.6 * plain[AU_INDEX["AU12"]]
    assert own[AU_INDEX["AU09"]] == pytest.approx(0.0, abs=0.02)


def test_takes_of_one_expression_vary():
    first, second = (apex(PLAIN, 2, 1, np.random.default_rng(i)) for i in (1, 2))
    assert np.abs(first - second).max() > 0.01


def test_styles_belong_to_people():
    one, again, other = draw_style(3, 1), draw_style(3, 1), draw_style(3, 2)
    assert one.variant == again.variant
    np.testing.assert_array_equal(one.gain, again.gain)
    assert not np.array_equal(one.gain, other.gain)
    assert (one.rest >= 0).all()
