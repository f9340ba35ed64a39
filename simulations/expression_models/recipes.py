"""Recipes as published: sizes, augmentation, optimiser and schedule, each with a name.

`base` and `trivial` are those of Mikhailov (2023) for networks with a linear head, `rand` and
`dan-trivial` those of the same work for DAN.  What that work does not state is ours: batch and
epochs of `base` and `trivial`, the ranges of brightness and contrast, the sizes of `rand` (224 as
in DAN's paper), all flips, the magnitude of RandAugment (torchvision's), the probability of
erasing, and everything of MixUp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchvision.transforms import v2  # type: ignore[import-untyped]

from common.errors import UsageError

AUGMENTATIONS: Final = ("none", "light", "trivial", "rand")
MIXES: Final = ("none", "mixup", "mixaugment")
IMAGENET_MEAN: Final = (123.675, 116.28, 103.53)
IMAGENET_STD: Final = (58.395, 57.12, 57.375)
SMALLEST_SIZE: Final = 16
_JITTER: Final = 0.2
_ERASED: Final = 0.25

Transform = Callable[[Tensor], Tensor]
"""From an image (3, height, width) uint8 to what the network sees, (3, crop, crop) float32."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        name: of the recipe.
        side: pixels of the smallest side after resizing.
        crop: side of the square that is cut out, at random in training, else from the middle.
        augmentation: "none", "light" (brightness and contrast), "trivial" (TrivialAugment) or
            "rand" (RandAugment of two operations, then random erasing).
        optimiser: "adam" or "adamw".
        amsgrad, weight_decay, learning_rate: of the optimiser.
        period: epochs of half a cosine, from the learning rate to `smallest_rate`; 0 for all
            epochs. Where there are more epochs the rate rises again, as published.
        smallest_rate: the cosine's lowest learning rate.
        batch: faces per step, at least 2.
        epochs: at most.
        patience: epochs without a better validation accuracy until training stops; 0 for never.
        mix: "none", "mixup" (Zhang et al. 2018) or "mixaugment" (Psaroudakis and Kollias 2022).
        mix_alpha: of the beta distribution from which the mixing share is drawn.
        mean, std: per channel in levels 0..255.

    Raises:
        UsageError: a field is out of range.
    """

    name: str
    side: int
    crop: int
    augmentation: str
    optimiser: str = "adam"
    amsgrad: bool = False
    weight_decay: float = 0.0
    learning_rate: float
    period: int = 0
    smallest_rate: float = 0.0
    batch: int = 32
    epochs: int = 50
    patience: int = 15
    mix: str = "none"
    mix_alpha: float = 0.2
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for field, value, known in (
            ("augmentation", self.augmentation, AUGMENTATIONS),
            ("optimiser", self.optimiser, tuple(_OPTIMISERS)),
            ("mix", self.mix, MIXES),
        ):
            if value not in known:
                raise UsageError(f"{field} is {value!r}; choose one of: {', '.join(known)}")
        if not SMALLEST_SIZE <= self.crop <= self.side <= 2048:
            raise UsageError(
                f"crop is {self.crop} and side {self.side}; give {SMALLEST_SIZE} to 2048, the side "
                "at least the crop"
            )
        _check_at_least("batch", self.batch, 2)
        _check_at_least("epochs", self.epochs, 1)
        for name in ("patience", "period"):
            _check_at_least(name, getattr(self, name), 0)
        _check_at_least("weight_decay", self.weight_decay, 0)
        _check_at_least("smallest_rate", self.smallest_rate, 0)
        for name in ("learning_rate", "mix_alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; give a number above 0")

    def sized(self, crop: int) -> Recipe:
        """The same recipe for smaller or larger images; the side keeps its ratio to the crop."""
        return replace(self, crop=crop, side=max(crop, round(crop * self.side / self.crop)))

    def training_transform(self) -> Transform:
        """With augmentation; its random choices are drawn from torch's default generator."""
        cut = [v2.Resize(self.side, antialias=True), v2.RandomCrop(self.crop)]
        erased = [v2.RandomErasing(p=_ERASED)] if self.augmentation == "rand" else []
        changed = _augmentations(self.augmentation)
        return _composed([*cut, *changed, *self._normalised(), *erased])

    def plain_transform(self) -> Transform:
        """Without any random choice."""
        cut = [v2.Resize(self.side, antialias=True), v2.CenterCrop(self.crop)]
        return _composed([*cut, *self._normalised()])

    def _normalised(self) -> list[nn.Module]:
        return [v2.ToDtype(torch.float32), v2.Normalize(list(self.mean), list(self.std))]

    def make_optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Over all weights that are trained."""
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        make: Callable[..., torch.optim.Optimizer] = _OPTIMISERS[self.optimiser]
        return make(
            trained, lr=self.learning_rate, weight_decay=self.weight_decay, amsgrad=self.amsgrad
        )

    def make_schedule(self, optimiser: torch.optim.Optimizer) -> CosineAnnealingLR:
        """One step per epoch (Loshchilov and Hutter 2017, without restarts)."""
        return CosineAnnealingLR(optimiser, self.period or self.epochs, self.smallest_rate)


_OPTIMISERS: Final[dict[str, Any]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def _composed(steps: list[nn.Module]) -> Transform:
    composed: Transform = v2.Compose(steps)
    return composed


def _augmentations(kind: str) -> list[nn.Module]:
    if kind == "none":
        return []
    if kind == "light":
        return [v2.RandomApply([v2.ColorJitter(brightness=_JITTER, contrast=_JITTER)], p=0.5)]
    flip = v2.RandomHorizontalFlip()
    return [flip, v2.TrivialAugmentWide() if kind == "trivial" else v2.RandAugment(num_ops=2)]


def _check_at_least(field: str, value: float, least: int) -> None:
    if not least <= value < math.inf:
        raise UsageError(f"{field} is {value}; give a number of at least {least}")


_BASE: Final = Recipe(name="base", side=388, crop=384, augmentation="light", learning_rate=1e-5)

_RAND: Final = Recipe(
    name="rand",
    side=224,
    crop=224,
    augmentation="rand",
    optimiser="adamw",
    amsgrad=True,
    weight_decay=0.005,
    learning_rate=1e-3,
    period=10,
    smallest_rate=1e-5,
    batch=84,
    epochs=107,
    patience=0,
)

RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        _BASE,
        replace(_BASE, name="trivial", augmentation="trivial"),
        _RAND,
        replace(_RAND, name="dan-trivial", augmentation="trivial"),
    )
}


def recipe_named(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}; choose one of: {', '.join(RECIPES)}")
    return RECIPES[name]
