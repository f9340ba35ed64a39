"""Which backbones there are, and how to load them.

To add one: write its record (`records`), and its network (`networks`) or a class of its own; the
contract tests then run on it.  Backbones that were trained here (`mien train-backbone`) are found
in the weights folder by their ids (`trained`).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.backbones import records
from common.backbones.backbone import Backbone, EngineBackbone
from common.backbones.engines.choice import (
    AUTO,
    check_threads,
    chosen_engine,
    chosen_precision,
    open_engine,
)
from common.backbones.records import (
    BLENDSHAPES,
    DEFAULT_BACKBONE,
    EMOTIEFFNETS,
    MINI_XCEPTION,
    MOBILE_EMOTIFACE,
    RECORDS,
    BackboneRecord,
    feature_spec,
)
from common.backbones.trained import (
    TrainedBackbone,
    find_trained,
    trained_ids,
    trained_network,
)
from common.errors import UsageError, WorkError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BLENDSHAPES",
    "DEFAULT_BACKBONE",
    "EMOTIEFFNETS",
    "MINI_XCEPTION",
    "MOBILE_EMOTIFACE",
    "Backbone",
    "BackboneRecord",
    "backbone_ids",
    "backbone_record",
    "feature_spec",
    "load",
    "made_with",
    "twin",
]

OPENVINO: Final = "openvino"
_GRAPHS: Final = (".onnx", ".pt", ".h5", ".task")
_ENGINE_FILES: Final = {
    OPENVINO: _GRAPHS,
    "onnxruntime": _GRAPHS,
    "torch": (".pt", ".h5", ".task"),
}
"""Endings of the weight files that an engine can be given, see `common.backbones.networks`."""


def backbone_ids() -> tuple[str, ...]:
    """Ids of all backbones: those that Mien brings and those that were trained here, sorted.

    >>> "mini-xception" in backbone_ids()
    True
    """
    return tuple(sorted({*records.backbone_ids(), *trained_ids()}))


def backbone_record(id: str) -> BackboneRecord:
    """The record of a backbone, without loading it.

    Raises:
        UsageError: there is no such backbone.
        WorkError: it was trained here, and its record is damaged.
    """
    found = _trained(id)
    if found is not None:
        return found.record
    if id not in RECORDS:
        known = ", ".join(backbone_ids())
        raise UsageError(f"there is no backbone {id!r}; choose one of: {known}")
    return RECORDS[id]


def load(
    id: str,
    *,
    engine: str = AUTO,
    precision: str = AUTO,
    threads: int = 1,
    weights: Path | None = None,
) -> Backbone:
    """Load a backbone; torch is imported only for the engine torch.

    Args:
        id: of the backbone.
        engine: "openvino", "onnxruntime" or "torch", or "auto" for the first that is installed.
        precision: "float32", or "bfloat16" where OpenVINO and the CPU have it; "auto" is bfloat16
            where they have it and the record allows it, else float32.
        threads: crops inferred at the same time; features are the same bytes with any number.
        weights: a file to use in place of the recorded one; the record's id then tells.
            The backbone blendshapes takes no other file than the recorded one, and one that was
            trained here takes none.

    Raises:
        UsageError: an argument is out of range, or what it asks for is not installed.
        WorkError: the weights are missing or not those of the record.
    """
    record = backbone_record(id)
    if record is BLENDSHAPES:
        return _load_blendshapes(engine, precision, threads, weights)
    if (trained := _trained(id)) is not None:
        return _load_trained(trained, engine, precision, threads, weights)
    from common.backbones.networks import network

    told = _with_own_weights(record, weights) if weights else record
    running = open_engine(
        network(record, weights), engine=engine, precision=precision, threads=threads
    )
    return EngineBackbone(told, running)


def made_with(id: str, *, engine: str = AUTO, precision: str = AUTO) -> dict[str, str]:
    """What `load` with these arguments would run, without loading it: a part of caches' keys.

    Returns:
        The names "engine" and "precision" with what "auto" comes to here, and "weights" with the
        recorded checksum of the file that would be read.

    Raises:
        UsageError: an argument is out of range, or what it asks for is not installed.
    """
    record = backbone_record(id)
    runs = chosen_engine(engine)
    exact = chosen_precision(precision, record.bfloat16 and runs == OPENVINO)
    return {"engine": runs, "precision": exact, "weights": _weights_digest(record, runs)}


def _weights_digest(record: BackboneRecord, engine: str) -> str:
    if not record.files:
        return f"SHA-256 {record.sha256}"
    from common.weights.store import chosen_weights, default_store

    return chosen_weights(record.files, _ENGINE_FILES[engine], default_store()).expected


def twin(id: str, weights: Path | None = None) -> nn.Module:
    """The network of a backbone in torch, trainable.

    Args:
        id: of the backbone.
        weights: a file to use in place of the recorded one.

    Returns:
        A module from normalised images, (n, channels, size, size) float32, to features,
        (n, dimension).

    Raises:
        UsageError: there is no such backbone, or it has no network of its own.
        WorkError: the weights are missing or wrong.
    """
    record = backbone_record(id)
    if record is BLENDSHAPES or _trained(id) is not None:
        raise UsageError(f"the backbone {id} has no torch network")
    from common.backbones import networks

    return networks.twin(record, weights)


def _load_blendshapes(engine: str, precision: str, threads: int, model: Path | None) -> Backbone:
    if chosen_engine(engine) != OPENVINO:
        raise UsageError(f"engine is {engine!r}, but blendshapes runs in openvino only")
    from common.backbones.blendshapes import blendshapes_engine
    from common.backbones.networks import find_weights

    exact = chosen_precision(precision)
    check_threads(threads)
    path = model or find_weights(BLENDSHAPES.files, _ENGINE_FILES[OPENVINO])
    running = blendshapes_engine(BLENDSHAPES, path, precision=exact, threads=threads)
    return EngineBackbone(BLENDSHAPES, running)


def _trained(id: str) -> TrainedBackbone | None:
    return None if id in RECORDS else find_trained(id)


def _load_trained(
    trained: TrainedBackbone, engine: str, precision: str, threads: int, weights: Path | None
) -> Backbone:
    if weights is not None:
        raise UsageError(f"{trained.record.id} was trained here; it takes no other weights")
    running = open_engine(
        trained_network(trained), engine=engine, precision=precision, threads=threads
    )
    return EngineBackbone(trained.record, running)


def _with_own_weights(record: BackboneRecord, weights: Path) -> BackboneRecord:
    """Features of other weights must not be taken for the recorded ones'."""
    try:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WorkError(f"{weights}: cannot be read ({error.strerror})") from error
    if digest == record.sha256:
        return record
    return replace(record, id=f"{record.id}+{digest[:12]}")
