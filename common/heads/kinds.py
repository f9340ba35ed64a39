"""The kinds of head: how each makes one descriptor of a clip's frames.

Every kind classifies its descriptor linearly, `logits = weight @ descriptor + bias`, so that no
layer mixes clips behind raw features. Equations are numbered as in Churaev and Savchenko,
Computer Optics 47(5), 2023. All functions are pure: parameters in, tensors out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from common.heads.batch import ClipBatch
from common.heads.specification import HeadSpecification

Parameters = Mapping[str, Tensor]
Descriptor = Callable[[Parameters, ClipBatch], Tensor]

SMALLEST_SUM = 1e-3
"""Keeps the printed equation 5 defined where its alphas cancel (PAPER: mixed signs, sum near 0)."""


def pools_first(kind: str) -> bool:
    """Whether a clip's frames are pooled before standardisation, so that a clip is one row."""
    return kind == "logistic"


def initial_parameters(
    specification: HeadSpecification, generator: np.random.Generator
) -> dict[str, Tensor]:
    """Parameters of one branch before training: projections Glorot-uniform, all else 0."""
    parameters: dict[str, Tensor] = {}
    for name, shape in specification.branch_shapes().items():
        if name.endswith("projection"):
            limit = math.sqrt(6.0 / sum(shape))
            parameters[name] = torch.from_numpy(generator.uniform(-limit, limit, shape))
        else:
            parameters[name] = torch.zeros(shape, dtype=torch.float64)
    return parameters


def descriptor(kind: str, parameters: Parameters, batch: ClipBatch) -> Tensor:
    """Descriptors of a batch, (clips, dimension).

    Raises:
        KeyError: the kind is unknown.
    """
    return _DESCRIPTORS[kind](parameters, batch)


def logits(kind: str, parameters: Parameters, batch: ClipBatch) -> Tensor:
    """Unnormalised log-probabilities of a batch, (clips, classes)."""
    pooled = descriptor(kind, parameters, batch)
    return pooled @ parameters["weight"].T + parameters["bias"]


def _pooled(parameters: Parameters, batch: ClipBatch) -> Tensor:
    del parameters
    if batch.frames.shape[1] == 1:
        return batch.frames[:, 0]
    weights = batch.mask.to(batch.frames.dtype)
    return _weighted_sum(weights / weights.sum(1, keepdim=True), batch)


def _single_attention(parameters: Parameters, batch: ClipBatch) -> Tensor:
    """Equations 1-2: alpha_i = sigmoid(f_i . q0), descriptor = sum alpha_i f_i / sum alpha_i."""
    return _gated_mean(batch.frames @ parameters["query"], batch)


def _self_attention(parameters: Parameters, batch: ClipBatch) -> Tensor:
    """softmax(Q K^T / sqrt(d_k)) V over frames with V = K (eq. 3), then the pooling of eq. 6-7."""
    queries, keys = _projections(parameters, batch)
    scores = queries @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
    scores = scores.masked_fill(~batch.mask[:, None, :], -torch.inf)
    mixed = torch.softmax(scores, dim=-1) @ keys
    return _gated_mean(mixed @ parameters["query"], batch)


def _self_attention_literal(parameters: Parameters, batch: ClipBatch) -> Tensor:
    """Equations 4-5 as printed: each frame with itself, alphas divided by their sum."""
    queries, keys = _projections(parameters, batch)
    alpha = (queries * keys).sum(-1) / math.sqrt(keys.shape[-1])
    alpha = torch.where(batch.mask, alpha, torch.zeros_like(alpha))
    total = alpha.sum(1, keepdim=True)
    floored = torch.where(total < 0, -1.0, 1.0) * total.abs().clamp_min(SMALLEST_SUM)
    beta = (alpha / floored)[..., None] * keys
    return _gated_mean(beta @ parameters["query"], batch)


def _projections(parameters: Parameters, batch: ClipBatch) -> tuple[Tensor, Tensor]:
    return (
        batch.frames @ parameters["query_projection"],
        batch.frames @ parameters["key_projection"],
    )


def _gated_mean(scores: Tensor, batch: ClipBatch) -> Tensor:
    """Mean of frames weighted by sigmoid(scores), (clips, frames).

    As a softmax of log-sigmoids: defined where every gate is shut and the sigmoids are all 0.
    """
    logs = logsigmoid(scores).masked_fill(~batch.mask, -torch.inf)
    return _weighted_sum(torch.softmax(logs, dim=1), batch)


def _weighted_sum(weights: Tensor, batch: ClipBatch) -> Tensor:
    return (weights[..., None] * batch.frames).sum(1)


_DESCRIPTORS: Mapping[str, Descriptor] = {
    "logistic": _pooled,
    "single-attention": _single_attention,
    "self-attention": _self_attention,
    "self-attention-literal": _self_attention_literal,
}
