"""What the device says of one clip: expression, head, user, and what stood in the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from common.expressions import EXPRESSIONS

PERSONAL: Final = "personal"
UNIVERSAL: Final = "universal"
BACKBONE: Final = "backbone"
"""The backbone's own labels: what answers while a device has no universal head."""
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How near a clip's face is to the nearest enrolled user's.

    Attributes:
        distance: to that user, in the network's measure; None where nobody is enrolled.
        threshold: below it the two count as one person.
        source: who says so.
        network: spec of the identity network.
    """

    distance: float | None
    threshold: float
    source: str
    network: str


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The answer up to one point of the clip.

    Attributes:
        seconds: from the clip's start.
        probabilities: of `EXPRESSIONS`, sum 1.
        box: the subject's face as left, top, right, bottom, each 0..1 of the frame.
    """

    seconds: float
    probabilities: tuple[float, ...]
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the device says of one clip.

    Attributes:
        clip: id in the vault; empty where nothing was kept (a guest's clip, or a part of one).
        name: of the file or recording.
        user: name of the user who was recognised, `UNKNOWN` for a guest.
        likeness: how sure that is.
        expression: the likeliest of `EXPRESSIONS`.
        probabilities: of `EXPRESSIONS`, sum 1.
        head: `PERSONAL`, `UNIVERSAL` or `BACKBONE`.
        reason: why that head, one sentence.
        warnings: what may have spoilt the answer, one sentence each.
        frames: that were looked at.
        with_face: of these, frames with the subject's face.
        moments: the answer over time, in order; the last is the whole clip's.
        seconds: from opening the clip to this answer.
        final: whether the clip was seen to its end.
    """

    clip: str = ""
    name: str
    user: str
    likeness: Likeness
    expression: str
    probabilities: tuple[float, ...]
    head: str
    reason: str
    warnings: tuple[str, ...]
    frames: int
    with_face: int
    moments: tuple[Moment, ...]
    seconds: float
    final: bool

    @property
    def confidence(self) -> float:
        """Probability of the expression that was chosen."""
        return max(self.probabilities)

    def to_json(self) -> dict[str, Any]:
        """A JSON document; probabilities stand by name."""
        told = dataclasses.asdict(self)
        told["probabilities"] = dict(zip(EXPRESSIONS, self.probabilities, strict=True))
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Answer:
        """Inverse of `to_json`."""
        plain = dict(told)
        plain["probabilities"] = tuple(told["probabilities"][name] for name in EXPRESSIONS)
        plain["likeness"] = Likeness(**told["likeness"])
        plain["warnings"] = tuple(told["warnings"])
        plain["moments"] = tuple(
            Moment(
                seconds=each["seconds"],
                probabilities=tuple(each["probabilities"]),
                box=tuple(each["box"]),
            )
            for each in told["moments"]
        )
        return cls(**plain)
