"""Fleets of unlike devices: how many clips are kept, of what, and the same every time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.training import FEWEST_CLIPS
from common.clips import ClipSet
from simulations.experiments.fleets import like_amounts, skewed, unlike_amounts
from tests.simulations.people import own_clips


def sizes(clips: ClipSet) -> dict[str, int]:
    return dict(Counter(clips.users))


@settings(deadline=None, max_examples=30)
@given(
    each=st.integers(1, 6), concentration=st.sampled_from([1e-3, 0.1, 1e6]), seed=st.integers(0, 99)
)
def test_a_skewed_fleet_holds_half_of_its_clips(each: int, concentration: float, seed: int) -> None:
    clips = own_clips("abc", each=each)
    kept = skewed(clips, concentration, seed=seed)
    whole = 3 * each
    assert sizes(kept) == dict.fromkeys("abc", min(whole, max(FEWEST_CLIPS, whole // 2)))
    assert len(set(kept.names)) == len(kept)
    assert set(kept.names) <= set(clips.names)
    assert kept.names == skewed(clips, concentration, seed=seed).names


def test_a_smaller_concentration_is_a_stronger_skew() -> None:
    clips = own_clips("abcdefgh", each=20, expressions=5)

    def most(concentration: float) -> float:
        kept = skewed(clips, concentration, seed=0)
        shares = [np.bincount(kept.of_user(u).labels).max() for u in kept.user_names()]
        return float(np.mean(shares))

    assert most(0.01) > most(1.0) > most(1e6)


def test_unlike_and_like_amounts_are_as_many_in_all() -> None:
    clips = own_clips("abcdefghijkl", each=20)
    unlike, like = unlike_amounts(clips, seed=1), like_amounts(clips, seed=1)
    assert abs(len(unlike) - len(like)) <= len(clips.user_names())
    assert len(set(sizes(like).values())) == 1
    amounts = sorted(sizes(unlike).values())
    assert FEWEST_CLIPS <= amounts[0] < 12
    assert 30 < amounts[-1] <= 60


@pytest.mark.parametrize("make", [unlike_amounts, like_amounts])
def test_a_user_with_too_few_clips_keeps_them(make: object) -> None:
    clips = own_clips("ab", each=1)
    assert callable(make)
    assert sizes(make(clips, seed=0)) == {"a": 3, "b": 3}
