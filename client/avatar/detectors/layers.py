"""Small fully connected networks as plain arrays: trained detectors answer without torch.

A network's arrays are `mean` and `spread` (its inputs are standardised with them) and, layer after
layer, `0.weight` (out, in), `0.bias` (out,), `1.weight`, ... ; between layers stands a ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import UsageError

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    Attributes:
        mean, spread: (inputs,) of the training pairs' inputs; spreads are above 0.
        layers: (weight, bias) of each, first to last.

    Raises:
        UsageError: the shapes don't fit each other, or a number is not finite.
    """

    mean: Array
    spread: Array
    layers: tuple[tuple[Array, Array], ...]

    def __post_init__(self) -> None:
        width = len(self.mean)
        if self.mean.shape != self.spread.shape or self.mean.ndim != 1 or not self.layers:
            raise UsageError("a detector's network has no layers or no scale of its inputs")
        for weight, bias in self.layers:
            if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
                raise UsageError(
                    f"a detector's layer has weight {weight.shape} and bias {bias.shape} for "
                    f"{width} inputs, which don't fit; train the detector again"
                )
            width = len(bias)
        parts = (self.mean, self.spread, *(part for layer in self.layers for part in layer))
        if not all(np.isfinite(part).all() for part in parts) or (self.spread <= 0).any():
            raise UsageError(
                "a detector's network has numbers that are not finite or a spread of 0"
            )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return len(self.mean)

    def __call__(self, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(rows, outputs) of (rows, inputs).

        Raises:
            UsageError: another number of inputs.
        """
        if rows.ndim != 2 or rows.shape[1] != self.inputs:
            raise UsageError(
                f"the detector was trained on {self.inputs} numbers per picture and got "
                f"{rows.shape[-1]}; use the backbone that it was trained with"
            )
        values = (np.asarray(rows, np.float64) - self.mean) / self.spread
        for index, (weight, bias) in enumerate(self.layers):
            if index:
                values = np.maximum(values, 0.0)
            values = values @ weight.T.astype(np.float64) + bias
        return np.asarray(values)

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """Its arrays by name."""
        found = {f"{prefix}mean": self.mean, f"{prefix}spread": self.spread}
        for index, (weight, bias) in enumerate(self.layers):
            found |= {f"{prefix}{index}.weight": weight, f"{prefix}{index}.bias": bias}
        return found


def network_of(arrays: Mapping[str, Array], prefix: str = "") -> Network:
    """Inverse of `Network.arrays`.

    Raises:
        UsageError: an array is missing, or they don't fit.
    """
    try:
        layers: list[tuple[Array, Array]] = []
        while f"{prefix}{len(layers)}.weight" in arrays:
            at = f"{prefix}{len(layers)}"
            layers.append((arrays[f"{at}.weight"], arrays[f"{at}.bias"]))
        return Network(arrays[f"{prefix}mean"], arrays[f"{prefix}spread"], tuple(layers))
    except KeyError as error:
        raise UsageError(f"a detector's array {error} is missing; train it again") from error
