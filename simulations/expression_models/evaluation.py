"""What a network says of faces, and how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from common.errors import WorkError
from simulations.expression_models.faces import FaceSet, Labels
from simulations.expression_models.loader import plain_batches
from simulations.expression_models.networks import ExpressionNetwork
from simulations.expression_models.recipes import Recipe
from simulations.statistics import COVERAGE, accuracy, interval_by_user, macro_recall
from simulations.watching import Watcher, unwatched

_Z: Final = 1.959963984540054
"""Of the normal distribution, for intervals of 95 %."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Of all faces that could be read, in their order.

    Attributes:
        indices: (n,) which faces of the set.
        labels: (n,) of the faces.
        logits: (n, classes) float32.
        features: (n, dimension) float32.
        damaged: names of the faces that could not be read.
    """

    indices: Labels
    labels: Labels
    logits: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    damaged: tuple[str, ...]

    @property
    def chosen(self) -> Labels:
        """(n,) the label with the highest logit."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)

    @property
    def loss(self) -> float:
        """Mean cross-entropy, without class weights."""
        scores = self.logits.astype(np.float64)
        top = scores.max(axis=1, keepdims=True)
        total = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
        return float(np.mean(total - scores[np.arange(len(scores)), self.labels]))


def predict(
    network: ExpressionNetwork,
    faces: FaceSet,
    recipe: Recipe,
    *,
    workers: int = 0,
    phase: str = "evaluate",
    watch: Watcher = unwatched,
) -> Predictions:
    """Run a network over faces as its recipe wants them, without augmentation.

    The network is left in evaluation mode, on the device where it was.

    Raises:
        WorkError: no face could be read.
    """
    network.eval()
    device = next(network.parameters()).device
    parts: list[tuple[torch.Tensor, ...]] = []
    damaged: list[str] = []
    total = -(-len(faces) // recipe.batch)
    transform = recipe.plain_transform()
    loaded = plain_batches(faces, recipe.batch, transform, workers=workers)
    for done, batch in enumerate(loaded, start=1):
        damaged += [faces.image_name(index) for index in batch.damaged]
        if batch.images is not None:
            with torch.inference_mode():
                features, logits = network(batch.images.to(device))
            parts.append(
                (batch.indices, batch.labels, logits.cpu().float(), features.cpu().float())
            )
        watch(phase, done, total)
    if not parts:
        raise WorkError(f"{faces.name}: none of its {len(faces)} faces could be read")
    indices, labels, logits, features = (
        torch.cat(column).numpy() for column in zip(*parts, strict=True)
    )
    return Predictions(indices, labels, logits, features, tuple(damaged))


def confusion_counts(predictions: Predictions, classes: int) -> Labels:
    """(classes, classes): row shown, column chosen."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (predictions.labels, predictions.chosen), 1)
    return counts


def figures(predictions: Predictions, faces: FaceSet, *, seed: int) -> dict[str, Any]:
    """Accuracy with its interval, macro recall, and per class, for `results.json`.

    Args:
        predictions: of these faces.
        faces: whose people, where they are known, decide the interval.
        seed: of the interval's resampling.
    """
    counts = confusion_counts(predictions, len(faces.classes))
    labels, chosen = predictions.labels.tolist(), predictions.chosen.tolist()
    return {
        "faces": len(labels),
        "damaged": len(predictions.damaged),
        "accuracy": accuracy(labels, chosen),
        "interval": _interval(predictions, faces, seed),
        "macro_recall": macro_recall(labels, chosen),
        "loss": predictions.loss,
        "per_class": {name: _of_class(counts, label) for label, name in enumerate(faces.classes)},
        "confusion": {"rows": "shown", "columns": "chosen", "counts": counts.tolist()},
    }


def _of_class(counts: Labels, label: int) -> dict[str, Any]:
    shown, chosen = int(counts[label].sum()), int(counts[:, label].sum())
    right = int(counts[label, label])
    return {
        "faces": shown,
        "recall": right / shown if shown else None,
        "precision": right / chosen if chosen else None,
    }


def _interval(predictions: Predictions, faces: FaceSet, seed: int) -> dict[str, Any]:
    right = predictions.labels == predictions.chosen
    if faces.people is None:
        low, high = wilson(int(right.sum()), len(right))
        return {"level": COVERAGE, "low": low, "high": high, "method": "Wilson, over faces"}
    people = np.array([faces.people[index] for index in predictions.indices])
    by_person = [float(right[people == person].mean()) for person in np.unique(people)]
    low, high = interval_by_user(by_person, seed=seed, purpose="expression model")
    method = "percentile bootstrap over people"
    return {"level": COVERAGE, "low": low, "high": high, "method": method}


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), for faces that are independent of each other.

    >>> tuple(round(bound, 4) for bound in wilson(8, 10))
    (0.4902, 0.9433)
    """
    share, z2 = right / count, _Z * _Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return float(middle - half), float(middle + half)
