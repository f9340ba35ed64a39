"""What a device has just answered in a secure sum: what its gate holds a reply against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from common.secure_aggregation import steps
from common.secure_aggregation.session import SecureSumRefused


@dataclass(frozen=True)
class OwnStep:
    """The step that a device has just taken: what the gate holds an answer against.

    Attributes:
        stage, round, step: of the request.
        length: entries of the session's vector, 0 before there is a session.
        answer: the bytes that the device keeps as its answer.
        told: what the ledger is to say of a masked vector.
    """

    stage: str
    round: int
    step: str
    length: int
    answer: bytes = field(repr=False)
    told: dict[str, Any] = field(default_factory=dict)

    def check(self, payload: bytes) -> None:
        """Refuse whatever is not the answer that the device made, in its step's form.

        Raises:
            SecureSumRefused: other bytes, or of another size.
        """
        if payload != self.answer:
            raise SecureSumRefused("a reply is not what this device answered in a secure sum")
        if self.step == steps.MASK:
            steps.read_masked(payload, self.length)
