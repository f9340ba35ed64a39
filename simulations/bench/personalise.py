"""Adapting a logistic head of 1280 x 8 to 40 own clips on one core, and the published way.

Ours includes the choice of strength and scale by leaving each take out. The published way is plain
torch: 70 epochs of Adam from the universal head (Churaev and Savchenko, Computer Optics 47(5),
2023), at batch sizes 1 and 32, since none is published. Clips are synthetic numbers: speed, not
accuracy, is measured. The ways take turns, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from client.personalisation.maximum_a_posteriori import Prior, choose_personal
from client.personalisation.solver import Labels, Rows
from common.errors import WorkError
from common.randomness import generator

DIMENSION, CLASSES, CLIPS = 1280, 8, 40
EPOCHS, RATE = 70, 1e-4
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Case:
    """A universal head, and a user's clips: descriptors (clips, dimension) and labels."""

    weight: Rows
    descriptors: Rows
    labels: Labels


def measure(repeats: int, seed: int) -> dict[str, Any]:
    """Time all three ways by turns, in a process of its own that has one core's threads.

    Args:
        repeats: turns, at least 1.
        seed: of the synthetic clips.

    Returns:
        Medians `mien_ms`, `paper_batch1_ms`, `paper_batch32_ms`; `spread_ms` has the least and the
        most of each; and what was measured.

    Raises:
        WorkError: the measuring process failed.
    """
    words = [sys.executable, "-m", __name__, "--repeats", str(repeats), "--seed", str(seed)]
    single = {**os.environ, **dict.fromkeys(THREADS, "1")}
    done = subprocess.run(words, env=single, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WorkError(f"measuring personal heads failed: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def made_up_case(seed: int, *, dimension: int = DIMENSION, clips: int = CLIPS) -> Case:
    """Clips around a point per expression that the universal head knows only roughly."""
    chooser = generator(seed, "bench personalise")
    labels = np.arange(clips, dtype=np.int64) % CLASSES
    points = 0.3 * chooser.normal(size=(CLASSES, dimension))
    descriptors = np.clip(points[labels] + chooser.normal(size=(clips, dimension)), -3, 3)
    weight = 0.05 * (points + 0.3 * chooser.normal(size=points.shape))
    return Case(weight, descriptors, labels)


def ways(case: Case) -> Mapping[str, Callable[[], object]]:
    """What is timed, by the name of its figure."""
    return {
        "mien_ms": lambda: mien(case),
        "paper_batch1_ms": lambda: published(case, batch=1),
        "paper_batch32_ms": lambda: published(case, batch=32),
    }


def mien(case: Case) -> object:
    """The universal logits, every candidate with each clip left out, the choice, its head."""
    universal = case.descriptors @ case.weight.T
    return choose_personal(universal, case.descriptors, case.labels, Prior())


def published(case: Case, *, batch: int) -> Tensor:
    """The weight after the published epochs of Adam."""
    layer = torch.nn.Linear(case.weight.shape[1], CLASSES)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(case.weight))
        layer.bias.zero_()
    rows = torch.from_numpy(case.descriptors).float()
    labels = torch.from_numpy(case.labels)
    optimiser = torch.optim.Adam(layer.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(rows)).split(batch):
            optimiser.zero_grad()
            cross_entropy(layer(rows[chosen]), labels[chosen]).backward()
            optimiser.step()
    return layer.weight.detach()


def time_by_turns(case: Case, repeats: int) -> dict[str, Any]:
    """Every way once unmeasured, then `repeats` times by turns; milliseconds."""
    timed = ways(case)
    found: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeats + 1):
        for name, way in timed.items():
            start = time.perf_counter()
            way()
            if turn:
                found[name].append(1e3 * (time.perf_counter() - start))
    return {
        **{name: round(statistics.median(values), 2) for name, values in found.items()},
        "spread_ms": {
            name: [round(min(values), 2), round(max(values), 2)] for name, values in found.items()
        },
        "repeats": repeats,
        "clips": len(case.labels),
        "dimension": case.weight.shape[1],
        "classes": CLASSES,
        "candidates": len(Prior().candidates),
        "threads": 1,
        "data": "synthetic",
    }


def main() -> None:
    """Measure here, and print one JSON document."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--repeats", type=int, required=True)
    reader.add_argument("--seed", type=int, required=True)
    asked = reader.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    print(json.dumps(time_by_turns(made_up_case(asked.seed), asked.repeats)))


if __name__ == "__main__":
    main()
