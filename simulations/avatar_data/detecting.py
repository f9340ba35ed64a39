"""A detector for a device, trained on a folder of labelled pairs as its backbone reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from client.avatar.check import Checker, load_checker
from client.avatar.detectors import concat, siamese
from client.avatar.detectors.file import save_detector
from client.avatar.detectors.interface import Pair
from client.avatar.detectors.training import Labelled, train
from client.avatar.own import load_avatar_head
from client.avatar.pictures import picture_in
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from simulations.avatar_data.figures import share_of
from simulations.avatar_data.tuning import split_pairs
from simulations.avatars.figures import area
from simulations.avatars.pairs import LabelledPair, PairFolder
from simulations.experiments.cells import today
from simulations.versions import code_version
from simulations.watching import Watcher

SCHEMA: Final = "mien-avatar-detector/1"
KINDS: Final = (siamese.NAME, concat.NAME)
"""`labels` has nothing to train, and `personal` needs readings by users' own heads."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, and what reads the pictures.

    Attributes:
        kind: of `KINDS`.
        backbone: id of what reads faces, and avatars too where `avatar_backbone` is empty.
        avatar_backbone: id of what reads avatars.
        avatar_head: file of a head for avatars, or None.
        seed: of the split and the training.

    Raises:
        UsageError: the kind is none.
    """

    kind: str
    backbone: str
    avatar_backbone: str = ""
    avatar_head: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"detector {self.kind!r:.40} can't be trained on pairs of pictures alone; choose "
                f"one of {', '.join(KINDS)}"
            )


def train_detector(pairs: PairFolder, out: Path, plan: Plan, watch: Watcher) -> dict[str, Any]:
    """Read all pairs, train on half of the people, choose by a quarter, measure on a quarter.

    Returns:
        `accuracy` at the detector's threshold with its interval and `auc` on the test part, the
        same by comparing labels alone, and what was trained on what.

    Raises:
        UsageError: there are too few people or one kind of pairs only, or `out` can't be written.
        WorkError: a picture or a head can't be read.
    """
    parts = split_pairs(pairs.pairs, seed=plan.seed)
    head = None if plan.avatar_head is None else load_avatar_head(plan.avatar_head)
    checker = load_checker(plan.backbone, avatar_backbone=plan.avatar_backbone, avatars=head)
    try:
        of = dict(_read(checker, pairs, watch))
        made_for = checker.made_for
    finally:
        checker.close()
    training, validation, test = (
        _labelled(part, of) for part in (parts.train, parts.validation, parts.test)
    )
    detector = train(plan.kind, training, validation, made_for, seed=plan.seed)
    people = [pair.person for pair in parts.test]
    scores = np.array([float(detector.score(pair)) for pair in test.pairs])
    labels = np.array([_differ(pair) for pair in test.pairs])
    told = {
        "schema": SCHEMA,
        "synthetic": pairs.synthetic,
        "date": today(),
        "commit": code_version(),
        "seed": plan.seed,
        "detector": plan.kind,
        "faces_read_by": made_for.face,
        "avatars_read_by": made_for.avatar,
        "pairs": {"train": len(parts.train), "validation": len(parts.validation)},
        "auc": round(area(scores, test.mismatch), 4),
        **_accuracies(scores >= detector.threshold, labels, test.mismatch, people, plan.seed),
    }
    save_detector(out, detector, told)
    return told


def _accuracies(
    found: Any, by_labels: Any, mismatch: Any, people: Sequence[str], seed: int
) -> dict[str, Any]:
    ways = {"accuracy": found == mismatch, "labels_accuracy": by_labels == mismatch}
    return {
        name: share_of(right, people, seed=seed, purpose="detector") for name, right in ways.items()
    }


def _differ(pair: Pair) -> bool:
    return int(pair.face.probabilities.argmax()) != int(pair.avatar.probabilities.argmax())


def _read(
    checker: Checker, pairs: PairFolder, watch: Watcher
) -> Iterator[tuple[LabelledPair, Pair]]:
    for done, pair in enumerate(pairs.pairs):
        face, avatar = (picture_in(pairs.folder / path, path) for path in (pair.face, pair.avatar))
        yield pair, checker.readings(face, avatar, whole=True).pair
        watch("pairs read", done + 1, len(pairs.pairs))


def _labelled(part: Sequence[LabelledPair], of: dict[LabelledPair, Pair]) -> Labelled:
    shown = [[EXPRESSIONS.index(n) for n in (p.face_expression, p.avatar_expression)] for p in part]
    mismatch = np.array([pair.mismatch for pair in part])
    return Labelled([of[pair] for pair in part], mismatch, np.array(shown, dtype=np.int64))
