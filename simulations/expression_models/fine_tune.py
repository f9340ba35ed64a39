"""Training of a network on faces, in one call: what the rest of Mien uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.files import check_writable
from simulations.expression_models.faces import FaceSet
from simulations.expression_models.networks import ExpressionNetwork
from simulations.expression_models.plan import TrainPlan
from simulations.expression_models.recipes import Recipe
from simulations.expression_models.state import Epoch
from simulations.expression_models.training import Training
from simulations.watching import Watcher

DEFAULT_PLAN = TrainPlan()


@dataclass(frozen=True)
class TrainedModel:
    """A network after training.

    Attributes:
        network: with the weights of the best epoch by validation, in evaluation mode, on the CPU.
        recipe: by which it was trained; its size and normalisation are those to use it with.
        history: one entry per epoch.
        best_epoch: whose weights these are, from 1.
        damaged: names of images that could not be used.
    """

    network: ExpressionNetwork
    recipe: Recipe
    history: tuple[Epoch, ...]
    best_epoch: int
    damaged: tuple[str, ...]


def fine_tune(
    network: ExpressionNetwork,
    train: FaceSet,
    validation: FaceSet,
    recipe: Recipe,
    folder: Path,
    seed: int,
    *,
    plan: TrainPlan = DEFAULT_PLAN,
    watch: Watcher | None = None,
) -> TrainedModel:
    """Train all weights of a network in place and leave those of the best epoch by validation.

    A run that was broken off in `folder` goes on where its last checkpoint stands and gives the
    same weights as one that was not; it is refused where network, faces, recipe, plan or seed are
    others than those it began with.

    Args:
        network: as `networks.make_network` or an earlier training left it.
        train: what its weights are trained on.
        validation: of the same classes; chooses the epoch, trains nothing.
        recipe: sizes, augmentation, optimiser, schedule, epochs.
        folder: for the checkpoint and the best weights; made if it is missing.
        seed: of every random choice.
        plan: what does not belong to the recipe; the number of workers changes no result.
        watch: called with a phase, batches done and batches in all.

    Raises:
        UsageError: classes differ, a part is empty, the folder can't be written, or it holds the
            checkpoint of another run.
        WorkError: no face could be read, or the loss is no longer finite.
    """
    check_writable(folder)
    training = Training(network, train, validation, recipe, folder, seed, plan)
    training.run(watch)
    return TrainedModel(
        training.best_network(),
        recipe,
        tuple(training.state.history),
        training.state.best_epoch,
        tuple(training.state.damaged),
    )
