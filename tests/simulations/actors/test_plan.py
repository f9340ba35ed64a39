from collections import Counter

import pytest

from common.errors import UsageError
from common.ravdess import parse_clip_name
from simulations.actors.plan import ClipPlan


def test_an_actor_has_the_sixty_takes_of_ravdess_speech():
    names = ClipPlan().clips(5)
    assert len(names) == len({name.take for name in names}) == 60
    assert all(parse_clip_name(str(name)) == name for name in names)
    assert {name.actor for name in names} == {5}
    counts = Counter(name.label for name in names)
    assert counts == {0: 4} | dict.fromkeys(range(1, 8), 8)


def test_neutral_is_never_strong():
    assert all(name.intensity == 1 for name in ClipPlan().clips(1) if name.label == 0)
    assert not [n for n in ClipPlan(intensities=(2,)).clips(1) if n.label == 0]


def test_a_subset_keeps_only_what_was_asked_for():
    names = ClipPlan(statements=(2,), intensities=(1,), repetitions=(1,), modality=2).clips(3)
    assert [str(name) for name in names] == [f"02-01-0{e}-01-02-01-03" for e in range(1, 9)]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"statements": ()}, "statements"),
        ({"intensities": (3,)}, "intensities"),
        ({"repetitions": (1, 1)}, "repetitions"),
        ({"frames": 1}, "frames"),
        ({"fps": 0}, "per second"),
        ({"size": 241}, "241"),
        ({"size": 20}, "20"),
        ({"modality": 3}, "modality"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_impossible_plans_are_refused(settings, word):
    with pytest.raises(UsageError, match=word):
        ClipPlan(**settings)
