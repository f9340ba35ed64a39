"""Batches of faces: which, in what order, and how each is augmented.

All of it is a function of (seed, epoch, face), so that neither the number of processes nor an
interruption changes a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.randomness import generator
from simulations.expression_models.faces import DamagedImage, FaceSet, Labels
from simulations.expression_models.networks import torch_seed
from simulations.expression_models.recipes import Transform

_Sample = tuple[Tensor | None, int]


class Batch(NamedTuple):
    """Faces that could be read.

    Attributes:
        images: (n, 3, size, size) float32; None where no face of the batch could be read.
        labels: (n,) int64.
        indices: (n,) int64, which faces of the set.
        damaged: which faces could not be read.
    """

    images: Tensor | None
    labels: Tensor
    indices: Tensor
    damaged: tuple[int, ...]


@dataclass(frozen=True)
class _Samples(Dataset[_Sample]):
    """One face at a time; without a seed nothing is random."""

    faces: FaceSet
    transform: Transform
    seed: int | None
    epoch: int

    def __getitem__(self, index: int) -> _Sample:
        try:
            image = torch.from_numpy(self.faces.image(index).copy()).permute(2, 0, 1)
        except DamagedImage:
            return None, index
        if self.seed is None:
            return self.transform(image), index
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(self.seed, "augment", round=self.epoch, user=index))
            return self.transform(image), index


def epoch_batches(
    faces: FaceSet, batch: int, *, seed: int, epoch: int, balanced: bool = False
) -> list[list[int]]:
    """The faces of each batch of an epoch; a last batch of one face joins the one before it.

    Args:
        faces: at least one.
        batch: faces per batch, at least 1.
        seed, epoch: of the order.
        balanced: as many draws as there are faces, with replacement, each class as likely as any
            other; else every face once.
    """
    chooser = generator(seed, "order", round=epoch)
    if balanced:
        chances = 1.0 / faces.counts()[faces.labels]
        order = chooser.choice(len(faces), size=len(faces), p=chances / chances.sum())
    else:
        order = chooser.permutation(len(faces))
    return _cut(order.tolist(), batch)


def _cut(order: list[int], batch: int) -> list[list[int]]:
    parts = [order[start : start + batch] for start in range(0, len(order), batch)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [parts[-2] + parts[-1]]
    return parts


def training_batches(
    faces: FaceSet,
    batches: Sequence[Sequence[int]],
    transform: Transform,
    *,
    seed: int,
    epoch: int,
    workers: int = 0,
) -> Iterator[Batch]:
    """The batches, read and augmented."""
    return _loaded(_Samples(faces, transform, seed, epoch), batches, workers)


def plain_batches(
    faces: FaceSet, batch: int, transform: Transform, *, workers: int = 0
) -> Iterator[Batch]:
    """All faces in their order, not augmented."""
    order = np.arange(len(faces)).tolist()
    parts = [order[start : start + batch] for start in range(0, len(order), batch)]
    return _loaded(_Samples(faces, transform, None, 0), parts, workers)


def _loaded(samples: _Samples, batches: Sequence[Sequence[int]], workers: int) -> Iterator[Batch]:
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=_Together(samples.faces.labels),
        pin_memory=torch.cuda.is_available(),
        # Else it would draw from torch's default generator, which belongs to the training.
        generator=torch.Generator(),
    )
    return iter(loader)


@dataclass(frozen=True, eq=False)
class _Together:
    """Samples as a batch; sent to other processes, which a lambda could not be."""

    labels: Labels

    def __call__(self, samples: list[_Sample]) -> Batch:
        read = [(image, index) for image, index in samples if image is not None]
        indices = [index for _, index in read]
        return Batch(
            torch.stack([image for image, _ in read]) if read else None,
            torch.from_numpy(self.labels[indices]),
            torch.tensor(indices, dtype=torch.int64),
            tuple(index for image, index in samples if image is None),
        )
