"""Facial action units: what each expression is made of, and how a person alters it.

Numbers are those of the Facial Action Coding System (Ekman and Friesen 1978; Ekman, Friesen and
Hager 2002). The variants of an expression follow the emotion prototypes of EMFACS (Friesen and
Ekman 1983) and of the FACS Investigator's Guide; the strengths are this project's choice. Calm is
no prototype: RAVDESS has it as a second baseline, so here it is relaxed lids and a trace of AU12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.randomness import generator

ACTION_UNITS: Final = MappingProxyType(
    {
        "AU01": "inner brow raiser",
        "AU02": "outer brow raiser",
        "AU04": "brow lowerer",
        "AU05": "upper lid raiser",
        "AU06": "cheek raiser",
        "AU07": "lid tightener",
        "AU09": "nose wrinkler",
        "AU10": "upper lip raiser",
        "AU12": "lip corner puller",
        "AU14": "dimpler",
        "AU15": "lip corner depressor",
        "AU16": "lower lip depressor",
        "AU17": "chin raiser",
        "AU18": "lip pucker",
        "AU20": "lip stretcher",
        "AU23": "lip tightener",
        "AU24": "lip pressor",
        "AU25": "lips part",
        "AU26": "jaw drop",
        "AU43": "eyes closed",
    }
)
"""The action units that the renderer draws; activation 0 is absent, 1 is as strong as can be."""

AU_INDEX: Final = MappingProxyType({name: index for index, name in enumerate(ACTION_UNITS)})

PROTOTYPES: Final[Mapping[str, tuple[Mapping[str, float], ...]]] = MappingProxyType(
    {
        "neutral": ({},),
        "calm": (
            {"AU12": 0.14, "AU43": 0.16},
            {"AU12": 0.08, "AU43": 0.24},
            {"AU12": 0.20, "AU14": 0.12, "AU43": 0.08},
        ),
        "happy": (
            {"AU06": 0.55, "AU12": 0.62, "AU25": 0.45},
            {"AU06": 0.50, "AU12": 0.52, "AU14": 0.15},
            {"AU12": 0.60, "AU25": 0.45, "AU26": 0.22},
        ),
        "sad": (
            {"AU01": 0.55, "AU04": 0.35, "AU15": 0.50, "AU43": 0.15},
            {"AU01": 0.50, "AU04": 0.25, "AU15": 0.40, "AU17": 0.45},
            {"AU01": 0.30, "AU06": 0.30, "AU15": 0.55, "AU25": 0.20, "AU43": 0.25},
        ),
        "angry": (
            {"AU04": 0.62, "AU05": 0.35, "AU07": 0.40, "AU23": 0.50},
            {"AU04": 0.60, "AU07": 0.45, "AU17": 0.40, "AU24": 0.55},
            {"AU04": 0.60, "AU05": 0.40, "AU07": 0.35, "AU10": 0.40, "AU25": 0.45, "AU26": 0.20},
        ),
        "fearful": (
            {"AU01": 0.60, "AU02": 0.35, "AU04": 0.45, "AU05": 0.55, "AU20": 0.55, "AU25": 0.40},
            {"AU01": 0.55, "AU02": 0.40, "AU04": 0.35, "AU05": 0.60, "AU25": 0.40, "AU26": 0.35},
            {"AU01": 0.50, "AU04": 0.40, "AU05": 0.45, "AU07": 0.25, "AU20": 0.60, "AU25": 0.25},
        ),
        "disgust": (
            {"AU04": 0.25, "AU09": 0.65, "AU10": 0.35, "AU07": 0.30, "AU25": 0.15},
            {"AU06": 0.25, "AU10": 0.65, "AU16": 0.40, "AU25": 0.45, "AU09": 0.20},
            {"AU09": 0.45, "AU15": 0.35, "AU17": 0.50, "AU07": 0.25},
        ),
        "surprised": (
            {"AU01": 0.60, "AU02": 0.60, "AU05": 0.45, "AU25": 0.45, "AU26": 0.60},
            {"AU01": 0.65, "AU02": 0.65, "AU05": 0.30, "AU25": 0.40, "AU26": 0.25},
            {"AU01": 0.45, "AU02": 0.50, "AU05": 0.60, "AU25": 0.50, "AU26": 0.80},
        ),
    }
)
"""Per expression, the ways to show it: activations at normal intensity; others are 0."""

STRONG_GAIN: Final = 1.4
"""RAVDESS's strong intensity over its normal one."""

_VARIANT_ODDS: Final = (0.65, 0.22, 0.13)
_GAIN_SPREAD: Final = 0.28
_ACCENT_SPREAD: Final = 0.08
_REST: Final = MappingProxyType(
    {
        "AU01": 0.10,
        "AU02": 0.08,
        "AU04": 0.15,
        "AU05": 0.10,
        "AU06": 0.10,
        "AU07": 0.10,
        "AU12": 0.10,
        "AU15": 0.14,
        "AU17": 0.08,
        "AU23": 0.10,
        "AU25": 0.07,
        "AU43": 0.08,
    }
)
_OTHER_VARIANT: Final = 0.2
_TAKE_SPREAD: Final = 0.10
_TAKE_GAIN_SPREAD: Final = 0.22

Activations = NDArray[np.float64]
"""`(..., len(ACTION_UNITS))`, in the order of `ACTION_UNITS`, 0..1."""


def activations(units: Mapping[str, float] | ArrayLike) -> Activations:
    """Activations `(len(ACTION_UNITS),)` from names such as `AU12` or from an array, cut to 0..1.

    Raises:
        UsageError: an unknown name, a wrong length, or a value that is not finite.

    >>> float(activations({"AU12": 0.5}).sum())
    0.5
    """
    vector = _named(units) if isinstance(units, Mapping) else np.asarray(units, dtype=np.float64)
    if vector.shape != (len(ACTION_UNITS),):
        raise UsageError(
            f"action units have shape {vector.shape}, expected ({len(ACTION_UNITS)},): "
            "give one number for each of ACTION_UNITS"
        )
    if not np.isfinite(vector).all():
        raise UsageError("action units hold NaN or infinity: give numbers from 0 to 1")
    return np.clip(vector, 0.0, 1.0)


def _named(units: Mapping[str, float]) -> Activations:
    vector = np.zeros(len(ACTION_UNITS))
    for name, value in units.items():
        if name not in AU_INDEX:
            raise UsageError(f"action unit {name!r} is unknown: use one of {', '.join(AU_INDEX)}")
        vector[AU_INDEX[name]] = value
    return vector


@dataclass(frozen=True)
class Style:
    """How one person shows expressions.

    `variant` `(8,)` is the prototype preferred for each expression, `gain` `(units,)` multiplies
    and `rest` `(units,)` is added at all times (the face at rest), `accent` `(8, units)` is what
    this person adds to an expression's own units.
    """

    variant: tuple[int, ...]
    gain: Activations
    rest: Activations
    accent: Activations


def draw_style(seed: int, actor: int) -> Style:
    """The manner of `actor` in the world of `seed`; a function of the two only."""
    random = generator(seed, "style", client=actor)
    count = len(ACTION_UNITS)
    variants = [int(random.choice(3, p=_VARIANT_ODDS)) for _ in EXPRESSIONS]
    scale = np.array([_REST.get(name, 0.0) for name in ACTION_UNITS])
    return Style(
        variant=tuple(v % len(PROTOTYPES[e]) for v, e in zip(variants, EXPRESSIONS, strict=True)),
        gain=np.exp(random.normal(0.0, _GAIN_SPREAD, count)),
        rest=np.clip(np.abs(random.normal(0.0, 1.0, count)), 0.0, 2.0) * scale,
        accent=random.normal(0.0, _ACCENT_SPREAD, (len(EXPRESSIONS), count)),
    )


def _chosen(style: Style, label: int, random: np.random.Generator) -> Mapping[str, float]:
    variants = PROTOTYPES[EXPRESSIONS[label]]
    wandering, other = random.uniform() < _OTHER_VARIANT, int(random.integers(len(variants)))
    return variants[other if wandering else style.variant[label]]


def apex(style: Style, label: int, intensity: int, random: np.random.Generator) -> Activations:
    """Activations `(units,)` that a take adds to the resting face at its height.

    Args:
        style: the person's.
        label: index into `EXPRESSIONS`.
        intensity: 1 normal, 2 strong.
        random: the take's own generator; no two repetitions are the same.
    """
    prototype = _named(_chosen(style, label, random))
    used = prototype > 0
    strength = (STRONG_GAIN if intensity == 2 else 1.0) * np.exp(
        random.normal(0.0, _TAKE_GAIN_SPREAD)
    )
    own = np.maximum(prototype * style.gain + style.accent[label] * used, 0.03 * used)
    slip = random.normal(0.0, _TAKE_SPREAD, len(prototype)) * (used + 0.4 * (style.rest > 0))
    return np.asarray(own * strength + slip)
