"""The part of `avatar-mismatch`: ROC curves, figures with intervals, and some of the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from common.expressions import EXPRESSIONS
from simulations.experiments.report.parts import Chart, Section, Table, with_interval
from simulations.report.figures import BLUE, GREEN, INK, PURPLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Figures = Mapping[str, Any]
LOOKS: Final = {
    "labels": (INK, ":"),
    "siamese": (PURPLE, "-."),
    "concat": (VERMILLION, "--"),
    "personal": (BLUE, "-"),
    "universal": (GREEN, "--"),
}
SHOWN: Final = 8
"""Pairs in the picture of pairs."""
_TILE: Final = 36
_LEVELS: Final = 12
_SEED: Final = 0


def section(figures: Figures) -> Section:
    """Words, tables and pictures of the experiment's figures."""
    words, tables, charts = [], [], []
    if "accuracy" in figures:
        words += _words(figures)
        tables += [_detectors(figures), _readings(figures)]
        charts += [_roc_chart(figures), _example_chart()]
    for index, real in enumerate(figures["real"]):
        tables.append(_real_table(real))
        charts.append(_real_chart(index, real))
    return Section(tuple(words), tuple(tables), tuple(charts))


def _words(figures: Figures) -> list[str]:
    return [
        f"SYNTHETIC: {figures['pairs']} test pairs of {figures['people']} drawn people and their "
        "drawn avatars, half of them wrong by a random other expression; nobody tested is among "
        "those who trained or validated. The difficulty was frozen before any detector was "
        f"trained (digest {figures['difficulty'][:16]}).",
        f"The personal detector knows {figures['confirmed_own_pictures']} confirmed pictures of "
        f"each tested person and {figures['own_avatars_drawn']} avatars that the device drew with "
        "known expressions; none of them is in a pair. The others know no label of a tested "
        "person; like every head on a device they know mean and spread of the own pictures.",
    ]


def _detectors(figures: Figures) -> Table:
    rows = tuple(
        (name, *(_interval(figures, measure, name) for measure in ("accuracy", "auc", "eer")))
        for name in figures["accuracy"]
    )
    gains = "; ".join(
        f"than {name} by {100 * gain['mean']:.1f} ({100 * gain['low']:.1f} to "
        f"{100 * gain['high']:.1f})"
        for name, gain in figures["gain_in_auc"].items()
    )
    return Table(
        "Mismatch detectors on synthetic pairs, % with 95 % intervals by person",
        ("detector", "accuracy", "ROC-AUC", "EER"),
        rows,
        notes=(
            "Accuracy at the threshold that validation people's pairs chose, fold by fold.",
            f"The personal detector's ROC-AUC is larger {gains}.",
        ),
    )


def _interval(figures: Figures, measure: str, name: str) -> str:
    return with_interval(figures[measure][name], *figures["intervals"][measure][name])


def _readings(figures: Figures) -> Table:
    read = figures["read"]
    rows = (
        ("faces", f"{100 * read['face']:.1f}", f"{100 * read['own_face']:.1f}"),
        ("avatars", f"{100 * read['avatar']:.1f}", f"{100 * read['own_avatar']:.1f}"),
    )
    return Table(
        "Synthetic pictures whose expression is read rightly, %",
        ("pictures", "universal head", "the person's own head"),
        rows,
    )


def _roc_chart(figures: Figures) -> Chart:
    told = ", ".join(f"{name} {area:.2f}" for name, area in figures["auc"].items())
    return Chart(
        "avatar-mismatch-roc",
        "ROC curves of the detectors, synthetic pairs",
        f"Mismatches found against false alarms. Areas: {told}.",
        (5.6, 5.0),
        partial(_draw_roc, curves=figures["curves"], areas=figures["auc"]),
    )


def _draw_roc(figure: Figure, curves: Mapping[str, Any], areas: Mapping[str, float]) -> None:
    axes = figure.subplots()
    for name, curve in curves.items():
        colour, line = LOOKS[name]
        label = f"{name}, AUC {areas[name]:.3f}"
        axes.plot(curve["false_alarms"], curve["found"], line, color=colour, label=label)
    axes.plot([0, 1], [0, 1], color="#c3c8ce", linewidth=0.8)
    axes.set_xlabel("false alarms")
    axes.set_ylabel("mismatches found")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    axes.set_aspect("equal")
    axes.grid(visible=True)
    axes.legend(loc="lower right")


def _example_chart() -> Chart:
    return Chart(
        "avatar-mismatch-pairs",
        "Some synthetic pairs",
        "Drawn faces in the upper row, their avatars below; the words name what each shows, and a "
        "mismatch is marked.",
        (10.0, 3.2),
        _draw_examples,
    )


def _draw_examples(figure: Figure) -> None:
    from simulations.avatars.pairs import plan_pairs

    grid = figure.subplots(2, SHOWN)
    for place in range(SHOWN):
        actor = place + 3
        face, avatar = plan_pairs(_SEED, actor, "pairs", 1)[(3 * place + 2) % len(EXPRESSIONS)]
        differs = "≠" if face.label != avatar.label else "="
        _draw_picture(grid[0][place], face, EXPRESSIONS[face.label])
        _draw_picture(grid[1][place], avatar, f"{differs} {EXPRESSIONS[avatar.label]}")


def _draw_picture(axes: Axes, shot: Any, title: str) -> None:
    """A picture as rectangles of few colours: the page holds drawings and no image files."""
    import cv2
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    from simulations.avatars.pictures import take

    picture = cv2.resize(take(shot, size=2 * _TILE), (_TILE, _TILE), interpolation=cv2.INTER_AREA)
    step = 255 / _LEVELS
    colours = np.asarray(np.rint(np.asarray(picture, np.float64) / step) * step / 255)
    patches, fills = [], []
    for row in range(_TILE):
        for start, stop in _runs(colours[row]):
            patches.append(Rectangle((start, row), stop - start + 0.05, 1.05))
            fills.append(np.clip(colours[row, start], 0, 1))
    axes.add_collection(PatchCollection(patches, facecolors=fills, linewidths=0, antialiased=False))
    axes.set_xlim(0, _TILE)
    axes.set_ylim(_TILE, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=8.5, pad=3)


def _runs(row: Any) -> Sequence[tuple[int, int]]:
    """Starts and ends of equal neighbours in (n, 3)."""
    changes = np.flatnonzero((row[1:] != row[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(row)]
    return list(pairwise(edges))


def _real_table(real: Mapping[str, Any]) -> Table:
    kind = "synthetic" if real["synthetic"] else "real"
    rows = tuple(
        (reader, with_interval(real["auc"][reader], *real["intervals"][reader]))
        for reader in real["auc"]
    )
    gain = real["gain"]
    return Table(
        f"Same or different expression, {kind} clips of {real['features']}, %",
        ("head on the user's side", "ROC-AUC"),
        rows,
        notes=(
            f"{real['pairs']} pairs: a clip of one of {real['users']} users, and one of another "
            "user who stands in for the avatar and is read by the universal head. By folds of "
            "users whom the universal head has not seen; 95 % intervals by user. Gain of the "
            f"personal head {100 * gain['mean']:.1f} ({100 * gain['low']:.1f} to "
            f"{100 * gain['high']:.1f}).",
        ),
    )


def _real_chart(index: int, real: Mapping[str, Any]) -> Chart:
    kind = "synthetic" if real["synthetic"] else "real"
    told = ", ".join(f"{name} {area:.2f}" for name, area in real["auc"].items())
    return Chart(
        f"avatar-mismatch-real-{index}",
        f"Same or different expression, {kind} clips of {real['features']}",
        f"Different pairs found against false alarms. Areas: {told}.",
        (5.6, 5.0),
        partial(_draw_roc, curves=real["curves"], areas=real["auc"]),
    )
