"""AffectNet as it is distributed: `train_set` and `val_set` with `images` and `annotations`.

Mollahosseini, Hasani and Mahoor, IEEE Transactions on Affective Computing 10(1), 2019.  The label
of `images/N.jpg` is in `annotations/N_exp.npy`.  There is no public test part: by custom one
tests on `val_set`, so that is the test part here, and validation is drawn from training.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np

from common.errors import UsageError
from simulations.expression_models.faces import (
    FaceSet,
    FaceSplits,
    face_files,
    image_paths,
    split_off,
)

CLASSES: Final = (
    *("neutral", "happiness", "sadness", "surprise"),
    *("fear", "disgust", "anger", "contempt"),
)
"""Label 0 is the first; contempt is the last, so that seven classes are the first seven."""

_OTHERS: Final = frozenset({"8", "9", "10"})
"""None, uncertain, no face: in the full release."""


def open_affectnet(
    root: Path, *, validation: float, seed: int, contempt: bool = True
) -> FaceSplits:
    """AffectNet with eight classes, or seven without contempt.

    Args:
        root: folder that holds `train_set` and `val_set`.
        validation: share of each class of the training part.
        seed: of that draw.
        contempt: whether faces that show it are kept.

    Raises:
        UsageError: a folder is missing, an annotation is no label, or no face was found.
    """
    left_out: Counter[str] = Counter()
    classes = CLASSES if contempt else CLASSES[:-1]
    whole = _part(root / "train_set", "AffectNet train", classes, left_out)
    test = _part(root / "val_set", "AffectNet val_set", classes, left_out)
    train, held, words = split_off(whole, validation, seed=seed, purpose="validation")
    return FaceSplits("AffectNet", train, held, test, words, dict(left_out))


def _part(folder: Path, name: str, classes: tuple[str, ...], left_out: Counter[str]) -> FaceSet:
    found: list[tuple[Path, int]] = []
    for path in image_paths(folder / "images"):
        label = _label(folder / "annotations" / f"{path.stem}_exp.npy")
        if label is None:
            left_out["without annotation"] += 1
        elif label in _OTHERS:
            left_out["of no expression"] += 1
        elif int(label) >= len(classes):
            left_out["contempt"] += 1
        else:
            found.append((path, int(label)))
    return face_files(name, classes, found, folder)


def _label(path: Path) -> str | None:
    """The label as text; None where the file is missing."""
    if not path.is_file():
        return None
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{path}: is no NumPy file without pickled objects") from error
    label = str(values.reshape(-1)[0]).strip() if values.size == 1 else ""
    if not (label.isdecimal() and 0 <= int(label) <= 10):
        raise UsageError(f"{path}: holds {str(values)[:40]!r}, expected one label 0 to 10")
    return label
