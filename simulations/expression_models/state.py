"""Where a training stands, as one file: tensors in safetensors, the rest as JSON in its header.

Nothing is pickled.  Random states need no place in it: every random choice is a function of the
seed, the epoch and the batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from common.errors import UsageError, WorkError
from common.files import write_atomically

SCHEMA: Final = "mien-training/1"
_READABLE: Final = 0o644


@dataclass(frozen=True)
class Epoch:
    """One epoch, from 1: the mean training loss, validation figures, and the learning rate."""

    epoch: int
    loss: float
    accuracy: float
    macro_recall: float
    validation_loss: float
    learning_rate: float


@dataclass
class State:
    """Where a training stands, but for tensors.

    Attributes:
        run: what the run is of: recipe, faces, seed, ...; another run's state is refused.
        epoch: that is being trained, from 0.
        position: batches of it that are done.
        loss, seen: sum of the batches' losses times their faces, and faces, of this epoch.
        best_epoch: from 1; 0 before the first.
        history: of whole epochs.
        finished: whether training has ended.
        damaged: names of images that could not be used, each once.
    """

    run: dict[str, Any]
    epoch: int = 0
    position: int = 0
    loss: float = 0.0
    seen: int = 0
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)
    finished: bool = False
    damaged: list[str] = field(default_factory=list)

    def note_damaged(self, names: Iterable[str]) -> None:
        """Keep names of images that could not be used."""
        self.damaged = sorted({*self.damaged, *names})

    def better(self, new: Epoch) -> bool:
        """Whether a new epoch beats the best so far, by accuracy and then by loss."""
        if not self.best_epoch:
            return True
        best = self.history[self.best_epoch - 1]
        return (new.accuracy, -new.validation_loss) > (best.accuracy, -best.validation_loss)


def save_state(
    path: Path,
    state: State,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    others: Mapping[str, Any],
) -> None:
    """Write all that is needed to go on, wholly or not at all.

    Args:
        path: of the file.
        state: where the training stands.
        network: its weights and statistics.
        optimiser: its moments and learning rates.
        others: state dicts that JSON can hold, by name (schedule, loss scaling).

    Raises:
        WorkError: it can't be written.
    """
    moments = optimiser.state_dict()
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for number, entry in moments["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in entry.items()}
    rates = [{k: group[k] for k in ("lr", "initial_lr")} for group in moments["param_groups"]]
    told = {"schema": SCHEMA, "state": asdict(state), "rates": rates, "others": dict(others)}
    save_tensors(path, tensors, {"mien": json.dumps(told)})


def load_state(
    path: Path, run: Mapping[str, Any], network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[State, dict[str, Any]]:
    """Read what `save_state` wrote into a network and an optimiser of the same kind.

    Returns:
        Where the training stands, and `others`.

    Raises:
        UsageError: it is the state of another run.
        WorkError: the file can't be read or is damaged.
    """
    tensors, header = load_tensors(path)
    told = _told(path, header)
    state = _state(path, told)
    _check_run(path, state.run, run)
    try:
        network.load_state_dict(_under("network.", tensors))
        moments = optimiser.state_dict()
        moments["state"] = _moments(_under("optimiser.", tensors))
        for group, rates in zip(moments["param_groups"], told["rates"], strict=True):
            group.update(rates)
        optimiser.load_state_dict(moments)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WorkError(f"{path}: does not fit this network; remove it to begin anew") from error
    return state, told["others"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write a safetensors file, wholly or not at all.

    Raises:
        WorkError: it can't be written.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        write_atomically(path, save(plain, dict(header)), mode=_READABLE)
    except OSError as error:
        raise WorkError(f"{path}: can't be written ({error.strerror})") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file.

    Raises:
        WorkError: it can't be read or is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WorkError(f"{path}: can't be read ({error}); remove it to begin anew") from error


def _told(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    try:
        told = json.loads(header["mien"])
        if told["schema"] == SCHEMA:
            return dict(told)
    except (KeyError, TypeError, ValueError):
        pass
    raise WorkError(f"{path}: is no checkpoint of schema {SCHEMA}; remove it to begin anew")


def _state(path: Path, told: Mapping[str, Any]) -> State:
    try:
        fields = dict(told["state"])
        fields["history"] = [Epoch(**entry) for entry in fields["history"]]
        return State(**fields)
    except (KeyError, TypeError) as error:
        raise WorkError(f"{path}: is damaged; remove it to begin anew") from error


def _check_run(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    told = json.loads(json.dumps(wanted))
    other = sorted(key for key in found.keys() | told.keys() if found.get(key) != told.get(key))
    if other:
        raise UsageError(
            f"{path}: belongs to a run with another {other[0]}: found {found.get(other[0])!r}, "
            f"this run has {told.get(other[0])!r}; use another folder, or do not resume"
        )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _moments(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, part = name.partition(".")
        found.setdefault(int(number), {})[part] = value
    return found
