"""A public projection before a simulation's heads: whose clips it is from, and whose it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.simulate import run
from common.backbones.records import MINI_XCEPTION, feature_spec
from common.clips import make_clip_set
from common.errors import UsageError
from common.heads.projection import random_projection, save_projection
from simulations.projecting import chosen_users, descriptors, in_words, projected
from simulations.report.facts import federation_words
from simulations.settings import SimulationSettings
from simulations.sources import Source
from tests.simulations.people import clips_named, ravdess_names
from tests.simulations.tables import FEATURES, write_table

ACTORS = (1, 2, 8, 9)


def source(features: str = "made-up/1") -> Source:
    names = ravdess_names(ACTORS, expressions=4)
    clips = clips_named(names)
    return Source(clips, tuple(names), features, "made up", False, (), {})


def settings(**changes: Any) -> SimulationSettings:
    return SimulationSettings(**changes)


def test_no_projection_leaves_everything_as_it_was() -> None:
    given = source()
    assert projected(settings(), given) is given


@pytest.mark.parametrize(("name", "width"), [("lda:3", 3), ("pca:2", 2)])
def test_public_users_teach_it_and_are_no_devices(name: str, width: int) -> None:
    given = source()
    found = projected(settings(projection=name, public_users="1-2"), given)
    assert found.clips.user_names() == ("actor-08", "actor-09")
    assert found.ravdess is not None
    assert [str(each) for each in found.ravdess] == list(found.clips.names)
    assert {each.actor for each in found.ravdess} == {8, 9}
    assert found.clips.dimension == width
    assert found.projection is not None
    assert found.projection["public_users"] == ["actor-01", "actor-02"]
    assert found.projection["public_clips"] + len(found.clips) == len(given.clips)
    assert found.features.startswith(f"made-up/1|projection-{width}-")
    assert found.projection["sha256"].startswith(found.features[-16:])


def test_clients_clips_do_not_change_it() -> None:
    one = source()
    clips = one.clips
    moved = clips.frames.copy()
    rows = np.repeat([user in ("actor-08", "actor-09") for user in clips.users], clips.lengths)
    moved[rows] *= 7
    names = [clips.clip(i) for i in range(len(clips))]
    assert len(names) == len(clips)
    other = Source(
        type(clips)(clips.names, clips.users, clips.labels, moved, clips.lengths),
        one.ravdess, one.features, one.description, False, (), {},
    )  # fmt: skip
    asked = settings(projection="lda:3", public_users="1,2")
    assert projected(asked, one).features == projected(asked, other).features
    asked = settings(projection="lda:3", public_users="8,9")
    assert projected(asked, one).features != projected(asked, other).features


def test_a_clips_descriptor_is_its_frames_mean() -> None:
    frames = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])]
    clips = make_clip_set(["a", "b"], ["u", "u"], [0, 1], frames)
    assert descriptors(clips).tolist() == [[2, 3], [5, 6]]


def test_a_seed_or_a_file_needs_no_public_users(tmp_path: Path) -> None:
    given = source()
    found = projected(settings(projection="random:2", seed=5), given)
    made = random_projection(given.features, given.clips.dimension, 2, 5)
    assert found.features == made.projected_features
    save_projection(tmp_path / "made", made)
    again = projected(settings(projection=str(tmp_path / "made")), given)
    np.testing.assert_array_equal(again.clips.frames, found.clips.frames)
    assert again.clips.user_names() == given.clips.user_names()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"projection": "pca:2"}, "name both or neither"),
        ({"projection": "random:2", "public_users": "1"}, "name both or neither"),
        ({"public_users": "1"}, "name both or neither"),
        ({"projection": "pca:2", "public_users": "1,30"}, "names '30', and no user is called so"),
        ({"projection": "pca:2", "public_users": "1-8"}, "3 of 4 users; at least 2 others"),
        ({"projection": "pca:2", "public_users": "1", "identify": True}, "identify"),
        ({"projection": "pca:33", "public_users": "1"}, "expected 1 to"),
        ({"projection": "lda:4", "public_users": "1-2"}, "more than 4 expressions"),
        ({"projection": "somewhere"}, "expected none, logits, random:W"),
        ({"projection": "logits"}, "of no backbone with a linear classifier"),
    ],
)
def test_what_can_not_be_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        projected(settings(**changes), source())


def test_a_file_for_other_features_is_refused(tmp_path: Path) -> None:
    given = source()
    made = random_projection("other/1", given.clips.dimension, 2, 0)
    save_projection(tmp_path / "made", made)
    with pytest.raises(UsageError, match="projects features 'other/1', and these are 'made-up/1'"):
        projected(settings(projection=str(tmp_path / "made")), given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-2", "ab"), ("8", "c"), ("actor-08, 1", "ac"), ("Ada", "d"), ("1-9,Ada", "abcd")],
)
def test_users_are_named_by_number_range_or_name(text: str, expected: str) -> None:
    users = {"a": "actor-01", "b": "actor-02", "c": "actor-08", "d": "Ada"}
    found = chosen_users(text, tuple(users.values()))
    assert found == {users[letter] for letter in expected}


def test_mini_xceptions_own_classifier_is_a_projection() -> None:
    chooser = np.random.default_rng(0)
    frames = [chooser.normal(size=(2, MINI_XCEPTION.dimension)) for _ in range(4)]
    clips = make_clip_set(list("abcd"), ["u", "u", "v", "v"], [0, 1, 0, 1], frames)
    spec = feature_spec(MINI_XCEPTION)
    found = projected(settings(projection="logits"), Source(clips, None, spec, "", False, (), {}))
    assert found.clips.dimension == len(MINI_XCEPTION.labels) == 7
    assert found.features.startswith(f"{spec}|projection-7-")


def test_a_simulation_behind_a_projection_says_so(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv")
    asked = settings(
        features=str(table), projection="lda:2", public_users="Ada,Ben",
        rounds=1, user_folds=2, l2=0.01, draws=1, local_epochs=1,
    )  # fmt: skip
    found = run(asked, engine="cohort", workers=1)
    told = found["federation"]
    assert (told["accepted_leak"], told["projection"]["from"]) == (False, FEATURES)
    assert found["clients"] == 4
    assert found["features"].endswith(told["projection"]["sha256"][:16])
    assert "32 clips of 2 public users (Ada, Ben), who are no devices" in " ".join(
        federation_words(found)
    )
    assert "--projection lda:2 --public-users Ada,Ben" in found["command"]


def test_nothing_is_said_of_no_projection() -> None:
    assert in_words(None) == ""
