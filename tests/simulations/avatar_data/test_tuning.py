"""Fine-tuning on avatars: nobody is in two parts; heads and networks learn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.avatar.detectors.file import load_detector
from client.avatar.own import load_avatar_head
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from simulations.avatar_data import detecting, tuning
from simulations.avatar_data.dataset import made_dataset
from simulations.avatar_data.detecting import Plan, train_detector
from simulations.avatar_data.tuning import (
    NetworkPlan,
    avatar_splits,
    changed_recipe,
    split_pairs,
    tune_head,
    tune_network,
)
from simulations.avatars.pairs import PairFolder
from tests.client.avatar.fakes import SPEC, checker
from tests.simulations.avatar_data.fakes import Copies, flat_faces, nobody

PEOPLE = ("ada", "bo", "cy", "di")


@pytest.fixture
def pairs(tmp_path: Path) -> PairFolder:
    return made_dataset(
        tmp_path / "pairs",
        Copies(),
        flat_faces(PEOPLE),
        wrong=0.0,
        synthetic=True,
        seed=0,
        watch=nobody,
    )


def test_nobody_is_in_two_parts(pairs: PairFolder) -> None:
    parts = split_pairs(pairs.pairs, seed=0)
    people = [
        {pair.person for pair in part} for part in (parts.train, parts.validation, parts.test)
    ]
    assert [len(each) for each in people] == [2, 1, 1]
    assert set[str]().union(*people) == set(PEOPLE)
    with pytest.raises(UsageError, match="share nobody"):
        split_pairs(parts.train, seed=0)


def test_a_head_learns_what_the_backbone_confuses(
    pairs: PairFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "load_checker", lambda _: checker(confused=EXPRESSIONS[4:]))
    out = tmp_path / "head.safetensors"
    told = tune_head(pairs, out, backbone="coloured", seed=0, watch=nobody)
    assert (told["before"]["share"], told["after"]["share"]) == (0.5, 1.0)
    assert told["published"]["accuracy_percent"] == 78.4
    assert load_avatar_head(out).spec == SPEC


def test_a_detector_is_trained_on_what_the_device_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backbone takes half of the expressions for neutral, but its features tell them apart."""
    faces = flat_faces(tuple("abcdefgh"))
    folder, out = tmp_path / "pairs", tmp_path / "detector.safetensors"
    pairs = made_dataset(folder, Copies(), faces, wrong=0.5, synthetic=True, seed=0, watch=nobody)
    confused = checker(confused=EXPRESSIONS[4:])
    monkeypatch.setattr(detecting, "load_checker", lambda *_, **__: confused)
    told = train_detector(pairs, out, Plan(kind="siamese", backbone="coloured"), nobody)
    assert told["synthetic"] is True
    assert told["accuracy"]["count"] == 16
    assert told["labels_accuracy"]["share"] < 1.0
    assert told["auc"] > 0.6
    assert load_detector(out).made_for == confused.made_for
    with pytest.raises(UsageError, match="siamese, concat"):
        Plan(kind="personal", backbone="coloured")


@pytest.mark.parametrize("content", [b"", b"no tensors at all", bytes(100)])
def test_what_is_no_head_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(content)
    with pytest.raises(WorkError, match=r"no readable head|not whole"):
        load_avatar_head(path)


def test_avatars_are_cut_out_for_training(
    pairs: PairFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.client.avatar.fakes import Finder

    monkeypatch.setattr(tuning, "FastMtcnn", lambda: Finder(faces=False))
    found = avatar_splits(pairs, tmp_path / "run", side=24, seed=0, watch=nobody)
    assert (len(found.train), len(found.validation)) == (16, 8)
    assert found.train.image(0).shape == (24, 24, 3)
    assert found.train.synthetic
    counts = found.train.counts().tolist()
    assert counts == [2] * 8


@pytest.mark.slow
def test_a_network_is_fine_tuned_end_to_end(pairs: PairFolder, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    recipe = changed_recipe("base", 32, 3, 1e-3)
    plan = NetworkPlan(network="tiny", weights=None, recipe=recipe)
    told = tune_network(pairs, out, plan, nobody)
    assert told["synthetic"] is True
    assert told["published"]["accuracy_percent"] == 78.4
    assert len(told["history"]) == 3
    assert set(told["test"]) >= {"accuracy"}
    assert json.loads((out / "backbone.json").read_text())["sha256"]


def test_a_recipe_is_changed_where_it_is_asked_for() -> None:
    recipe = changed_recipe("base", 96, 0, 1e-3)
    assert (recipe.crop, recipe.side, recipe.learning_rate, recipe.epochs) == (96, 97, 1e-3, 50)
