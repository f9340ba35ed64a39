"""Who trains, validates and tests; and that worlds do not depend on how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.avatars.difficulty import FROZEN
from simulations.avatars.manners import person, rig
from simulations.avatars.people import FOLDS, Amounts, draw_world, fold_of
from simulations.avatars.pictures import AVATAR, FACE, Shot, take


@pytest.mark.parametrize("actors", [6, 9, 24])
def test_nobody_does_two_things_and_everybody_is_tested_once(actors: int) -> None:
    tested: list[int] = []
    for number in range(FOLDS):
        fold = fold_of(actors, number)
        everybody = (*fold.training, *fold.validation, *fold.test)
        assert sorted(everybody) == list(range(1, actors + 1))
        tested += fold.test
    assert sorted(tested) == list(range(1, actors + 1))


def test_an_album_holds_own_pictures_pairs_and_strangers() -> None:
    amounts = Amounts(faces=1, avatars=2, pairs=1, strangers=1, each=1, actors=1)
    world = draw_world(0, amounts)
    for domain, own in ((FACE, 1), (AVATAR, 2)):
        album = world.albums[domain]
        assert album.paired(1).sum() == 8
        assert (album.of([1]) & album.own).sum() == 8 * own
        assert (album.manners == 1).sum() == 8


def test_a_picture_is_a_function_of_its_shot() -> None:
    shot = Shot(0, 4, FACE, 2, "pairs", 1)
    assert np.array_equal(take(shot), take(shot))
    assert not np.array_equal(take(shot), take(Shot(0, 4, FACE, 2, "own", 1)))


@pytest.mark.parametrize("make", [person, rig])
def test_people_differ_and_neutral_is_the_face_at_rest(make: type) -> None:
    one, other = make(0, 1, FROZEN), make(0, 2, FROZEN)
    assert not np.allclose(one.apex, other.apex)
    assert not one.apex[0].any()
