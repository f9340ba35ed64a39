"""Which data set a path holds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from common.errors import UsageError
from simulations.expression_models.faces import FaceSplits
from simulations.expression_models.readers.affectnet import open_affectnet
from simulations.expression_models.readers.fer2013 import open_fer2013
from simulations.expression_models.readers.folders import open_folders
from simulations.expression_models.readers.rafdb import basic_folder, open_rafdb

VALIDATION: Final = 0.1


def open_faces(
    path: Path, *, validation: float = VALIDATION, seed: int = 0, contempt: bool = True
) -> FaceSplits:
    """A data set of still faces, known by what is in it; images are read later, one by one.

    RAF-DB's basic set, AffectNet's `train_set` and `val_set`, FER2013's CSV file (or a folder with
    only that), or a tree with one folder per class.

    Args:
        path: of the data set.
        validation: share of each class of the training part, where the data set has no validation
            part of its own.
        seed: of that draw.
        contempt: whether AffectNet's eighth class is kept.

    Raises:
        UsageError: nothing is there, or it is none of these.
    """
    if path.is_file():
        return open_fer2013(path)
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such file or folder; give the data set's")
    if basic_folder(path) is not None:
        return open_rafdb(path, validation=validation, seed=seed)
    if (path / "train_set" / "annotations").is_dir():
        return open_affectnet(path, validation=validation, seed=seed, contempt=contempt)
    tables = sorted(path.glob("*.csv"))
    if len(tables) == 1 and not any(child.is_dir() for child in path.iterdir()):
        return open_fer2013(tables[0])
    return open_folders(path, validation=validation, seed=seed)
