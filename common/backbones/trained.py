"""Backbones that somebody trained here: an ONNX graph and its record, in the weights folder.

`trained/ID.onnx` maps normalised images, (1, 3, size, size) float32, to the two outputs `features`,
(1, dimension), and `logits`, (1, labels); `trained/ID.json` says what a `BackboneRecord` says, and
the graph's SHA-256.  A record's id ends in the first digits of that checksum, since features of a
network that was trained again must not be mixed with the old one's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from common.backbones.engines.choice import Network
from common.backbones.records import RECORDS, BackboneRecord
from common.errors import UsageError, WorkError
from common.files import write_atomically
from common.weights.files import digests_of
from common.weights.store import default_store

if TYPE_CHECKING:  # neither is needed to know which backbones there are
    import onnx
    from torch import nn

SCHEMA: Final = "mien-trained-backbone/1"
OUTPUTS: Final = ("features", "logits")
DIGITS: Final = 12
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_READABLE: Final = 0o644
_LARGEST_RECORD: Final = 1 << 20
_KEPT: Final = tuple(
    field.name
    for field in fields(BackboneRecord)
    if field.name not in ("id", "files", "sha256", "more_outputs", "bfloat16")
)


@dataclass(frozen=True)
class TrainedBackbone:
    """A backbone's record and its graph's file."""

    record: BackboneRecord
    path: Path


def trained_folder() -> Path:
    """Where trained backbones are kept: `trained` in the weights folder."""
    return default_store().folder / "trained"


def check_id(id: str) -> str:
    """An id under which a backbone may be kept.

    Raises:
        UsageError: it could leave the folder, or is that of a backbone that Mien brings.
    """
    if not _ID.fullmatch(id):
        raise UsageError(f"the id {id[:90]!r} won't do: use lower-case letters, digits and . _ -")
    if id in RECORDS:
        raise UsageError(f"{id} is a backbone that Mien brings; choose another id")
    return id


def trained_ids() -> tuple[str, ...]:
    """Ids of all that are in the folder, sorted; none is read."""
    folder = trained_folder()
    if not folder.is_dir():
        return ()
    found = [path.stem for path in folder.glob("*.json")]
    return tuple(sorted(id for id in found if _ID.fullmatch(id) and id not in RECORDS))


def find_trained(id: str) -> TrainedBackbone | None:
    """A trained backbone by its id, with or without the digits of its checksum; None if not there.

    Raises:
        UsageError: the digits are those of another training.
        WorkError: its record is damaged.
    """
    name, _, digits = id.partition("+")
    if name not in trained_ids():
        return None
    found = read_trained(trained_folder() / f"{name}.json")
    if digits and found.record.id != id:
        raise UsageError(
            f"the backbone {id} is gone: {name} is another training now, {found.record.id}; "
            "extract its features again"
        )
    return found


def read_trained(path: Path) -> TrainedBackbone:
    """A trained backbone from its record's file; its graph lies beside it.

    Raises:
        WorkError: the record can't be read or is damaged.
    """
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            raise ValueError("it is too large")
        told = json.loads(path.read_text(encoding="utf-8"))
        return TrainedBackbone(_record(path.stem, told), path.with_suffix(".onnx"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(
            f"{path}: is no record of a trained backbone ({error}); train or install it again"
        ) from error


def write_trained(path: Path, graph: bytes, told: Mapping[str, Any]) -> TrainedBackbone:
    """Write a graph and its record, the record last.

    Args:
        path: of the record, `ID.json`; the graph comes beside it as `ID.onnx`.
        graph: a serialised ONNX graph as the module says.
        told: what `described` made of a record, its checksum left out.

    Raises:
        WorkError: the files can't be written, or the record is not in order.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.with_suffix(".onnx")
        write_atomically(place, graph, mode=_READABLE)
        whole = {"schema": SCHEMA, **told, "sha256": digests_of(place).sha256}
        write_atomically(path, json.dumps(whole, indent=1).encode(), mode=_READABLE)
    except OSError as error:
        raise WorkError(f"{path}: can't be written ({error.strerror})") from error
    return read_trained(path)


def described(record: BackboneRecord, about: Mapping[str, Any]) -> dict[str, Any]:
    """A record for JSON; `about` holds what else is told of the training."""
    return {**{name: getattr(record, name) for name in _KEPT}, "about": dict(about)}


def install(path: Path, id: str) -> TrainedBackbone:
    """Copy a trained backbone into the weights folder, where it is known by `id`.

    Args:
        path: of its record; the graph lies beside it.
        id: name in settings and commands.

    Raises:
        UsageError: the id won't do.
        WorkError: the files are damaged, or the folder can't be written.
    """
    target = trained_folder() / f"{check_id(id)}.json"
    found = read_trained(path)
    graph = _checked(found).SerializeToString()
    about = json.loads(path.read_text(encoding="utf-8")).get("about", {})
    return write_trained(target, graph, described(found.record, about))


def trained_network(trained: TrainedBackbone, *, labels: bool = False) -> Network:
    """What an engine runs; the graph is read when it asks for it.

    Args:
        trained: from `find_trained`.
        labels: whether the logits come behind the features.
    """
    record = trained.record
    width = record.dimension + (len(record.labels) if labels else 0)
    return Network(width, partial(_graph, trained, labels, width), partial(_no_module, record.id))


def _record(id: str, told: Any) -> BackboneRecord:
    if told["schema"] != SCHEMA:
        raise ValueError(f"schema is {told['schema']!r}, expected {SCHEMA!r}")
    digest = str(told["sha256"])
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("its SHA-256 is none")
    known = {name: told[name] for name in _KEPT}
    for name in ("mean", "std"):
        known[name] = tuple(float(value) for value in known[name])
    known["labels"] = tuple(str(label) for label in known["labels"])
    for name in ("input_size", "dimension", "version"):
        if type(known[name]) is not int or not 0 < known[name] <= 1 << 16:
            raise ValueError(f"{name} is {known[name]!r}")
    return BackboneRecord(id=f"{id}+{digest[:DIGITS]}", sha256=digest, **known)


def _checked(trained: TrainedBackbone) -> onnx.ModelProto:
    """The graph, if it is the recorded one."""
    found, record = digests_of(trained.path).sha256, trained.record
    if found != record.sha256:
        raise WorkError(
            f"{trained.path}: has SHA-256 {found}, its record says {record.sha256}; train or "
            "install it again"
        )
    from common.backbones.onnx_graph import read_onnx

    return read_onnx(trained.path)


def _graph(trained: TrainedBackbone, labels: bool, width: int) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    from common.backbones.onnx_graph import FEATURES, with_pixels

    model, record = _checked(trained), trained.record
    named = tuple(output.name for output in model.graph.output)
    if named != OUTPUTS or len(model.graph.input) != 1:
        raise WorkError(f"{trained.path}: has the outputs {named}, expected {OUTPUTS}")
    if labels:
        last = helper.make_node("Concat", list(OUTPUTS), [FEATURES], axis=1)
    else:
        last = helper.make_node("Identity", [OUTPUTS[0]], [FEATURES])
    model.graph.node.append(last)
    del model.graph.output[:]
    shape = [1, width]
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape))
    return with_pixels(model, mean=record.mean, std=record.std, size=record.input_size)


def _no_module(id: str) -> nn.Module:
    raise UsageError(
        f"the backbone {id} runs in openvino or onnxruntime; torch can't run its graph"
    )
