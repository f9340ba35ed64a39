"""A training in a process of its own, to be killed: `python -m ... FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from simulations.expression_models.fine_tune import TrainedModel, fine_tune
from simulations.expression_models.networks import make_network
from simulations.expression_models.plan import TrainPlan
from tests.simulations.expression_models.toys import CLASSES, toy_faces, toy_recipe


def train(folder: Path) -> TrainedModel:
    """Two epochs of twelve steps, a checkpoint after each step."""
    recipe = toy_recipe(augmentation="rand", mix="mixup", epochs=2, batch=2)
    network = make_network("dan-tiny", len(CLASSES), seed=1)
    plan = TrainPlan(save_every=1)
    return fine_tune(network, toy_faces(8), toy_faces(1, seed=1), recipe, folder, 4, plan=plan)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]))
