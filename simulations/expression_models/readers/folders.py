"""Any tree with one folder per class, with or without folders `train`, `validation` and `test`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from common.errors import UsageError
from simulations.expression_models.faces import (
    FaceSet,
    FaceSplits,
    face_files,
    image_paths,
    split_off,
)
from simulations.expression_models.readers.names import expression_name

_PARTS: Final = MappingProxyType(
    {
        "train": ("train", "training"),
        "validation": ("validation", "val", "valid"),
        "test": ("test", "testing"),
    }
)
TEST_SHARE: Final = 0.2
"""Of a tree without parts."""


def open_folders(root: Path, *, validation: float, seed: int) -> FaceSplits:
    """A tree of images; the classes are the names of the folders, sorted.

    `root/train/CLASS/...` with `validation` (or `val`, `valid`) and `test` beside it; what is
    missing of validation is drawn from training.  Without `train`, `root/CLASS/...` is drawn into
    three parts, a fifth of each class for the test.

    Args:
        root: of the tree.
        validation: share of each class of the training part.
        seed: of the draws.

    Raises:
        UsageError: there are fewer than two classes, a class is in one part only, or no images.
    """
    folders = _part_folders(root)
    if "train" not in folders:
        classes = _classes(root)
        everything = _faces(root, classes, root.name)
        rest, test, _ = split_off(everything, TEST_SHARE, seed=seed, purpose="test")
        train, held, words = split_off(rest, validation, seed=seed, purpose="validation")
        return FaceSplits(root.name, train, held, test, words)
    classes = _classes(folders["train"])
    parts = {
        part: _faces(folder, classes, f"{root.name} {part}") for part, folder in folders.items()
    }
    if "validation" in parts:
        words = f"the folder {folders['validation'].name}"
        train, held = parts["train"], parts["validation"]
    else:
        train, held, words = split_off(parts["train"], validation, seed=seed, purpose="validation")
    return FaceSplits(root.name, train, held, parts.get("test"), words)


def _part_folders(root: Path) -> dict[str, Path]:
    named = {folder.name.lower(): folder for folder in _subfolders(root)}
    found = {}
    for part, names in _PARTS.items():
        there = [named[name] for name in names if name in named]
        if len(there) > 1:
            raise UsageError(f"{root}: has {there[0].name} and {there[1].name}; keep one of them")
        if there:
            found[part] = there[0]
    return found


def _subfolders(root: Path) -> list[Path]:
    try:
        found = [path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._"]
    except OSError as error:
        raise UsageError(f"{root}: can't be read ({error.strerror})") from error
    return sorted(found)


def _classes(root: Path) -> tuple[str, ...]:
    """Names of the classes; folders without images are none."""
    names = sorted(expression_name(folder.name) for folder in _subfolders(root) if _images(folder))
    if len(names) < 2 or len(set(names)) != len(names):
        raise UsageError(
            f"{root}: expected a folder of images for each of two or more expressions, found "
            f"{', '.join(names) or 'none'}"
        )
    return tuple(names)


def _images(folder: Path) -> list[Path]:
    return image_paths(folder)


def _faces(folder: Path, classes: tuple[str, ...], name: str) -> FaceSet:
    found: list[tuple[Path, int]] = []
    for each in _subfolders(folder):
        expression, images = expression_name(each.name), _images(each)
        if images and expression not in classes:
            raise UsageError(f"{each}: there is no training folder of this name; remove or add one")
        found += [(path, classes.index(expression)) for path in images]
    return face_files(name, classes, found, folder)
