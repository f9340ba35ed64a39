"""All that a server carries from round to round, on disk: the head and what its strategy keeps.

One safetensors file, written whole or not at all. A run that was killed goes on from it and makes
the same heads, bit by bit, as one that was not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import UsageError, WorkError
from common.files import write_atomically
from common.heads.specification import BRANCHES, HeadSpecification
from common.heads.universal import UniversalHead
from common.settings import FederationPlan
from server.aggregation import ServerState
from server.strategies.fedavg import History
from server.strategies.moments import Moments

SCHEMA: Final = "mien-checkpoint/1"
PASTS: Final = {kind.__name__: kind for kind in (History, Moments)}
"""What strategies keep: an array, or a dataclass of arrays, tuples of arrays, whole numbers."""
ARRAY: Final = "array"

Tensors = dict[str, npt.NDArray[Any]]


def save_checkpoint(path: Path, state: ServerState, plan: FederationPlan) -> None:
    """Write the state of the federation of `plan`."""
    tensors: Tensors = {f"head/{name}": array for name, array in state.head.arrays.items()}
    kept = {branch: _taken_apart(state.pasts[branch], branch, tensors) for branch in BRANCHES}
    about = {
        "schema": SCHEMA,
        "plan": _identity(plan),
        "specification": state.head.specification.to_json(),
        "round": state.round,
        "pasts": kept,
    }
    whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    write_atomically(path, save(whole, {"about": json.dumps(about)}))


def load_checkpoint(path: Path, plan: FederationPlan) -> ServerState | None:
    """What `save_checkpoint` wrote; None where there is none yet.

    Raises:
        WorkError: the file is damaged, or of a federation whose plan differs in more than its
            number of rounds.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["schema"] != SCHEMA:
            raise WorkError(f"{path.name} is {about['schema']!r}, expected {SCHEMA!r}")
        if about["plan"] != _identity(plan):
            raise WorkError(
                f"{path.name} is of a federation with another plan; finish that one, or move the "
                "file away to start anew"
            )
        return _put_together(about, tensors)
    except (OSError, UsageError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WorkError(f"{path.name} is not a readable checkpoint: {error}") from error


def _identity(plan: FederationPlan) -> str:
    """The plan without its number of rounds: a federation may be given more of them."""
    return dataclasses.replace(plan, rounds=1).to_json()


def _put_together(about: Mapping[str, Any], tensors: Tensors) -> ServerState:
    specification = HeadSpecification.from_json(about["specification"])
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for name, shape in specification.all_shapes().items():
        array = tensors[f"head/{name}"]
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite float32 of its shape")
        arrays[name] = array
    pasts = {branch: _past(about["pasts"][branch], branch, tensors) for branch in BRANCHES}
    return ServerState(UniversalHead(specification, arrays), int(about["round"]), pasts)


def _taken_apart(past: Any, branch: str, tensors: Tensors) -> dict[str, Any] | None:
    """Arrays go to `tensors`; returned is what JSON can hold of the rest."""
    if past is None:
        return None
    if isinstance(past, np.ndarray):
        tensors[branch] = past
        return {"kind": ARRAY, "fields": {}}
    kind = type(past).__name__
    if PASTS.get(kind) is not type(past):
        raise WorkError(f"what the strategy keeps, {kind}, can't be kept on disk")
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(past):
        value = getattr(past, field.name)
        key = f"{branch}/{field.name}"
        if isinstance(value, tuple):
            plain[field.name] = ["arrays", len(value)]
            tensors |= {f"{key}/{number}": array for number, array in enumerate(value)}
        elif isinstance(value, np.ndarray):
            plain[field.name] = ["array"]
            tensors[key] = value
        else:
            plain[field.name] = ["number", int(value)]
    return {"kind": kind, "fields": plain}


def _past(told: Mapping[str, Any] | None, branch: str, tensors: Tensors) -> Any:
    if told is None:
        return None
    if told["kind"] == ARRAY:
        return tensors[branch]
    values: dict[str, Any] = {}
    for name, (how, *count) in told["fields"].items():
        key = f"{branch}/{name}"
        if how == "arrays":
            values[name] = tuple(tensors[f"{key}/{number}"] for number in range(count[0]))
        else:
            values[name] = tensors[key] if how == "array" else count[0]
    return PASTS[told["kind"]](**values)
