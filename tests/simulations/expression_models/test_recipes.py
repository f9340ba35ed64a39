"""Recipes: the published numbers, and what their parts do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from common.errors import UsageError
from simulations.expression_models.recipes import RECIPES, recipe_named
from tests.simulations.expression_models.toys import toy_recipe


def test_base_and_trivial_as_published() -> None:
    base, trivial = RECIPES["base"], RECIPES["trivial"]
    assert (base.side, base.crop, base.learning_rate) == (388, 384, 1e-5)
    assert (base.optimiser, base.augmentation, base.period) == ("adam", "light", 0)
    assert trivial.augmentation == "trivial"
    assert (trivial.side, trivial.learning_rate) == (base.side, base.learning_rate)


def test_rand_as_published() -> None:
    recipe = RECIPES["rand"]
    optimiser = recipe.make_optimiser(torch.nn.Linear(2, 2))
    (group,) = optimiser.param_groups
    assert type(optimiser) is torch.optim.AdamW
    assert (group["lr"], group["weight_decay"], group["amsgrad"]) == (1e-3, 0.005, True)
    schedule = recipe.make_schedule(optimiser)
    assert (schedule.T_max, schedule.eta_min) == (10, 1e-5)
    assert (recipe.batch, recipe.epochs, recipe.augmentation) == (84, 107, "rand")
    assert RECIPES["dan-trivial"].augmentation == "trivial"
    assert RECIPES["dan-trivial"].learning_rate == recipe.learning_rate


def test_a_cosine_without_period_ends_with_the_epochs() -> None:
    recipe = toy_recipe(period=0, epochs=7)
    assert recipe.make_schedule(recipe.make_optimiser(torch.nn.Linear(2, 2))).T_max == 7


def test_sized_keeps_the_ratio() -> None:
    small = RECIPES["base"].sized(96)
    assert (small.crop, small.side) == (96, 97)


@pytest.mark.parametrize("kind", ["none", "light", "trivial", "rand"])
def test_augmentations_give_normalised_crops(kind: str) -> None:
    image = torch.randint(0, 256, (3, 50, 41), dtype=torch.uint8)
    recipe = toy_recipe(augmentation=kind)
    torch.manual_seed(0)
    made = [recipe.training_transform()(image) for _ in range(6)]
    assert all(each.shape == (3, recipe.crop, recipe.crop) for each in made)
    assert all(each.dtype == torch.float32 and bool(each.isfinite().all()) for each in made)
    assert not all(torch.equal(each, made[0]) for each in made)


def test_plain_images_are_never_augmented() -> None:
    image = torch.randint(0, 256, (3, 50, 41), dtype=torch.uint8)
    transform = toy_recipe(augmentation="rand").plain_transform()
    first = transform(image)
    assert all(torch.equal(transform(image), first) for _ in range(8))


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 1},
        {"epochs": 0},
        {"crop": 8},
        {"crop": 40},
        {"learning_rate": float("nan")},
        {"mix": "cutmix"},
        {"augmentation": "auto"},
        {"weight_decay": -1.0},
    ],
)
def test_what_is_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        toy_recipe(**change)


def test_an_unknown_recipe_is_refused_with_the_known() -> None:
    with pytest.raises(UsageError, match="no recipe 'best'; choose one of: base, trivial, rand"):
        recipe_named("best")
