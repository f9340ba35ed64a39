"""How a person, and the rig of the person's avatar, shows each expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from common.expressions import EXPRESSIONS
from common.randomness import generator
from simulations.actors.action_units import (
    ACTION_UNITS,
    AU_INDEX,
    PROTOTYPES,
    Activations,
    draw_style,
)
from simulations.avatars.difficulty import Difficulty

NEUTRAL: Final = 0
_MARKING: Final = ("AU01", "AU02", "AU04", "AU06", "AU07", "AU10", "AU12", "AU14", "AU15", "AU17")
_MARKING_MOUTH: Final = ("AU18", "AU20", "AU24", "AU25")
_VARIANTS: Final = 3


@dataclass(frozen=True, eq=False)
class Manner:
    """One shower of expressions, a person or a rig.

    Attributes:
        apex: (8, variants, units) activations at intensity 1.
        variant: (8,) the own one of each expression.
        rest: (units,) at all times.
        wandering, slip: as of `Difficulty`.
    """

    apex: Activations
    variant: tuple[int, ...]
    rest: Activations
    wandering: float
    slip: float

    def show(self, label: int, intensity: float, random: np.random.Generator) -> Activations:
        """Activations (units,) of one picture.

        Args:
            label: index into `EXPRESSIONS`.
            intensity: 1 is normal.
            random: the picture's own.
        """
        wanders, other = random.uniform() < self.wandering, int(random.integers(_VARIANTS))
        units = intensity * self.apex[label, other if wanders else self.variant[label]]
        used = (units > 0) + 0.4 * (self.rest > 0)
        slip = random.normal(0.0, self.slip, len(units)) * used
        return np.asarray(np.clip(self.rest + units + slip, 0.0, 1.0))


def prototypes() -> Activations:
    """(8, variants, units) of all expressions; those with fewer variants repeat them."""
    found = np.zeros((len(EXPRESSIONS), _VARIANTS, len(ACTION_UNITS)))
    for label, name in enumerate(EXPRESSIONS):
        for variant in range(_VARIANTS):
            ways = PROTOTYPES[name]
            for unit, value in ways[variant % len(ways)].items():
                found[label, variant, AU_INDEX[unit]] = value
    return found


def person(seed: int, actor: int, difficulty: Difficulty) -> Manner:
    """The manner of a synthetic actor; a function of the arguments only."""
    style, random = draw_style(seed, actor), generator(seed, "own marks", client=actor)
    base = prototypes()
    accent = difficulty.accent * style.accent[:, None] * (base > 0)
    apex = np.maximum(base * style.gain**difficulty.gain + accent, 0.03 * (base > 0))
    apex += _marks(difficulty.own_marks, difficulty.mark, random)[:, None]
    rest = difficulty.rest * style.rest
    return Manner(apex, style.variant, rest, difficulty.wandering, difficulty.slip)


def rig(seed: int, actor: int, difficulty: Difficulty) -> Manner:
    """The manner of an actor's avatar: it knows the expression's name, not the actor's manner."""
    style = draw_style(seed + 1_000_003, actor)
    random = generator(seed, "rig's marks", client=actor)
    apex = prototypes() * style.gain**difficulty.rig_gain
    apex += _marks(difficulty.own_marks, difficulty.rig_mark, random)[:, None]
    none = np.zeros(len(ACTION_UNITS))
    return Manner(apex, style.variant, none, 0.0, difficulty.rig_slip)


def _marks(count: int, strength: float, random: np.random.Generator) -> Activations:
    """(8, units) what is added to each expression but neutral, which stays the face at rest."""
    marks = np.zeros((len(EXPRESSIONS), len(ACTION_UNITS)))
    names = (*_MARKING, *_MARKING_MOUTH)
    for label in range(len(EXPRESSIONS)):
        chosen = random.choice(len(names), size=count, replace=False)
        for place in chosen:
            marks[label, AU_INDEX[names[place]]] = strength * random.uniform(0.5, 1.5)
    marks[NEUTRAL] = 0.0
    return marks
