"""What an experiment is: settings, its cells, how they are summed up and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulations.experiments.inputs import Input, Offer
from simulations.experiments.measure import METHOD_OF, Progress
from simulations.experiments.report.parts import Section
from simulations.watching import Watcher

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of an experiment; one set for real use and one that runs in CI.

    Attributes:
        protocols: which clips adapt and which test.
        heads: kinds of head.
        seeds: number of seeds, counted from `first_seed`.
        rounds: of each federation.
        frames: attention heads get at most so many frames of a clip.
        user_folds: of `by-take`.
        draws: of each number of own clips.
        own_clips: numbers per expression; empty for all there are.
        chosen: whether regularisation and prior are chosen on training users.
        methods: personal heads that are measured, see `HeadTask`.
        backbones: tried with `--data`.
        every: with `--data`, every k-th frame is looked at.
        actors: synthetic ones that `--mini` draws.
        quick: a shorter list of whatever else the experiment varies.
        first_seed: above 0 where smaller ones were looked at while the work was built.
        amounts: numbers by name of whatever the experiment draws itself; empty for its own.
    """

    protocols: tuple[str, ...]
    heads: tuple[str, ...]
    seeds: int
    rounds: int = 30
    frames: int = 16
    user_folds: int = 6
    draws: int = 1
    own_clips: tuple[int, ...] = ()
    chosen: bool = True
    methods: tuple[str, ...] = tuple(METHOD_OF)
    backbones: tuple[str, ...] = ()
    every: int = 4
    actors: int = 8
    quick: bool = False
    first_seed: int = 0
    amounts: tuple[tuple[str, int], ...] = ()


HEADS = ("logistic", "single-attention", "self-attention")
BACKBONES = ("mini-xception", "mobile-emotiface", "enet-b0-8-best-vgaf", "enet-b2-8")
"""The built-in one, and those that the paper's Table 3 is about."""


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        name: on the command line and of its files; `about` has a help for it.
        title: for people.
        full, mini: settings.
        tasks: one per cell, from settings, seeds and the input.
        run: measures a cell's task.
        summarise: the experiment's figures from its cells.
        section: its part of the report, from what was summed up.
        own_inputs: inputs that it draws itself, beside named data: from settings, processes and a
            watcher. Where there are, no data need be named.
        headline: keys of its figures that stand at the top of its results, too.
    """

    name: str
    title: str
    full: Config
    mini: Config
    tasks: Callable[[Config, Sequence[int], Input], Sequence[Any]]
    run: Callable[[Any, Input, Progress], Record]
    summarise: Callable[[Sequence[Record]], Record]
    section: Callable[[Mapping[str, Any]], Section]
    own_inputs: Callable[[Config, int, Watcher], Sequence[Offer]] | None = None
    headline: tuple[str, ...] = ()
