"""What an engine is, and the part that OpenVINO and ONNX Runtime share.

Each crop is inferred by one thread and alone.  More threads take more crops at once, so that a
feature is the same bytes whatever the batch, the number of threads and the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

Crops = npt.NDArray[np.uint8]
"""(n, size, size, channels) uint8."""

Features = npt.NDArray[np.float32]
"""(n, dimension) float32."""


class Pending(Protocol):
    """Features that are being computed."""

    def result(self) -> Features:
        """Wait for them; what went wrong meanwhile is raised here."""
        ...


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def provenance(self) -> str:
        """Engine, its version, precision and device."""
        ...

    def run(self, crops: Crops) -> Features:
        """Features of the crops; they are read while this runs, never written."""
        ...

    def submit(self, crops: Crops) -> Pending:
        """Start on the crops, which must not be changed before the result is there."""
        ...

    def close(self) -> None:
        """Stop its threads; it must not be used afterwards."""
        ...


class Done:
    """`Pending` that never was."""

    def __init__(self, features: Features) -> None:
        self._features = features

    def result(self) -> Features:
        """The features."""
        return self._features


class _Gathered:
    def __init__(self, parts: Sequence[Future[Features]], dimension: int) -> None:
        self._parts = parts
        self._dimension = dimension

    def result(self) -> Features:
        return gathered([part.result() for part in self._parts], self._dimension)


class CropByCrop:
    """`Engine` around a function that makes one crop's feature and may run in several threads."""

    def __init__(
        self,
        one: Callable[[Crops], Features],
        *,
        dimension: int,
        threads: int,
        provenance: str,
    ) -> None:
        """`one` maps (1, size, size, channels) to (1, dimension)."""
        self._one = one
        self._dimension = dimension
        self._threads = threads
        self._provenance = provenance
        # Starts a thread only when there is work for it.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien-features")

    @property
    def provenance(self) -> str:
        """Engine, its version, precision and device."""
        return self._provenance

    def run(self, crops: Crops) -> Features:
        """Features of the crops; with one thread they are made in the caller's."""
        if self._threads == 1 or len(crops) == 1:
            return gathered([self._one(crop) for crop in _each(crops)], self._dimension)
        return self.submit(crops).result()

    def submit(self, crops: Crops) -> Pending:
        """Start on the crops in other threads."""
        return _Gathered(
            [self._pool.submit(self._one, crop) for crop in _each(crops)], self._dimension
        )

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)


def gathered(parts: Sequence[Features], dimension: int) -> Features:
    """Rows of single crops together; (0, dimension) where there are none."""
    return np.concatenate([np.zeros((0, dimension), np.float32), *parts])


def _each(crops: Crops) -> list[Crops]:
    return [np.ascontiguousarray(crops[i : i + 1]) for i in range(len(crops))]
