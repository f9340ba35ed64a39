"""The training loop: resumable at every checkpoint, the same for any number of workers."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from common.errors import UsageError, WorkError
from simulations.expression_models.evaluation import Predictions, predict
from simulations.expression_models.faces import FaceSet
from simulations.expression_models.loader import Batch, epoch_batches, training_batches
from simulations.expression_models.losses import StepLoss, balanced_weights
from simulations.expression_models.networks import ExpressionNetwork, torch_seed
from simulations.expression_models.plan import TrainPlan
from simulations.expression_models.recipes import Recipe
from simulations.expression_models.state import (
    Epoch,
    State,
    load_state,
    load_tensors,
    save_state,
    save_tensors,
)
from simulations.expression_models.tensorboard import Board, open_board
from simulations.statistics import accuracy, macro_recall
from simulations.watching import Watcher, unwatched

CHECKPOINT: Final = "checkpoint.safetensors"
BEST: Final = "best.safetensors"


class Training:
    """One training of one network in one folder.

    Attributes:
        state: where it stands.
    """

    def __init__(
        self,
        network: ExpressionNetwork,
        train: FaceSet,
        validation: FaceSet,
        recipe: Recipe,
        folder: Path,
        seed: int,
        plan: TrainPlan,
    ) -> None:
        """Go on from the folder's checkpoint if there is one and the plan says so.

        Raises:
            UsageError: the parts do not fit, or the checkpoint is another run's.
            WorkError: the checkpoint is damaged.
        """
        _check(network, train, validation)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(self._device)
        self._train, self._validation = train, validation
        self._recipe, self._folder, self._seed, self._plan = recipe, folder, seed, plan
        self._loss = self._step_loss()
        self._optimiser = recipe.make_optimiser(network)
        self._schedule = recipe.make_schedule(self._optimiser)
        self._scaler = torch.amp.GradScaler(self._device, enabled=self._device == "cuda")
        self.state = State(run=self._run())
        if plan.resume and self.checkpoint.exists():
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """The file that a broken run goes on from."""
        return self._folder / CHECKPOINT

    def run(self, watch: Watcher | None = None) -> None:
        """Train until the recipe's epochs are done or validation no longer gets better.

        Raises:
            WorkError: no face could be read, the loss is not finite, or a file can't be written.
        """
        with open_board(self._folder, self._plan.tensorboard, self.state.epoch) as board:
            while not self.state.finished:
                self._train_epoch(watch or unwatched)
                self._end_epoch(board)

    def best_network(self) -> ExpressionNetwork:
        """The network with the weights of the best epoch, in evaluation mode, on the CPU."""
        weights, _ = load_tensors(self._folder / BEST)
        self._network.load_state_dict(weights)
        return self._network.to("cpu").eval()

    def _train_epoch(self, watch: Watcher) -> None:
        state = self.state
        batches = epoch_batches(
            self._train,
            self._recipe.batch,
            seed=self._seed,
            epoch=state.epoch,
            balanced=self._plan.balance == "sampler",
        )
        loaded = training_batches(
            self._train,
            batches[state.position :],
            self._recipe.training_transform(),
            seed=self._seed,
            epoch=state.epoch,
            workers=self._plan.workers,
        )
        self._network.train()
        for batch in loaded:
            self._take(batch)
            state.position += 1
            watch(f"epoch {state.epoch + 1}", state.position, len(batches))
            if state.position % self._plan.save_every == 0:
                self._save()

    def _take(self, batch: Batch) -> None:
        """One step; a batch of fewer than two readable faces has no statistics and is skipped."""
        if batch.damaged:
            self.state.note_damaged(self._train.image_name(index) for index in batch.damaged)
        if batch.images is None or len(batch.images) < 2:
            return
        state = self.state
        # What the step draws (dropout, mixing) depends on its place, not on what came before.
        place = {"round": state.epoch, "user": state.position}
        torch.manual_seed(torch_seed(self._seed, "step", **place))
        loss = self._step(batch.images.to(self._device), batch.labels.to(self._device))
        if not math.isfinite(loss):
            raise WorkError(
                f"the training loss is {loss} in epoch {state.epoch + 1}; lower the learning rate "
                f"({self._recipe.learning_rate:g})"
            )
        state.loss += loss * len(batch.images)
        state.seen += len(batch.images)

    def _step(self, images: Tensor, labels: Tensor) -> float:
        with torch.autocast(self._device, torch.float16, enabled=self._device == "cuda"):
            loss = self._loss(self._network, images, labels)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return float(loss.detach())

    def _end_epoch(self, board: Board) -> None:
        state = self.state
        if not state.seen:
            raise WorkError(f"{self._train.name}: none of its faces could be used")
        seen = self._validate()
        entry = self._entry(seen)
        if state.better(entry):
            header = {"epoch": str(entry.epoch), "network": self._network.kind.id}
            save_tensors(self._folder / BEST, self._network.state_dict(), header)
            state.best_epoch = entry.epoch
        state.history.append(entry)
        board.write(entry)
        self._schedule.step()
        state.epoch, state.position, state.loss, state.seen = entry.epoch, 0, 0.0, 0
        state.finished = state.epoch >= self._recipe.epochs or self._patience_is_over()
        self._save()

    def _validate(self) -> Predictions:
        seen = predict(self._network, self._validation, self._recipe, workers=self._plan.workers)
        self.state.note_damaged(seen.damaged)
        return seen

    def _entry(self, seen: Predictions) -> Epoch:
        labels, chosen = seen.labels.tolist(), seen.chosen.tolist()
        return Epoch(
            epoch=self.state.epoch + 1,
            loss=self.state.loss / self.state.seen,
            accuracy=accuracy(labels, chosen),
            macro_recall=macro_recall(labels, chosen),
            validation_loss=seen.loss,
            learning_rate=float(self._optimiser.param_groups[0]["lr"]),
        )

    def _patience_is_over(self) -> bool:
        waited = self.state.epoch - self.state.best_epoch
        return 0 < self._recipe.patience <= waited

    def _step_loss(self) -> StepLoss:
        weights = None
        if self._plan.balance == "weights":
            weights = balanced_weights(self._train.counts()).to(self._device)
        recipe = self._recipe
        return StepLoss(len(self._train.classes), weights, recipe.mix, recipe.mix_alpha)

    def _run(self) -> dict[str, Any]:
        """All that decides the weights."""
        return {
            "network": self._network.kind.id,
            "recipe": asdict(self._recipe),
            "train": self._train.digest(),
            "validation": self._validation.digest(),
            "balance": self._plan.balance,
            "seed": self._seed,
        }

    def _save(self) -> None:
        others = {"schedule": self._schedule.state_dict(), "scaler": self._scaler.state_dict()}
        save_state(self.checkpoint, self.state, self._network, self._optimiser, others)

    def _resume(self) -> None:
        run = self.state.run
        self.state, others = load_state(self.checkpoint, run, self._network, self._optimiser)
        self._schedule.load_state_dict(copy.deepcopy(others["schedule"]))
        self._scaler.load_state_dict(others["scaler"])


def _check(network: ExpressionNetwork, train: FaceSet, validation: FaceSet) -> None:
    if train.classes != validation.classes or network.classes != len(train.classes):
        raise UsageError(
            f"{train.name} has {len(train.classes)} classes, {validation.name} "
            f"{len(validation.classes)} and the network {network.classes}; they must be the same"
        )
    for part in (train, validation):
        if len(part) < 2:
            raise UsageError(f"{part.name}: has {len(part)} faces, expected at least 2")
