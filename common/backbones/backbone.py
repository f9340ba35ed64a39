"""A loaded backbone: its record and the engine that runs it."""

from __future__ import annotations

from typing import Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt

from common.backbones.engines.base import Engine, Features, Pending
from common.backbones.records import BackboneRecord, feature_spec


class Backbone(Protocol):
    """A loaded backbone."""

    @property
    def record(self) -> BackboneRecord:
        """What it is."""
        ...

    @property
    def provenance(self) -> str:
        """The feature specification, and the engine, its version, precision and device.

        Features of one specification may be used together, whatever made them.  The recorded
        weights that were read are not told here: one record may have them in several files.  A key
        of a cache needs those too, see `common.backbones.registry.made_with`.
        """
        ...

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Frame features, (n, dimension) float32, of RGB crops, (n, size, size, 3) uint8.

        `n` may be 0.

        Raises:
            ValueError: shape or type of the crops is another.
        """
        ...

    def submit(self, crops: npt.NDArray[np.uint8]) -> Pending:
        """Start on the crops and return at once where the engine can; `result()` waits.

        The crops must not be changed before the result is there.

        Raises:
            ValueError: shape or type of the crops is another.
        """
        ...

    def close(self) -> None:
        """Stop its threads; it must not be used afterwards."""
        ...


class EngineBackbone:
    """`Backbone` by an engine."""

    def __init__(self, record: BackboneRecord, engine: Engine) -> None:
        """`engine` takes crops as `network_crops` makes them."""
        self._record = record
        self._engine = engine

    @property
    def record(self) -> BackboneRecord:
        """What it is."""
        return self._record

    @property
    def provenance(self) -> str:
        """Feature specification, engine, its version, precision and device."""
        return f"{feature_spec(self._record)} {self._engine.provenance}"

    def features(self, crops: npt.NDArray[np.uint8]) -> Features:
        """Frame features, (n, dimension) float32, of RGB crops, (n, size, size, 3) uint8."""
        return self._engine.run(network_crops(self._record, crops))

    def submit(self, crops: npt.NDArray[np.uint8]) -> Pending:
        """Start on the crops; `result()` waits for their features."""
        return self._engine.submit(network_crops(self._record, crops))

    def close(self) -> None:
        """Stop the engine's threads."""
        self._engine.close()

    def __enter__(self) -> Self:
        """For `with`: closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def network_crops(record: BackboneRecord, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Crops in the network's colour, (n, size, size, channels) uint8.

    Raises:
        ValueError: shape or type of the crops is another than (n, size, size, 3) uint8.
    """
    size = record.input_size
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        raise ValueError(
            f"crops are {crops.dtype} {crops.shape}, expected uint8 (n, {size}, {size}, 3)"
        )
    if record.colour == "rgb":
        return crops
    grey = [cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY) for crop in crops]
    return np.array(grey, dtype=np.uint8).reshape(len(crops), size, size, 1)
