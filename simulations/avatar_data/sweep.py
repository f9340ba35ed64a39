"""Recognition accuracy on avatars by the weights S and C of their generator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.video import Image
from simulations.avatar_data.faces import LabelledFace
from simulations.avatar_data.figures import by_expression, share_of
from simulations.avatar_data.makers import Maker
from simulations.avatar_data.reading import PictureReader
from simulations.experiments.cells import today
from simulations.versions import code_version
from simulations.watching import Watcher

SCHEMA: Final = "mien-avatar-sweep/1"
MOST_PAIRS: Final = 100
PUBLISHED: Final = {
    (0.1, 0.1): 55.126,
    (0.225, 0.1): 56.222,
    (0.3, 0.8): 46.966,
    (0.4, 0.1): 42.667,
}
"""Accuracy in percent by S and C."""
SOURCE: Final = (
    "Mikhailov, St Petersburg State University, 2023: DAN on avatars by DualStyleGAN (Pixar), real "
    "faces; for reference, not measured here"
)


def sweep(
    maker: Maker,
    faces: Sequence[LabelledFace],
    reader: PictureReader,
    structures: Sequence[float],
    colours: Sequence[float],
    *,
    synthetic: bool,
    seed: int,
    watch: Watcher,
) -> dict[str, Any]:
    """Read the faces and, for each S and C, their avatars.

    Args:
        maker: makes the avatars.
        faces: with labels; those whose expression the reader does not know are left out.
        reader: names expressions.
        structures: values of S; empty for a maker without it.
        colours: values of C likewise.
        synthetic: whether faces or avatars are drawn.
        seed: of the intervals.
        watch: told of progress.

    Returns:
        `rows`, one per S and C, each with accuracy, its interval, the same by expression, and the
        published figure where there is one for these weights; `faces_accuracy` on the faces
        themselves; the best row's weights; what was measured.

    Raises:
        UsageError: there is nothing to do, or too much.
    """
    grid = [(s, c) for s in (structures or (None,)) for c in (colours or (None,))]
    if len(grid) > MOST_PAIRS:
        raise UsageError(f"{len(grid)} pairs of S and C are asked for, at most {MOST_PAIRS}")
    used = [face for face in faces if face.label in reader.knows]
    if not used:
        raise UsageError("no face shows an expression that the network knows; give other faces")
    makers = [maker.weighted(s, c) for s, c in grid]
    rows = []
    for number, each in enumerate(makers):
        watch("avatars", number, len(makers))
        rows.append(_row(each, used, reader, seed))
    watch("avatars", len(makers), len(makers))
    best = max(rows, key=lambda row: row["accuracy"]["share"])
    return {
        **_about(maker, reader, synthetic=synthetic, seed=seed),
        "faces": len(used),
        "left_out": len(faces) - len(used),
        "faces_accuracy": _accuracy((face.picture for face in used), used, reader, seed)[0],
        "rows": rows,
        "best": {"structure": best["structure"], "colour": best["colour"]},
        "published": published(),
    }


def _about(maker: Maker, reader: PictureReader, *, synthetic: bool, seed: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "synthetic": synthetic,
        "date": today(),
        "commit": code_version(),
        "seed": seed,
        "generator": maker.name,
        "reader": reader.name,
        "unknown_to_the_reader": [
            name for label, name in enumerate(EXPRESSIONS) if label not in reader.knows
        ],
    }


def published() -> dict[str, Any]:
    """The thesis's figures, marked as what they are."""
    rows = [
        {"structure": s, "colour": c, "accuracy_percent": percent}
        for (s, c), percent in PUBLISHED.items()
    ]
    return {"published": True, "source": SOURCE, "rows": rows}


def _row(
    maker: Maker, faces: Sequence[LabelledFace], reader: PictureReader, seed: int
) -> dict[str, Any]:
    accuracy, each = _accuracy((maker.avatar(face) for face in faces), faces, reader, seed)
    structure, colour = maker.weights
    known = None if structure is None or colour is None else PUBLISHED.get((structure, colour))
    return {
        "structure": structure,
        "colour": colour,
        "accuracy": accuracy,
        "by_expression": each,
        "published_percent": known,
    }


def _accuracy(
    pictures: Iterable[Image], faces: Sequence[LabelledFace], reader: PictureReader, seed: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    labels, people = [face.label for face in faces], [face.person for face in faces]
    right = np.array([reader.label(each) for each in pictures]) == np.array(labels)
    whole = share_of(right, people, seed=seed, purpose="avatar accuracy")
    return whole, by_expression(labels, right, people, seed=seed, purpose="avatar accuracy of")
