"""Tiny faces and recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from simulations.expression_models.faces import FaceSet, ImageArray
from simulations.expression_models.recipes import RECIPES, Recipe

CLASSES = ("anger", "happiness", "neutral")
SIZE = 32


def toy_faces(per_class: int = 4, *, seed: int = 0, name: str = "toy") -> FaceSet:
    """Noise whose colour tells the class."""
    random = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(CLASSES)), per_class)
    pixels = random.integers(0, 90, (len(labels), SIZE, SIZE, 3), dtype=np.uint8)
    pixels[np.arange(len(labels)), ..., labels] += 150
    return FaceSet(name, CLASSES, labels, ImageArray(pixels), synthetic=True)


def toy_recipe(**changes: Any) -> Recipe:
    small = replace(RECIPES["rand"].sized(SIZE), augmentation="none", epochs=2, batch=4)
    return replace(small, **changes)


def write_image(path: Path, level: int = 128, size: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size, 3), level, np.uint8)).save(path)
    return path
