"""torch: the oracle of the other engines, and the one that runs on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from common.backbones.engines.base import Crops, Done, Features, Pending, gathered
from common.errors import UsageError


class Pixels(nn.Module):
    """(n, size, size, channels) uint8 to (n, channels, size, size) float32, normalised."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """(level - mean) / std."""
        return (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std


class TorchEngine:
    """`Engine` around a module that maps uint8 crops to features."""

    def __init__(self, module: nn.Module, *, dimension: int, precision: str) -> None:
        """Takes the module over: to the GPU where there is one, frozen.

        Raises:
            UsageError: `precision` is not float32.
        """
        if precision != "float32":
            raise UsageError(f"precision is {precision}, but torch has float32 only here")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._module = module.eval().requires_grad_(False).to(self._device)
        self._dimension = dimension

    @property
    def provenance(self) -> str:
        """Engine, its version, precision and device."""
        return f"torch {torch.__version__} float32 {self._device}"

    def run(self, crops: Crops) -> Features:
        """Features; on the CPU crop by crop, so that they do not depend on the batch."""
        step = 1 if self._device == "cpu" else max(1, len(crops))
        parts = [self._some(crops[i : i + step]) for i in range(0, len(crops), step)]
        return gathered(parts, self._dimension)

    def submit(self, crops: Crops) -> Pending:
        """The same at once: torch's threads are set for the whole process, not here."""
        return Done(self.run(crops))

    def close(self) -> None:
        """Nothing to stop."""

    @torch.inference_mode()
    def _some(self, crops: Crops) -> Features:
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(self._device)
        return np.asarray(self._module(pixels).float().cpu().numpy())
