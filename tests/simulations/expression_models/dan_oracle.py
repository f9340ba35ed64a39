"""DAN in plain loops over numbers: the slow, readable oracle of the network's attention and losses.

Each function takes the weights by their names in the network's state dict, as float64.
"""

from __future__ import annotations

import math

import numpy as np

Weights = dict[str, np.ndarray]


def under(prefix: str, weights: Weights) -> Weights:
    return {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}


def batch_norm(values: np.ndarray, w: Weights) -> np.ndarray:
    """Channels first; by the kept statistics."""
    out = np.empty_like(values)
    for c in range(len(values)):
        scale = w["weight"][c] / math.sqrt(w["running_var"][c] + 1e-5)
        out[c] = (values[c] - w["running_mean"][c]) * scale + w["bias"][c]
    return out


def convolution(maps: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(channels, height, width); zeros around, stride 1."""
    outputs, inputs, rows, columns = kernel.shape
    _, height, width = maps.shape
    out = np.zeros((outputs, height, width))
    for o in range(outputs):
        for y in range(height):
            for x in range(width):
                for i in range(inputs):
                    for dy in range(rows):
                        for dx in range(columns):
                            row, column = y + dy - rows // 2, x + dx - columns // 2
                            if 0 <= row < height and 0 <= column < width:
                                out[o, y, x] += kernel[o, i, dy, dx] * maps[i, row, column]
    return out


def attention_head(maps: np.ndarray, w: Weights) -> np.ndarray:
    """(channels, height, width) to (channels,)."""
    s = under("spatial.", w)
    narrowed = batch_norm(convolution(maps, s["narrow.0.weight"]), under("narrow.1.", s))
    seen = np.zeros_like(maps)
    for number in range(3):
        looked = convolution(narrowed, s[f"around.{number}.0.weight"])
        seen += batch_norm(looked, under(f"around.{number}.1.", s))
    attended = maps * np.maximum(seen, 0).sum(axis=0)
    c = under("channel.weigh.", w)
    pooled = np.array([channel.mean() for channel in attended])
    inner = c["0.weight"] @ pooled + c["0.bias"]
    inner = np.maximum(batch_norm(inner, under("1.", c)), 0)
    outer = c["3.weight"] @ inner + c["3.bias"]
    return np.array([p / (1 + math.exp(-o)) for p, o in zip(pooled, outer, strict=True)])


def scaled(vectors: np.ndarray) -> np.ndarray:
    """(heads, channels): each channel's logarithm of its share among the heads."""
    out = np.empty_like(vectors)
    for k in range(len(vectors)):
        for j in range(vectors.shape[1]):
            total = sum(math.exp(other) for other in vectors[:, j])
            out[k, j] = math.log(math.exp(vectors[k, j]) / total)
    return out


def forward(maps: np.ndarray, w: Weights, heads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one image: features, logits, and the scaled vectors (heads, channels)."""
    vectors = np.stack([attention_head(maps, under(f"attention.{k}.", w)) for k in range(heads)])
    told = scaled(vectors)
    features = told.sum(axis=0)
    logits = batch_norm(w["linear.weight"] @ features + w["linear.bias"], under("norm.", w))
    return features, logits, told


def affinity(pooled: np.ndarray, centres: np.ndarray, labels: list[int]) -> float:
    """Mean squared distance to the own centre over the centres' variance, summed over channels."""
    spread = 0.0
    for channel in centres.T:
        middle = sum(channel) / len(channel)
        spread += sum((value - middle) ** 2 for value in channel) / len(channel)
    total = 0.0
    for x, y in zip(pooled, labels, strict=True):
        total += sum((a - b) ** 2 for a, b in zip(x, centres[y], strict=True)) / (spread + 1e-6)
    return total / len(labels)


def partition(images: np.ndarray) -> float:
    """Mean over images and channels of log(1 + heads / variance between heads)."""
    terms = []
    for vectors in images:
        for channel in vectors.T:
            middle = sum(channel) / len(channel)
            variance = sum((value - middle) ** 2 for value in channel) / len(channel)
            terms.append(math.log(1 + len(channel) / (variance + 1e-6)))
    return sum(terms) / len(terms)
