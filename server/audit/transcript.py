"""What a server received of one federation, round by round.

How it is kept in a folder: `server.audit.recording_format`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.heads.specification import HEAD_STAGE, HeadSpecification
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
        odd: names that an update has, in another place or form than an update's.
    """

    pseudonym: str
    arrays: Mapping[str, Vector] = field(repr=False)
    numbers: Mapping[str, object]
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class SecureSum:
    """What secure aggregation left of one round.

    Attributes:
        members: pseudonyms of whose vectors `total` is the sum.
        total: (length,) the decoded sum: a stage's arrays one behind the other, and perhaps the sum
            of the devices' weights behind them.
        masked: (length,) the vectors as they came, by pseudonym; empty if they were not kept. Of
            round 0 (2 * length - 1,): coarse steps, what is left of them, and the weight.
        plain: (length,) what was masked, by pseudonym: only the researcher has it.
        step: distance of two encoded numbers; 0 if it is not known.
        attempt: at the round, from 0.
        unsigned: pseudonyms of whose keys no signature came, so that the server can change them.
        earlier: sums that were made of the same round before, in their order.
    """

    members: tuple[str, ...]
    total: Vector = field(repr=False)
    masked: Mapping[str, Ring] = field(default_factory=dict, repr=False)
    plain: Mapping[str, Vector] = field(default_factory=dict, repr=False)
    step: float = 0.0
    attempt: int = 0
    unsigned: tuple[str, ...] = ()
    earlier: tuple[SecureSum, ...] = ()

    def weight(self, specification: HeadSpecification, stage: str) -> float:
        """By what the sum is divided to be a mean: its last entry, or the number of members."""
        length = sum(math.prod(shape) for shape in specification.shapes(stage).values())
        return float(self.total[length]) if len(self.total) > length else float(len(self.members))

    def arrays(self, specification: HeadSpecification, stage: str) -> dict[str, Vector]:
        """The sum by array; none where it is shorter than the stage's arrays."""
        shapes = specification.shapes(stage)
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
        if len(self.total) not in (ends[-1], ends[-1] + 1):
            return {}
        parts = np.split(self.total[: ends[-1]], ends[:-1])
        return {n: part.reshape(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}


@dataclass(frozen=True)
class Round:
    """One round of a stage.

    Attributes:
        stage: `reference` or `head`.
        number: 0..
        head: as it was sent out.
        received: replies with an update, one per pseudonym; empty under secure aggregation.
        secure: the sum, under secure aggregation.
        noised: what the server made of `received` by noise of its own, where it did.
    """

    stage: str
    number: int
    head: UniversalHead
    received: tuple[Received, ...]
    secure: SecureSum | None = None
    noised: SecureSum | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """Pseudonyms of whose updates the round's head was made, sorted."""
        if self.secure:
            return tuple(sorted(self.secure.members))
        return tuple(sorted(reply.pseudonym for reply in self.received if reply.arrays))


@dataclass(frozen=True)
class Claim:
    """Differential privacy as a run claims it: Gaussian noise on every round's sum.

    Attributes:
        noise_multiplier: standard deviation of the noise on the sum, in units of `clip`; above 0.
        clip: bound of one device's update (L2), above 0.
        delta: 0..1.
        epsilon: for all rounds together; infinite where void.
        rounds: noised releases that `epsilon` accounts for, at least 1 unless void.
        seeded: whether the noise came from a seed, so that it promises nothing.
        individual: whether each device's own update has all of that noise.
        void: reasons for which the run's own accountant promises nothing any more, as they stand in
            `common.privacy.accountant.record`; empty where it does.
    """

    noise_multiplier: float
    clip: float
    delta: float
    epsilon: float
    rounds: int
    seeded: bool = False
    individual: bool = False
    void: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """All rounds of one federation.

    Attributes:
        plan: settings that devices were told, so that the server knows them.
        rounds: in their order, all stages.
        final: the head after the last round.
        claim: of differential privacy, if there is one.
        unasked: replies that had content though nothing but a test of a head was asked for.
    """

    plan: FederationPlan
    rounds: tuple[Round, ...]
    final: UniversalHead
    claim: Claim | None = None
    unasked: tuple[Received, ...] = ()

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
        return any(reply.arrays for each in self.head_rounds for reply in each.received)


def truth_folder(record: Path) -> Path:
    """Where the researcher's side of a record lies: beside it, so that nobody takes it for data."""
    path = record.resolve()
    return path.with_name(f"{path.name}-truth")


def file_stem(federation: str, stage: str, number: int) -> str:
    """How the files of a round begin."""
    return f"{federation}-{stage}-{number}"


def common_sum(replies: Iterable[Received]) -> dict[str, Vector]:
    """The plain sum of updates by name: what a secure sum of equal weights would be."""
    total: dict[str, Vector] = {}
    for reply in replies:
        for name, value in reply.arrays.items():
            total[name] = total[name] + value if name in total else value.copy()
    return total
