"""Feature tables that are made up, on disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from common.expressions import EXPRESSIONS

USERS = ("Ada", "Ben", "Cem", "Dia", "Eva", "Fay")
FEATURES = 4


def write_table(
    path: Path,
    *,
    users: tuple[str, ...] = USERS,
    expressions: int = 4,
    each: int = 4,
    seed: int = 0,
) -> Path:
    """Users with clips of a few expressions: a point per expression, an offset per user, noise."""
    chooser = np.random.default_rng(seed)
    points = 2 * chooser.normal(size=(expressions, FEATURES))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "user", "expression", *(f"f{n}" for n in range(FEATURES))])
        for user in users:
            offset = chooser.normal(size=FEATURES)
            for label in range(expressions):
                for take in range(each):
                    values = points[label] + offset + 0.6 * chooser.normal(size=FEATURES)
                    row = [f"{user}-{label}-{take}", user, EXPRESSIONS[label]]
                    writer.writerow([*row, *(f"{value:.5f}" for value in values)])
    return path
