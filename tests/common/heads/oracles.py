"""Slow and obvious: the paper's equations 1-7, one clip and one frame at a time, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.heads.batch import ClipBatch, pad_clips
from common.heads.specification import HeadSpecification

Vector = npt.NDArray[np.float64]
Values = Mapping[str, Vector]

CLASSES = 3
KEYS = 2


def sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))


def dot(one: Vector, two: Vector) -> float:
    return float(sum(a * b for a, b in zip(one, two, strict=True)))


def weighted_mean(weights: Sequence[float], frames: Vector) -> Vector:
    """Equations 2 and 7."""
    total = np.zeros(frames.shape[1])
    for weight, frame in zip(weights, frames, strict=True):
        total = total + weight * frame
    return total / sum(weights)


def logistic(values: Values, frames: Vector) -> Vector:
    """Rows that were pooled before; several rows are averaged."""
    del values
    return weighted_mean([1.0] * len(frames), frames)


def single_attention(values: Values, frames: Vector) -> Vector:
    """Equation 1: alpha_i = sigmoid(f_i . q0)."""
    return weighted_mean([sigmoid(dot(frame, values["query"])) for frame in frames], frames)


def projected(values: Values, frames: Vector) -> tuple[list[Vector], list[Vector]]:
    """Equation 3: q_i = f_i W^q, k_i = v_i = f_i W^k."""
    queries, keys = [], []
    for frame in frames:
        queries.append(np.array([dot(frame, c) for c in values["query_projection"].T]))
        keys.append(np.array([dot(frame, c) for c in values["key_projection"].T]))
    return queries, keys


def gated(values: Values, betas: Sequence[Vector], frames: Vector) -> Vector:
    """Equation 6: gamma_i = sigmoid(beta_i . q0)."""
    return weighted_mean([sigmoid(dot(beta, values["query"])) for beta in betas], frames)


def self_attention(values: Values, frames: Vector) -> Vector:
    """Keras's layer, which the paper's text names: softmax(Q K^T / sqrt(d_k)) V."""
    queries, keys = projected(values, frames)
    betas = []
    for query in queries:
        scores = [dot(query, key) / math.sqrt(len(key)) for key in keys]
        powers = [math.exp(score - max(scores)) for score in scores]
        shares = [power / sum(powers) for power in powers]
        betas.append(sum((s * k for s, k in zip(shares, keys, strict=True)), np.zeros(len(query))))
    return gated(values, betas, frames)


def self_attention_literal(values: Values, frames: Vector) -> Vector:
    """Equations 4 and 5 as printed: each frame with itself, no softmax, alphas over their sum."""
    queries, keys = projected(values, frames)
    alphas = [dot(q, k) / math.sqrt(len(k)) for q, k in zip(queries, keys, strict=True)]
    betas = [alpha * key / sum(alphas) for alpha, key in zip(alphas, keys, strict=True)]
    return gated(values, betas, frames)


DESCRIPTORS: Mapping[str, Callable[[Values, Vector], Vector]] = {
    "logistic": logistic,
    "single-attention": single_attention,
    "self-attention": self_attention,
    "self-attention-literal": self_attention_literal,
}


def alpha_sum(values: Values, frames: Vector) -> float:
    """The denominator of equation 5."""
    queries, keys = projected(values, frames)
    return sum(dot(q, k) / math.sqrt(len(k)) for q, k in zip(queries, keys, strict=True))


def logits(kind: str, values: Values, frames: Vector) -> Vector:
    descriptor = DESCRIPTORS[kind](values, frames)
    return np.array([dot(row, descriptor) for row in values["weight"]]) + values["bias"]


def specification_of(kind: str, dimension: int) -> HeadSpecification:
    return HeadSpecification(
        kind=kind, dimension=dimension, features="test", classes=CLASSES, key_dimension=KEYS
    )


def random_values(kind: str, dimension: int, random: np.random.Generator) -> dict[str, Vector]:
    shapes = specification_of(kind, dimension).branch_shapes()
    return {name: random.normal(size=shape) for name, shape in shapes.items()}


def random_clips(
    lengths: Sequence[int], dimension: int, random: np.random.Generator
) -> list[Vector]:
    return [random.normal(size=(length, dimension)) for length in lengths]


def tensors(values: Values) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value.copy()) for name, value in values.items()}


def batch_of(clips: Sequence[Vector]) -> ClipBatch:
    lengths = np.array([len(clip) for clip in clips], dtype=np.int64)
    return pad_clips(np.concatenate(list(clips)), lengths)
