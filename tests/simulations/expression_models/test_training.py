"""The loop: it learns, goes on where it stopped, and lets validation choose."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import UsageError, WorkError
from simulations.expression_models import training as loop
from simulations.expression_models.evaluation import predict
from simulations.expression_models.faces import FaceSet
from simulations.expression_models.fine_tune import TrainedModel, fine_tune
from simulations.expression_models.networks import make_network
from simulations.expression_models.plan import TrainPlan
from simulations.expression_models.recipes import Recipe
from simulations.expression_models.state import Epoch, State, load_tensors
from simulations.expression_models.training import BEST, CHECKPOINT
from tests.simulations.expression_models.test_loader import broken_faces
from tests.simulations.expression_models.toys import toy_faces, toy_recipe

FACES = toy_faces(4)
OTHERS = toy_faces(2, seed=1, name="others")


class Killed(Exception):
    """Stands for whatever ends a run."""


def train(
    folder: Path,
    network: str = "tiny",
    recipe: Recipe | None = None,
    faces: FaceSet = FACES,
    kill_at: int = 0,
    **plan: Any,
) -> TrainedModel:
    made = make_network(network, len(faces.classes), seed=0)
    count = 0

    def watch(phase: str, done: int, total: int) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            raise Killed

    whole = TrainPlan(save_every=1 if kill_at else 500, **plan)
    return fine_tune(
        made, faces, OTHERS, recipe or toy_recipe(), folder, 0, plan=whole, watch=watch
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / CHECKPOINT)[0]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def test_training_lowers_the_loss_to_near_zero(tmp_path: Path) -> None:
    few = toy_faces(2)
    # One epoch of 15 steps: checkpoints and validation would take longer than the steps.
    often = few.part([index for _ in range(15) for index in range(len(few))], "often")
    recipe = toy_recipe(epochs=2, batch=len(few), learning_rate=3e-3, period=0)
    model = train(tmp_path, recipe=recipe, faces=often)
    assert model.history[0].loss > 0.1
    assert predict(model.network, few, recipe).loss < 0.05


@pytest.mark.parametrize("kill_at", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_a_broken_run_goes_on_to_the_same_weights(tmp_path: Path, kill_at: int) -> None:
    # The third epoch's learning rate tells whether the schedule went on too.
    recipe = toy_recipe(augmentation="light", mix="mixaugment", epochs=3)
    few = FACES.part(range(8), "two batches")
    whole = train(tmp_path / "whole", "dan-tiny", recipe, few)
    with pytest.raises(Killed):
        train(tmp_path / "broken", "dan-tiny", recipe, few, kill_at=kill_at)
    again = train(tmp_path / "broken", "dan-tiny", recipe, few)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    assert again.history == whole.history


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["weights", "sampler"])
def test_workers_do_not_change_the_weights(tmp_path: Path, balance: str) -> None:
    recipe = toy_recipe(augmentation="rand")
    for workers in (0, 2):
        train(tmp_path / str(workers), recipe=recipe, workers=workers, balance=balance)
    assert same(weights(tmp_path / "0"), weights(tmp_path / "2"))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = train(tmp_path, recipe=toy_recipe(epochs=1))
    again = train(tmp_path, recipe=toy_recipe(epochs=1), kill_at=1)
    assert again.history == first.history
    assert not again.network.training
    assert same(again.network.state_dict(), load_tensors(tmp_path / BEST)[0])


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    train(tmp_path, recipe=toy_recipe(epochs=1))
    with pytest.raises(UsageError, match="a run with another recipe"):
        train(tmp_path, recipe=toy_recipe(epochs=1, learning_rate=0.5))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"half a file")
    with pytest.raises(WorkError, match=r"checkpoint.safetensors: can't be read"):
        train(tmp_path)


def test_damaged_faces_are_named_once(tmp_path: Path) -> None:
    model = train(tmp_path, faces=broken_faces())
    assert model.damaged == ("image 1", "image 2")


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"training loss is (nan|inf) .* lower the learning rate"):
        train(tmp_path, recipe=toy_recipe(learning_rate=1e30, epochs=3))


def test_classes_must_be_the_same(tmp_path: Path) -> None:
    other = replace(FACES, classes=("anger", "happiness", "fear"))
    with pytest.raises(UsageError, match="must be the same"):
        train(tmp_path, faces=other)


def epoch(number: int, accuracy: float, loss: float = 1.0) -> Epoch:
    return Epoch(number, 1.0, accuracy, accuracy, loss, 0.1)


def test_the_best_epoch_is_by_validation_accuracy_and_then_loss() -> None:
    state = State(run={}, history=[epoch(1, 0.5)], best_epoch=1)
    assert state.better(epoch(2, 0.6, 9.0))
    assert state.better(epoch(2, 0.5, 0.9))
    assert not state.better(epoch(2, 0.5))
    assert not state.better(epoch(2, 0.4, 0.1))


def test_it_stops_early_and_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.3, 0.6, 0.5, 0.6, 0.4, 0.9])
    monkeypatch.setattr(loop, "accuracy", lambda *_: next(accuracies))
    monkeypatch.setattr(State, "better", lambda self, new: new.epoch in (1, 2))
    few = FACES.part(range(4), "few")
    model = train(tmp_path, recipe=toy_recipe(epochs=9, patience=2), faces=few)
    assert [entry.accuracy for entry in model.history] == [0.3, 0.6, 0.5, 0.6]
    assert model.best_epoch == 2
    assert load_tensors(tmp_path / BEST)[1]["epoch"] == "2"


@pytest.mark.slow
def test_tensorboard_files_are_written_where_asked_for(tmp_path: Path) -> None:
    train(tmp_path, recipe=toy_recipe(epochs=1), tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))
    shutil.rmtree(tmp_path / "tensorboard")
