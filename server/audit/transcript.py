"""What a server received of one federation, round by round, and how it is kept in a folder.

A folder has, for each federation, stage and round (`F-S-R` below):

plan.json                 the server's plan (of a simulation: on the researcher's side)
F-S-R-N.bin               a reply as it came; `server.audit.flower_transcript` reads these
F-S-R-sum.safetensors     under secure aggregation: the sum; metadata `members`, a JSON list
F-S-R-masked.safetensors  under secure aggregation: a masked vector, uint32, by member
privacy.json              what is claimed of noise, if anything is

Beside a folder `run`, the folder `run-truth` is the researcher's side, see `server.audit.truth`; no
server has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import WorkError
from common.files import private_folder, write_atomically
from common.heads.specification import HEAD_STAGE
from common.heads.universal import UniversalHead
from common.settings import FederationPlan

Vector = npt.NDArray[np.float64]
Ring = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Received:
    """One device's reply of one round.

    Attributes:
        pseudonym: by which the server knows the device.
        arrays: float values by name, as they came, also names that no update has.
        numbers: whatever else stood in the reply in clear.
    """

    pseudonym: str
    arrays: Mapping[str, Vector] = field(repr=False)
    numbers: Mapping[str, object]


@dataclass(frozen=True)
class SecureSum:
    """What secure aggregation left of one round.

    Attributes:
        members: pseudonyms of whose vectors `arrays` is the sum.
        arrays: the sum by name.
        masked: (length,) the vectors as they came, by pseudonym; empty if they were not kept.
        plain: (parameters,) what was masked, by pseudonym: only the researcher has it.
        step: distance of two encoded numbers; 0 if it is not known.
    """

    members: tuple[str, ...]
    arrays: Mapping[str, Vector] = field(repr=False)
    masked: Mapping[str, Ring] = field(repr=False)
    plain: Mapping[str, Vector] = field(default_factory=dict, repr=False)
    step: float = 0.0


@dataclass(frozen=True)
class Round:
    """One round of a stage.

    Attributes:
        stage: `reference` or `head`.
        number: 0..
        head: as it was sent out.
        received: replies with an update, one per pseudonym; empty under secure aggregation.
        secure: the sum, under secure aggregation.
    """

    stage: str
    number: int
    head: UniversalHead
    received: tuple[Received, ...]
    secure: SecureSum | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """Pseudonyms of whose updates the round's head was made, sorted."""
        if self.secure:
            return tuple(sorted(self.secure.members))
        return tuple(sorted(reply.pseudonym for reply in self.received))


@dataclass(frozen=True)
class Claim:
    """Differential privacy as a run claims it: Gaussian noise on every round's sum.

    Attributes:
        noise_multiplier: standard deviation of the noise on the sum, in units of `clip`; above 0.
        clip: bound of one device's update (L2), above 0.
        delta: 0..1.
        epsilon: for all rounds together.
        individual: whether each device's own update has all of that noise.
    """

    noise_multiplier: float
    clip: float
    delta: float
    epsilon: float
    individual: bool = False


@dataclass(frozen=True)
class Transcript:
    """All rounds of one federation.

    Attributes:
        plan: settings that devices were told, so that the server knows them.
        rounds: in their order, all stages.
        final: the head after the last round.
        claim: of differential privacy, if there is one.
    """

    plan: FederationPlan
    rounds: tuple[Round, ...]
    final: UniversalHead
    claim: Claim | None = None

    @property
    def head_rounds(self) -> tuple[Round, ...]:
        """The rounds in which classifiers moved."""
        return tuple(each for each in self.rounds if each.stage == HEAD_STAGE)

    @property
    def pseudonyms(self) -> tuple[str, ...]:
        """Of all who took part in a head round, sorted."""
        return tuple(sorted({name for each in self.head_rounds for name in each.members}))

    @property
    def individual(self) -> bool:
        """Whether the server saw single updates."""
        return any(each.received for each in self.head_rounds)


def truth_folder(record: Path) -> Path:
    """Where the researcher's side of a record lies: beside it, so that nobody takes it for data."""
    path = record.resolve()
    return path.with_name(f"{path.name}-truth")


def file_stem(federation: str, stage: str, number: int) -> str:
    """How the files of a round begin."""
    return f"{federation}-{stage}-{number}"


def save_secure_sum(folder: Path, stem: str, secure: SecureSum) -> None:
    """Keep what secure aggregation left of a round."""
    sums = {name: np.ascontiguousarray(value) for name, value in secure.arrays.items()}
    about = {"members": json.dumps(secure.members), "step": repr(secure.step)}
    write_atomically(folder / f"{stem}-sum.safetensors", save(sums, about))
    if secure.masked:
        vectors = {name: np.ascontiguousarray(value) for name, value in secure.masked.items()}
        write_atomically(folder / f"{stem}-masked.safetensors", save(vectors))
    if secure.plain:
        plain = {name: np.ascontiguousarray(value) for name, value in secure.plain.items()}
        truth = private_folder(truth_folder(folder))
        write_atomically(truth / f"{stem}-plain.safetensors", save(plain))


def load_secure_sum(folder: Path, stem: str) -> SecureSum | None:
    """What `save_secure_sum` kept; None where there is none.

    Raises:
        WorkError: a file is damaged or not a sum.
    """
    path = folder / f"{stem}-sum.safetensors"
    if not path.exists():
        return None
    arrays, about = _tensors(path)
    masked, plain = (
        _tensors(each)[0] if each.exists() else {}
        for each in (
            folder / f"{stem}-masked.safetensors",
            truth_folder(folder) / f"{stem}-plain.safetensors",
        )
    )
    try:
        members, step = json.loads(about["members"]), float(about["step"])
    except (KeyError, ValueError) as error:
        raise WorkError(f"{path.name} is not a recorded sum: it does not name members") from error
    return SecureSum(
        tuple(map(str, members)),
        {name: value.astype(np.float64) for name, value in arrays.items()},
        {name: value.astype(np.uint32) for name, value in masked.items()},
        {name: value.astype(np.float64) for name, value in plain.items()},
        step,
    )


def _tensors(path: Path) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise WorkError(f"{path.name} can't be read as recorded arrays: {error}") from error


def load_claim(folder: Path) -> Claim | None:
    """The claim in `privacy.json`; None where there is none.

    Raises:
        WorkError: it is not a claim.
    """
    path = folder / "privacy.json"
    if not path.exists():
        return None
    try:
        claim = Claim(**json.loads(path.read_text(encoding="utf-8")))
        numbers = (claim.noise_multiplier, claim.clip, claim.delta, claim.epsilon)
        good = all(float(number) > 0 and np.isfinite(number) for number in numbers)
    except (OSError, ValueError, TypeError) as error:
        raise WorkError(f"{path.name} is not a claim of differential privacy: {error}") from error
    if not good:
        raise WorkError(f"{path.name}: all of its numbers have to be above 0 and finite")
    return claim


def common_sum(replies: Iterable[Received]) -> dict[str, Vector]:
    """The plain sum of updates by name: what a secure sum of equal weights would be."""
    total: dict[str, Vector] = {}
    for reply in replies:
        for name, value in reply.arrays.items():
            total[name] = total[name] + value if name in total else value.copy()
    return total
