"""What the server asks of a device: one request, the same over every transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from common.errors import UsageError, WorkError
from common.heads.specification import STAGES, HeadSpecification
from common.heads.universal import UniversalHead
from common.settings import FederationPlan
from common.update import MAX_ROUND

EVALUATE: Final = "evaluate"


@dataclass(frozen=True)
class Request:
    """One message to a device.

    Attributes:
        plan: the federation it belongs to.
        stage: `reference`, `head`, or `evaluate` (held-out devices test the final head).
        round: 0 for the reference, then from 1.
        head: the universal head as it stands.
    """

    plan: FederationPlan
    stage: str
    round: int
    head: UniversalHead

    def numbers(self) -> dict[str, str | int]:
        """All but the arrays, as a flat record."""
        return {
            "plan": self.plan.to_json(),
            "stage": self.stage,
            "round": self.round,
            "specification": self.head.specification.to_json(),
        }


def read_request(
    numbers: Mapping[str, object],
    arrays: Mapping[str, npt.NDArray[np.generic]],
    own: HeadSpecification,
) -> Request:
    """Read a request on a device that is set up for the specification `own`.

    Raises:
        WorkError: another specification, an unknown stage or round, a plan that is none, arrays
            that are not a head.
    """
    if numbers.get("specification") != own.to_json():
        raise WorkError(_other_head(numbers.get("specification"), own))
    stage, round_ = numbers.get("stage"), numbers.get("round")
    if stage not in (*STAGES, EVALUATE):
        raise WorkError("the server asks for an unknown stage")
    if type(round_) is not int or not 0 <= round_ <= MAX_ROUND:
        raise WorkError("the server's round is not a number in range")
    try:
        plan = FederationPlan.from_json(str(numbers.get("plan")))
    except UsageError as error:
        raise WorkError(f"the server's plan is none: {error}") from error
    return Request(plan, str(stage), round_, _head(own, arrays))


def _other_head(asked: object, own: HeadSpecification) -> str:
    told = "the server asks for another head than this device is set up for"
    try:
        theirs = HeadSpecification.from_json(str(asked))
    except UsageError:
        return f"{told}, one that this version of Mien can't read"
    wanted, set_up = (f"{each.kind} on {each.features}" for each in (theirs, own))
    if wanted == set_up:
        return f"{told}: also {wanted}, of other sizes or version"
    return f"{told}: {wanted}, not {set_up}"


def _head(
    specification: HeadSpecification, arrays: Mapping[str, npt.NDArray[np.generic]]
) -> UniversalHead:
    shapes = specification.all_shapes()
    if set(arrays) != set(shapes):
        raise WorkError("the server's head does not have the specification's arrays")
    kept: dict[str, npt.NDArray[np.float32]] = {}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise WorkError(f"the server's array {name} is not finite float32 of its shape")
        kept[name] = np.asarray(array, dtype=np.float32)
    return UniversalHead(specification, kept)
