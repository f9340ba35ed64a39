"""How good a generator of avatars is: the share of avatars whose expression survives.

Two figures.  `labelled` goes by the labels: of hand-labelled pairs it is the generator's quality
(in the thesis 665 of 1282 avatars kept the expression); avatars that were made wrong on purpose
count as what they are, so make pairs with `--wrong 0` for it.  `read` goes by a network: the share
of avatars in which it reads the expression that they were made to show, wrong ones included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from client.avatar.pictures import picture_in
from common.expressions import EXPRESSIONS, expression_index
from simulations.avatar_data.faces import LabelledFace
from simulations.avatar_data.figures import by_expression, share_of
from simulations.avatar_data.makers import Maker
from simulations.avatar_data.reading import PictureReader
from simulations.avatars.pairs import PairFolder
from simulations.experiments.cells import today
from simulations.versions import code_version
from simulations.watching import Watcher

SCHEMA: Final = "mien-avatar-quality/1"
PUBLISHED: Final = {
    "published": True,
    "source": "Mikhailov, St Petersburg State University, 2023: DualStyleGAN (Pixar), by hand",
    "count": 1282,
    "kept": 665,
    "share": round(665 / 1282, 4),
}


def quality_of_pairs(
    pairs: PairFolder, reader: PictureReader, *, seed: int, watch: Watcher
) -> dict[str, Any]:
    """Both figures of a folder of pairs; see the module.

    Raises:
        UsageError: an avatar's file is no picture that can be read.
    """
    people = [pair.person for pair in pairs.pairs]
    kept = np.array([not pair.mismatch for pair in pairs.pairs])
    labels = [expression_index(pair.face_expression) for pair in pairs.pairs]
    told = _head(reader, synthetic=pairs.synthetic, seed=seed)
    told["pairs"] = len(pairs.pairs)
    told["labelled"] = _figures(labels, kept, people, seed=seed, purpose="labelled avatars")
    shown = [
        LabelledFace(expression_index(each.avatar_expression), each.person, each.avatar, _nothing)
        for each in pairs.pairs
    ]
    used = [number for number, each in enumerate(shown) if each.label in reader.knows]
    right = []
    for done, number in enumerate(used):
        name = pairs.pairs[number].avatar
        right.append(reader.label(picture_in(pairs.folder / name, name)) == shown[number].label)
        watch("avatars read", done + 1, len(used))
    told["read"] = _read([shown[number] for number in used], right, seed)
    return told


def quality_of_maker(
    maker: Maker,
    faces: Sequence[LabelledFace],
    reader: PictureReader,
    *,
    synthetic: bool,
    seed: int,
    watch: Watcher,
) -> dict[str, Any]:
    """The figure `read` of avatars that are made on the way and kept nowhere.

    Raises:
        WorkError: the generator fails.
    """
    used = [face for face in faces if face.label in reader.knows]
    right = []
    for done, face in enumerate(used):
        right.append(reader.label(maker.avatar(face)) == face.label)
        watch("avatars read", done + 1, len(used))
    told = _head(reader, synthetic=synthetic, seed=seed)
    structure, colour = maker.weights
    told |= {"generator": maker.name, "structure": structure, "colour": colour}
    return told | {"pairs": len(used), "read": _read(used, right, seed)}


def _head(reader: PictureReader, *, synthetic: bool, seed: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "synthetic": synthetic,
        "date": today(),
        "commit": code_version(),
        "seed": seed,
        "reader": reader.name,
        "unknown_to_the_reader": [
            name for label, name in enumerate(EXPRESSIONS) if label not in reader.knows
        ],
        "published": PUBLISHED,
    }


def _read(avatars: Sequence[LabelledFace], right: list[bool], seed: int) -> dict[str, Any] | None:
    if not avatars:
        return None
    labels, people = [each.label for each in avatars], [each.person for each in avatars]
    return _figures(labels, np.array(right), people, seed=seed, purpose="read avatars")


def _figures(
    labels: Sequence[int], kept: Any, people: Sequence[str], *, seed: int, purpose: str
) -> dict[str, Any]:
    return {
        **share_of(kept, people, seed=seed, purpose=purpose),
        "by_expression": by_expression(labels, kept, people, seed=seed, purpose=purpose),
    }


def _nothing() -> Any:
    raise NotImplementedError("avatars of pairs are read from their files")
