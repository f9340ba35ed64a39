"""All experiments by name, in the order in which a report shows them."""

from __future__ import annotations

from collections.abc import Mapping

from simulations.experiments import (
    avatar_mismatch,
    federation,
    figure5,
    figures3_4,
    folds,
    table3,
)
from simulations.experiments.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (table3, figure5, figures3_4, folds, federation, avatar_mismatch)
}
