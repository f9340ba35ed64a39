"""Small random results, made by the same summary as real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulations.results import summarise

Results = dict[str, Any]


def sample_results(
    *,
    users: Sequence[str] = ("ann", "bob", "eve"),
    own_clips: Sequence[int] = (1, 2, 4),
    clips: int = 12,
    expressions: Sequence[int] = tuple(range(8)),
    parts: int = 1,
    draws: int = 3,
    seed: int = 0,
    synthetic: bool = False,
) -> Results:
    """Random predictions of each user, summed up; two federations with two rounds."""
    chooser = np.random.default_rng(seed)
    records = {
        user: [_record(chooser, own_clips, clips, expressions, draws) for _ in range(parts)]
        for user in users
    }
    return {
        "schema": "mien-results/1",
        "command": "mien simulate",
        "seed": seed,
        "versions": {"python": "3.11.0", "mien": "0.1.0"},
        "protocol": "by-take",
        "source": "sample.csv",
        "synthetic": synthetic,
        "head": "logistic",
        "features": "table/0",
        "clients": len(users),
        "rounds": 2,
        **summarise(records, own_clips, seed=seed),
        "chosen": {f"fold-{i}": {"l2": 0.01, "strength": 1.0, "scale": 0.75} for i in (1, 2)},
        "transmitted": [entry for name in ("fold-1", "fold-2") for entry in rounds_of(name)],
        "left_out": [],
        "predictions": records,
        "seconds": 1.5,
    }


def rounds_of(federation: str) -> list[dict[str, Any]]:
    """A reference round and two head rounds of two devices."""
    common = {"federation": federation, "clients": 2, "failures": []}
    centre = {"name": "reference.centre", "shape": [5], "dtype": "float32"}
    weight = {"name": "population.weight", "shape": [8, 5], "dtype": "float32"}
    return [
        {**common, "round": 0, "stage": "reference", "bytes": 100, "arrays": [centre]},
        {**common, "round": 1, "stage": "head", "bytes": 1001, "arrays": [weight]},
        {**common, "round": 2, "stage": "head", "bytes": 1001, "arrays": [weight]},
    ]


def _record(
    chooser: np.random.Generator,
    own_clips: Sequence[int],
    clips: int,
    expressions: Sequence[int],
    draws: int,
) -> dict[str, Any]:
    def guesses() -> list[int]:
        made: list[int] = chooser.integers(8, size=clips).tolist()
        return made

    # As in real results: draws that take every clip are one.
    numbers = [draws] * (len(own_clips) - 1) + [1 if len(own_clips) > 1 else draws]
    return {
        "labels": chooser.choice(list(expressions), size=clips).tolist(),
        "universal": guesses(),
        "universal_raw": guesses(),
        "pooled": guesses(),
        "resting_stream": [guesses()],
        "personal": [[guesses() for _ in range(number)] for number in numbers],
        "local_only": [[guesses() for _ in range(number)] for number in numbers],
    }
