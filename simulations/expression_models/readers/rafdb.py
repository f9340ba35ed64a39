"""RAF-DB's basic set as it is downloaded: aligned faces of 100 x 100 pixels and one list of labels.

Li, Deng and Du, CVPR 2017.  Labels 1 to 7; names say which part a face belongs to.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from common.errors import UsageError
from simulations.expression_models.faces import FaceSet, FaceSplits, face_files, split_off

CLASSES: Final = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""Label 1 is the first."""

LIST: Final = "EmoLabel/list_patition_label.txt"
IMAGES: Final = "Image/aligned"
_LINE: Final = re.compile(r"((train|test)_\d+)\.jpg ([1-7])")


def basic_folder(root: Path) -> Path | None:
    """The folder of the basic set, `root` itself or `basic` in it; None where it is not there."""
    return next((each for each in (root, root / "basic") if (each / LIST).is_file()), None)


def open_rafdb(root: Path, *, validation: float, seed: int) -> FaceSplits:
    """RAF-DB; its validation part is drawn from its training part, since it has none of its own.

    Args:
        root: folder that holds `basic`, or `basic` itself.
        validation: share of each class of the training part.
        seed: of that draw.

    Raises:
        UsageError: the list of labels is missing or damaged, or no face is listed.
    """
    folder = basic_folder(root)
    if folder is None:
        raise UsageError(f"{root}: has no basic/{LIST}; give the folder that holds RAF-DB's basic")
    parts: dict[str, list[tuple[Path, int]]] = {"train": [], "test": []}
    for number, line in enumerate(_lines(folder / LIST), start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UsageError(
                f"{folder / LIST}: line {number} is {line[:60]!r}, expected for example "
                "'train_00001.jpg 5'"
            )
        stem, part, label = match.groups()
        parts[part].append((folder / IMAGES / f"{stem}_aligned.jpg", int(label) - 1))
    faces: dict[str, FaceSet] = {
        part: face_files(f"RAF-DB {part}", CLASSES, found, folder) for part, found in parts.items()
    }
    train, held, words = split_off(faces["train"], validation, seed=seed, purpose="validation")
    return FaceSplits("RAF-DB", train, held, faces["test"], words)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read as text") from error
