"""The one thing that leaves a device: an update of the universal head.

Named float arrays whose names, shapes and dtypes the head's specification gives, and a few public
numbers. `problems` lists everything that is wrong at once; `HeadUpdate` can't be built around it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from common.errors import WorkError
from common.heads.specification import DTYPE, STAGES, HeadSpecification

Array = npt.NDArray[np.float32]
MAX_ROUND = 1_000_000
MAX_CLIPS = 10_000_000


class Fault(StrEnum):
    """Why arrays are not an update."""

    UNKNOWN_NAME = "unknown name"
    MISSING = "missing array"
    SHAPE = "wrong shape"
    DTYPE = "wrong dtype"
    NOT_FINITE = "not finite"
    NUMBER = "number out of range"


@dataclass(frozen=True)
class Problem:
    """One fault, and what has it: a name from the specification, or a count."""

    fault: Fault
    where: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.where}"


class NotAnUpdate(WorkError):
    """Arrays or numbers that may not travel as an update; `problems` has all reasons."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("not an update of the universal head: " + "; ".join(map(str, problems)))


def problems(
    specification: HeadSpecification, stage: str, arrays: Mapping[str, object]
) -> tuple[Problem, ...]:
    """All faults of `arrays` as an update of `stage`; empty when there is none.

    Names that the specification does not know are counted, not repeated: a name could itself
    carry data.
    """
    expected = specification.shapes(stage)
    found: list[Problem] = []
    unknown = sum(name not in expected for name in arrays)
    if unknown:
        found.append(Problem(Fault.UNKNOWN_NAME, f"{unknown} array(s)"))
    for name, shape in expected.items():
        found += _array_problems(name, shape, arrays.get(name))
    return tuple(found)


def _array_problems(name: str, shape: tuple[int, ...], value: object) -> list[Problem]:
    if value is None:
        return [Problem(Fault.MISSING, name)]
    if type(value) is not np.ndarray or value.dtype != np.dtype(DTYPE):  # masks hide values
        return [Problem(Fault.DTYPE, name)]
    if value.shape != shape:
        return [Problem(Fault.SHAPE, name)]
    return [] if np.isfinite(value).all() else [Problem(Fault.NOT_FINITE, name)]


@dataclass(frozen=True, kw_only=True)
class HeadUpdate:
    """A device's change of the universal head in one round: trained minus received.

    Attributes:
        specification: of the head that both sides mean.
        stage: `reference` (round 0) or `head`.
        round: 0..1 000 000.
        clips: number of clips the update was trained on, its weight in the average.
        arrays: exactly the stage's arrays, each float32, finite, of the stated shape.

    Raises:
        NotAnUpdate: anything else.
    """

    specification: HeadSpecification
    stage: str
    round: int
    clips: int
    arrays: Mapping[str, Array] = field(repr=False)

    def __post_init__(self) -> None:
        found = [] if self.stage in STAGES else [Problem(Fault.NUMBER, "stage")]
        if not found:
            found += problems(self.specification, self.stage, self.arrays)
        if type(self.round) is not int or not 0 <= self.round <= MAX_ROUND:
            found.append(Problem(Fault.NUMBER, "round"))
        if type(self.clips) is not int or not 1 <= self.clips <= MAX_CLIPS:
            found.append(Problem(Fault.NUMBER, "clips"))
        if found:
            raise NotAnUpdate(tuple(found))

    @property
    def payload(self) -> bytes:
        """The arrays' values, little-endian float32, in the specification's order."""
        return b"".join(
            np.ascontiguousarray(self.arrays[name], dtype="<f4").tobytes()
            for name in self.specification.shapes(self.stage)
        )

    @property
    def sha256(self) -> str:
        """Hex digest of `payload`; orders updates and names them in ledgers."""
        return hashlib.sha256(self.payload).hexdigest()
