"""What attacks share that pick one of K devices: how many right guesses are more than luck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from server.audit.finding import Outcome, Verdict, judged
from server.audit.statistics import by_chance, clopper_pearson

MEASURE_LINKED: Final = "share of devices that are matched across rounds"
MEASURE_PERSON: Final = "share of devices whose person is found"
PASS_LUCK, FAIL_LUCK = 0.05, 0.005
"""For 24 devices: 3 right pass (that many or more have a chance of 8 %), 5 fail (0.3 %)."""
TOO_MANY: Final = 0.3
"""A share of devices that has to fail where anything is to pass."""


def ranking_outcome(
    hits: int, devices: int, *, measure: str, meaning: str, details: Mapping[str, Any]
) -> Outcome:
    """The verdict on `hits` right first guesses of `devices`, at least one.

    Among few devices even many right guesses may be luck: then nothing passes.
    """
    luck = by_chance(hits, devices, 1 / devices)
    enough = _limit(devices) < math.ceil(TOO_MANY * devices)
    verdict = judged(passes=enough and luck > PASS_LUCK, fails=luck < FAIL_LUCK)
    few = not enough and verdict is not Verdict.FAIL
    reason = f"{devices} devices are too few for a pass: more right guesses could be luck as well"
    return Outcome(
        measure=measure,
        figure=hits / devices,
        chance=1 / devices,
        interval=clopper_pearson(hits, devices),
        threshold=_limit(devices) / devices,
        verdict=verdict,
        meaning=f"{meaning} {reason[0].upper()}{reason[1:]}." if few else meaning,
        change=""
        if verdict is Verdict.PASS
        else "Turn on secure aggregation, so that no single update is seen, or add differential "
        "privacy.",
        details={
            **details,
            "right": hits,
            "of": devices,
            "luck": luck,
            **({"reason": reason} if few else {}),
        },
    )


def _limit(devices: int) -> int:
    """The most right guesses that do not fail."""
    return max(n for n in range(devices + 1) if by_chance(n, devices, 1 / devices) >= FAIL_LUCK)
