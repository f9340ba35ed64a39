"""What the server asks of a device: one request, the same over every transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from common.errors import UsageError, WorkError
from common.heads.specification import STAGES, HeadSpecification
from common.secure_aggregation.steps import STEPS
from common.settings import FederationPlan
from common.update import MAX_ROUND

if TYPE_CHECKING:  # torch comes with it, and most steps of a secure sum do without
    from common.heads.universal import UniversalHead

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


@dataclass(frozen=True)
class SumRequest:
    """One step of a secure sum.

    Attributes:
        plan, specification, stage, round: as of a `Request`.
        step: one of `common.secure_aggregation.steps.STEPS`.
        payload: what the step tells, in that step's form.
        head: the universal head, in the step that masks an update of it; else None.
    """

    plan: FederationPlan
    specification: HeadSpecification
    stage: str
    round: int
    step: str
    payload: bytes = field(repr=False)
    head: UniversalHead | None = None

    def numbers(self) -> dict[str, str | int | bytes]:
        """All but the arrays, as a flat record."""
        return {
            "plan": self.plan.to_json(),
            "stage": self.stage,
            "round": self.round,
            "specification": self.specification.to_json(),
            "step": self.step,
            "payload": self.payload,
        }


def read_sum_request(
    numbers: Mapping[str, object],
    arrays: Mapping[str, npt.NDArray[np.generic]] | None,
    own: HeadSpecification,
) -> SumRequest:
    """Read a step of a secure sum on a device that is set up for the specification `own`.

    Raises:
        WorkError: as `read_request`; or the plan asks for no secure sum, or the step has no form.
    """
    plan, stage, round_ = _about(numbers, own)
    step, payload = numbers.get("step"), numbers.get("payload")
    if not plan.secure_sum or stage == EVALUATE:
        raise WorkError("the server's plan has no secure sum, but the server asks for one")
    if step not in STEPS or type(payload) is not bytes:
        raise WorkError("the server asks for an unknown step of a secure sum")
    head = None if arrays is None else _head(own, arrays)
    return SumRequest(plan, own, stage, round_, str(step), payload, head)


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
    plan, stage, round_ = _about(numbers, own)
    if plan.secure_sum and stage != EVALUATE:
        raise WorkError("the server asks for a bare update, but its plan says secure sums")
    return Request(plan, stage, round_, _head(own, arrays))


def _about(
    numbers: Mapping[str, object], own: HeadSpecification
) -> tuple[FederationPlan, str, int]:
    """Plan, stage and round of a request for the head `own`."""
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
    return plan, str(stage), round_


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
    from common.heads.universal import UniversalHead

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
