"""Fine-tuning on avatars: a whole network, or a head on a backbone that stays as it is.

Faces in avatars are found and cut out first, as the thesis does (by MTCNN); where none is found the
whole picture is taken.  Train, validation and test part share no person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from client.avatar.check import load_checker
from client.avatar.own import fit_avatar_head, save_avatar_head
from client.avatar.pictures import picture_in
from client.avatar.sources.generator import squared
from common.errors import UsageError
from common.expressions import expression_index
from common.randomness import generator
from common.video import Image
from common.video.crop import align_face
from common.video.faces import largest
from common.video.mtcnn.detector import FastMtcnn
from simulations.avatar_data.figures import share_of
from simulations.avatars.pairs import LabelledPair, PairFolder, write_png
from simulations.experiments.cells import today
from simulations.expression_models.actors import CLASSES
from simulations.expression_models.faces import FaceSet, FaceSplits, ImageFiles
from simulations.expression_models.plan import TrainPlan
from simulations.expression_models.recipes import Recipe, recipe_named
from simulations.expression_models.run import Job, check_job, train_backbone
from simulations.versions import code_version
from simulations.watching import Watcher

FEWEST_PEOPLE: Final = 3
SCHEMA: Final = "mien-avatar-head/1"
PUBLISHED: Final = {
    "published": True,
    "source": "Mikhailov, St Petersburg State University, 2023: DAN fine-tuned on 958 labelled "
    "avatars, 324 for the test, 6 epochs",
    "accuracy_percent": 78.4,
}
_MARGIN: Final = 0.1
_STRENGTH: Final = 1.0
_NAMES: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Parts:
    """Pairs by part; no person is in two of them."""

    train: tuple[LabelledPair, ...]
    validation: tuple[LabelledPair, ...]
    test: tuple[LabelledPair, ...]


def split_pairs(pairs: Sequence[LabelledPair], *, seed: int) -> Parts:
    """A quarter of the people for the test, a quarter for validation, at least one each.

    Raises:
        UsageError: there are fewer than `FEWEST_PEOPLE` people.
    """
    people = sorted({pair.person for pair in pairs})
    if len(people) < FEWEST_PEOPLE:
        raise UsageError(
            f"the pairs are of {len(people)} people; fine-tuning needs {FEWEST_PEOPLE} at least, "
            "since train, validation and test share nobody"
        )
    order = [people[place] for place in generator(seed, "avatar split").permutation(len(people))]
    held = max(1, len(people) // 4)
    groups = (order[2 * held :], order[held : 2 * held], order[:held])
    return Parts(*(tuple(p for p in pairs if p.person in set(group)) for group in groups))


def avatar_splits(
    pairs: PairFolder, folder: Path, *, side: int, seed: int, watch: Watcher
) -> FaceSplits:
    """Cut the avatars out and put them in the form that networks are trained on.

    Args:
        pairs: whose avatars are used, labelled by what they show.
        folder: for the crops, `folder/avatars/`; made if it is missing.
        side: of the crops in pixels.
        seed: of the split.
        watch: told of progress.

    Raises:
        UsageError: see `split_pairs`, or the folder can't be written.
        UsageError: an avatar's file is no picture.
    """
    parts = split_pairs(pairs.pairs, seed=seed)
    finder, done = FastMtcnn(), 0
    made = []
    for name, part in zip(_NAMES, (parts.train, parts.validation, parts.test), strict=True):
        paths = []
        for pair in part:
            path = folder / "avatars" / pair.avatar
            write_png(
                path, cut_out(picture_in(pairs.folder / pair.avatar, pair.avatar), finder, side)
            )
            paths.append(path)
            done += 1
            watch("avatars cut out", done, len(pairs.pairs))
        made.append(_face_set(f"avatars, {name}", part, paths, folder, pairs.synthetic))
    words = "by person: half for training, a quarter each for validation and test, at least one"
    return FaceSplits("avatars", made[0], made[1], made[2], words)


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """How a whole network is fine-tuned.

    Attributes:
        network: of `simulations.expression_models.networks.NETWORKS`.
        weights: file with the weights to begin with; None for random ones.
        recipe: of the training.
        install: id under which the network becomes a backbone; empty for not.
        resume: whether to go on with a run.
        seed: of every random choice.
    """

    network: str
    weights: Path | None
    recipe: Recipe
    install: str = ""
    resume: bool = False
    seed: int = 0


def changed_recipe(name: str, size: int, epochs: int, learning_rate: float) -> Recipe:
    """A published recipe with other sizes; 0 leaves one as it is.

    Raises:
        UsageError: there is no such recipe, or a number is out of range.
    """
    recipe = recipe_named(name).sized(size) if size else recipe_named(name)
    return replace(
        recipe,
        epochs=epochs or recipe.epochs,
        learning_rate=learning_rate or recipe.learning_rate,
    )


def tune_network(pairs: PairFolder, out: Path, plan: NetworkPlan, watch: Watcher) -> dict[str, Any]:
    """Fine-tune a network on the pairs' avatars; see `expression_models.run.train_backbone`.

    Raises:
        UsageError: the plan or the pairs won't do, or `out` can't be written.
        WorkError: the training could not be done.
    """
    check_job(plan.network, out, plan.install, resume=plan.resume)
    data = avatar_splits(pairs, out, side=plan.recipe.side, seed=plan.seed, watch=watch)
    job = Job(
        data=data,
        network=plan.network,
        recipe=plan.recipe,
        out=out,
        seed=plan.seed,
        plan=TrainPlan(resume=plan.resume),
        weights=plan.weights,
        install_as=plan.install,
        command="mien avatar fine-tune",
    )
    return {**train_backbone(job, watch), "published": PUBLISHED}


def cut_out(picture: Image, finder: FastMtcnn, side: int) -> Image:
    """The largest face of an avatar's picture, (side, side, 3), or its middle square."""
    (faces,) = finder.detect([picture])
    if not faces:
        return squared(picture, side)
    return align_face(picture, largest(faces), side, margin=_MARGIN)


def _face_set(
    name: str,
    pairs: Sequence[LabelledPair],
    paths: Sequence[Path],
    root: Path,
    synthetic: bool,
) -> FaceSet:
    labels = np.array([expression_index(pair.avatar_expression) for pair in pairs], dtype=np.int64)
    people = tuple(pair.person for pair in pairs)
    source = ImageFiles(tuple(paths), root)
    return FaceSet(name, CLASSES, labels, source, people=people, synthetic=synthetic)


def tune_head(
    pairs: PairFolder, out: Path, *, backbone: str, seed: int, watch: Watcher
) -> dict[str, Any]:
    """Fit a head for avatars on a backbone's features; write it; measure it on other people.

    Train and validation part are both fitted to: nothing is chosen by either.

    Returns:
        `before` and `after`: accuracy on the test part by the backbone's own labels and by the
        head, each with its interval; what it was fitted to.

    Raises:
        UsageError: see `split_pairs`, or `out` can't be written.
        UsageError: an avatar's file is no picture.
    """
    parts = split_pairs(pairs.pairs, seed=seed)
    fitted = (*parts.train, *parts.validation)
    checker = load_checker(backbone)
    try:
        head = fit_avatar_head(
            checker,
            _watched(pairs, fitted, watch),
            [expression_index(pair.avatar_expression) for pair in fitted],
            strength=_STRENGTH,
        )
        reads = [checker.read_avatar(_picture(pairs, pair)) for pair in parts.test]
    finally:
        checker.close()
    save_avatar_head(out, head)
    labels = np.array([expression_index(pair.avatar_expression) for pair in parts.test])
    people = [pair.person for pair in parts.test]
    after = np.array([head.logits(each.features, each.own).argmax() for each in reads])
    before = np.array([-1 if each.own is None else each.own.argmax() for each in reads])
    return {
        "schema": SCHEMA,
        "synthetic": pairs.synthetic,
        "date": today(),
        "commit": code_version(),
        "seed": seed,
        "backbone": backbone,
        "fitted_to": len(fitted),
        "before": share_of(before == labels, people, seed=seed, purpose="avatar head"),
        "after": share_of(after == labels, people, seed=seed, purpose="avatar head"),
        "published": PUBLISHED,
    }


def _watched(pairs: PairFolder, part: Sequence[LabelledPair], watch: Watcher) -> Any:
    for done, pair in enumerate(part):
        yield _picture(pairs, pair)
        watch("avatars read", done + 1, len(part))


def _picture(pairs: PairFolder, pair: LabelledPair) -> Image:
    return picture_in(pairs.folder / pair.avatar, pair.avatar)
