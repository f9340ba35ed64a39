"""A server's run: every planned federation, its head and its rounds kept on disk."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead
from common.messages import Request
from common.settings import FederationPlan
from server.audit.recording_format import write_claim
from server.audit.transcript import Claim
from server.federation import Fleet, RoundRecord, run_federation
from server.noising import privacy_record
from server.recording import keep_noised
from server.strategies.mean import WeightedMean

REFERENCE: Final = "reference.safetensors"
"""A public reference, in place of round 0, in the server's folder."""
PRIVACY: Final = "privacy.json"


@dataclass(frozen=True)
class ServerPlan:
    """What a server is to do: one head specification, any number of federations, the devices."""

    specification: HeadSpecification
    federations: tuple[FederationPlan, ...]
    devices: int

    def save(self, path: Path) -> None:
        """Write the plan to `path`."""
        text = {
            "specification": self.specification.to_json(),
            "federations": [plan.to_json() for plan in self.federations],
            "devices": self.devices,
        }
        write_atomically(path, json.dumps(text).encode())


def load_plan(path: Path) -> ServerPlan:
    """Read what `ServerPlan.save` wrote.

    Raises:
        WorkError: the file is missing or not a plan.
    """
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
        federations = tuple(FederationPlan.from_json(plan) for plan in text["federations"])
        specification = HeadSpecification.from_json(text["specification"])
        return ServerPlan(specification, federations, int(text["devices"]))
    except (OSError, UsageError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{path.name} is not a server's plan: {error}") from error


def run_plan(fleet: Fleet, plan: ServerPlan, folder: Path, record: Path | None = None) -> None:
    """Run all federations in order; `folder` then holds `<federation>.safetensors`, rounds.json.

    Args:
        fleet: whom to ask.
        plan: what to do.
        folder: for what comes of it; a public reference is looked for in it.
        record: folder for an auditor, which is told what is claimed of noise; None for none.
    """
    private_folder(folder)
    if record is not None:
        record.mkdir(parents=True, exist_ok=True)
    public = folder / REFERENCE
    reference = load_head(public) if public.exists() else None
    rounds: list[RoundRecord] = []
    privacy: dict[str, Any] = {}
    for federation in plan.federations:
        before = len(rounds)
        head = run_federation(
            fleet,
            plan.specification,
            federation,
            rounds.append,
            strict=plan.devices > 0,
            reference=reference,
            on_noised=partial(_keep_noised, record),
        )
        save_head(folder / f"{federation.name}.safetensors", head)
        if record is not None and reference is not None:
            save_head(record / f"{federation.name}-reference.safetensors", reference)
        if federation.noise_multiplier:
            told = privacy_record(dataclasses.asdict(each) for each in rounds[before:])
            privacy[federation.name] = told
            if record is not None and (told["releases"] or told["void"]):
                write_claim(record, federation.name, _claim(federation, told))
    save_rounds(folder / "rounds.json", rounds)
    write_atomically(folder / PRIVACY, json.dumps(privacy).encode())


def _keep_noised(record: Path | None, request: Request, mean: WeightedMean) -> None:
    if record is not None:
        keep_noised(record, request, mean)


def _claim(plan: FederationPlan, told: Mapping[str, Any]) -> Claim:
    """A federation's promise in the auditor's words, also where it was not kept."""
    return Claim(
        noise_multiplier=plan.noise_multiplier,
        clip=plan.clip_norm,
        delta=float(told["delta"]),
        epsilon=math.inf if told["epsilon"] is None else float(told["epsilon"]),
        rounds=sum(int(count) for _, count in told["releases"]),
        void=tuple(told["void"]),
    )


def save_head(path: Path, head: UniversalHead) -> None:
    """Write a universal head (safetensors, its specification in the metadata)."""
    tensors = {name: np.ascontiguousarray(array) for name, array in head.arrays.items()}
    write_atomically(path, save(tensors, {"specification": head.specification.to_json()}))


def load_head(path: Path) -> UniversalHead:
    """Read what `save_head` wrote.

    Raises:
        WorkError: the file is missing, damaged or not a universal head.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {})["specification"]
            specification = HeadSpecification.from_json(text)
            arrays = {name: file.get_tensor(name) for name in specification.all_shapes()}
    except (OSError, UsageError, SafetensorError, KeyError) as error:
        raise WorkError(f"{path.name} is not a universal head: {error}") from error
    for name, shape in specification.all_shapes().items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise WorkError(
                f"{path.name} is not a universal head: {name} is not finite float32 of its shape"
            )
    return UniversalHead(specification, arrays)


def save_rounds(path: Path, rounds: Sequence[RoundRecord]) -> None:
    """Write the rounds' records as JSON."""
    write_atomically(path, json.dumps([dataclasses.asdict(r) for r in rounds]).encode())
