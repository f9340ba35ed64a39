"""Pairs that are made up: features and posteriors that tell the expression, with noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from client.avatar.detectors.interface import CLASSES, Pair, Seen
from client.avatar.detectors.training import Labelled

WIDTH = 12


def posterior(label: int, random: np.random.Generator, sureness: float = 3.0) -> np.ndarray:
    logits = random.normal(0.0, 0.5, CLASSES)
    logits[label] += sureness
    return np.asarray(np.exp(logits) / np.exp(logits).sum())


def seen(label: int, random: np.random.Generator) -> Seen:
    centres = np.random.default_rng(5).normal(0.0, 2.0, (CLASSES, WIDTH))
    features = (centres[label] + random.normal(0.0, 0.3, WIDTH)).astype(np.float32)
    return Seen(features, posterior(label, random))


def pair(face: int, avatar: int, random: np.random.Generator) -> Pair:
    own = [posterior(label, random, 5.0) for label in (face, avatar)]
    return Pair(seen(face, random), seen(avatar, random), own[0], own[1])


def labelled(count: int, seed: int = 0, *, own: bool = True, told: bool = True) -> Labelled:
    """Pairs of random expressions, every second one wrong; `told` is what they show."""
    random = np.random.default_rng(seed)
    pairs, shown = [], []
    for place in range(count):
        face = int(random.integers(CLASSES))
        other = (face + int(random.integers(1, CLASSES))) % CLASSES
        avatar = other if place % 2 else face
        made = pair(face, avatar, random)
        pairs.append(made if own else replace(made, personal=None, own_avatar=None))
        shown.append((face, avatar))
    mismatch = np.arange(count) % 2 == 1
    return Labelled(tuple(pairs), mismatch, np.array(shown) if told else None)
