"""Over-sampling: more devices are asked than a round needs, and the first answers are enough.

A fleet has slow devices and some that go away. Without over-sampling every connected device is
asked, and a round lasts until the last has answered or the deadline has passed. With a factor of
1.3, as Bonawitz et al. (MLSys 2019, section 2.2) found to make up for devices that drop out, a
round of quorum 100 asks 130 devices, drawn anew by each round, and ends with the 100th answer that
is accepted; answers that come later are dropped and counted as late. Where that many did not come,
the round's next tries ask all devices, but for those whose reply was refused in this round as long
as enough others are there: no device that was drawn can hold a round up for ever.

Which devices are first depends on their speed, so slow devices count less often; and a round can't
be made again bit by bit. Secure sums need the answers of all who were asked to begin with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.errors import UsageError
from common.heads.specification import HEAD_STAGE
from common.messages import Request
from common.randomness import generator

MOST: float = 10.0


def check_factor(factor: float) -> None:
    """Whether it is 0 (none) or 1 to `MOST`.

    Raises:
        UsageError: it is not.
    """
    if factor != 0 and not 1 <= factor <= MOST:
        raise UsageError(
            f"over-sample is {factor:g}, expected 0 (ask all and wait for all) or 1 to {MOST:g}"
        )


@dataclass(frozen=True)
class OverSampling:
    """Whom a round asks, and when it has heard enough.

    Attributes:
        factor: devices asked for each that is needed; 0 asks all and waits for all.
        quorum: accepted answers that a round needs.
    """

    factor: float = 0.0
    quorum: int = 1

    def __post_init__(self) -> None:
        check_factor(self.factor)

    def applies(self, request: Request) -> bool:
        """Whether it does: the reference asks all and waits for all."""
        return bool(self.factor) and request.stage == HEAD_STAGE

    def asked(self, devices: Sequence[int], request: Request) -> list[int]:
        """Those of `devices` that get a request at first, increasing."""
        if not self.applies(request):
            return [int(device) for device in devices]
        wanted = min(len(devices), math.ceil(self.factor * self.quorum))
        purpose = f"over-sampled devices of {request.plan.name}"
        chooser = generator(request.plan.seed, purpose, round=request.round)
        return sorted(int(each) for each in chooser.choice(np.asarray(devices), wanted, False))

    def enough(self, answered: int, request: Request) -> bool:
        """Whether a round need not wait any more; those still missing may then come late."""
        return self.applies(request) and answered >= self.quorum


@dataclass
class Tries:
    """A round's tries: the first asks as many as over-sampling says, the next ones all.

    Attributes:
        over: whom the first try asks.
    """

    over: OverSampling
    _round: tuple[str, str, int] = ("", "", 0)
    _refused: set[str] = field(default_factory=set)

    def asked(self, devices: Sequence[int], nodes: Sequence[int], request: Request) -> list[int]:
        """Those of `devices`, numbers of `nodes`, that this try asks, increasing."""
        this = (request.plan.name, request.stage, request.round)
        first, self._round = this != self._round, this
        if first:
            self._refused = set()
        if first or not self.over.applies(request):
            return self.over.asked(devices, request)
        kept = [int(each) for each in devices if str(nodes[each]) not in self._refused]
        return kept if len(kept) >= self.over.quorum else [int(each) for each in devices]

    def refused(self, nodes: Iterable[str]) -> None:
        """Remember whose reply to this try was refused, by node ids as text."""
        self._refused.update(nodes)
