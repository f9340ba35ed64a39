import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulations.actors.identity import HAIR_STYLES, draw_identity


@given(st.integers(0, 2**40), st.integers(1, 24))
def test_a_person_is_a_function_of_seed_and_actor(seed, actor):
    identity = draw_identity(seed, actor)
    assert identity == draw_identity(seed, actor)
    assert identity.hair_style in HAIR_STYLES
    assert np.min([identity.skin, identity.hair, identity.lips, identity.iris]) >= 0
    assert np.max([identity.skin, identity.hair, identity.lips, identity.iris]) <= 255


def test_people_differ_between_actors_and_seeds():
    people = {draw_identity(seed, actor) for seed in (1, 2) for actor in range(1, 25)}
    assert len(people) == 48


def test_even_actors_have_no_beard_and_some_odd_ones_have():
    beards = [draw_identity(5, actor).beard for actor in range(1, 25)]
    assert not any(beards[1::2])
    assert any(beards[0::2])
