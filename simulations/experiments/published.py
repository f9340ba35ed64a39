"""Figures that others published, with their source; nothing of ours is typed in anywhere."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = (
    "Churaev and Savchenko, Facial expression recognition based on adaptation of the classifier to "
    "videos of the user, Computer Optics 47(5), 2023, 806-815"
)


@dataclass(frozen=True)
class Published:
    """One row of the paper's Table 3; accuracies in percent.

    Attributes:
        features: the paper's name of the backbone.
        ours: ids of our backbones that are of the same kind begin like this.
        head: kind of head.
        universal, personal: accuracy in percent.
    """

    features: str
    ours: str
    head: str
    universal: float
    personal: float


TABLE3 = tuple(
    Published(features, ours, head, *figures)
    for features, ours, rows in (
        ("MobileEmotiFace", "mobile-emotiface", ((71.9, 90.95), (74.76, 100.0), (73.81, 100.0))),
        ("EmotiEffNet-B0", "enet-b0", ((73.65, 91.43), (72.59, 99.05), (77.62, 100.0))),
        ("EmotiEffNet-B2", "enet-b2", ((68.75, 93.34), (69.99, 99.52), (68.09, 100.0))),
    )
    for head, figures in zip(("logistic", "single-attention", "self-attention"), rows, strict=True)
)

FIGURE5 = (
    "Published for EmotiEffNet-B0 under protocol paper: one video per expression lifts personal "
    "heads by 11 points on average over the universal one, a common logistic head by 6; the "
    "personal logistic head gains less than a point per added video after 10 per expression, "
    "attention heads after 12; most of the growth is there by 5."
)

FOLDS = (
    ("face alone, bi-LSTM", 57.08),
    ("face and voice, 2021", 80.08),
    ("face and voice, 2022", 86.70),
)
FOLDS_SOURCE = (
    "figures of Luna-Jimenez et al. (2021, 2022) on RAVDESS's speech, split by actor, as quoted in "
    + SOURCE
)


def row_of(backbone: str, head: str) -> Published | None:
    """The published row of one of our backbones, if there is one."""
    return next((r for r in TABLE3 if backbone.startswith(r.ours) and r.head == head), None)
