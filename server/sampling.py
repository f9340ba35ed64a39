"""Who is asked in a round, and whose reply is lost: functions of (seed, federation, round).

Round 0 asks every device, for two vectors once; so does the test at the end. Losses are a
simulation's: they stand for devices that go offline or answer too late.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.heads.specification import HEAD_STAGE, STAGES
from common.messages import Request
from common.randomness import generator
from common.settings import FederationPlan

Integers = npt.NDArray[np.int64]


def asked_devices(request: Request, devices: int) -> Integers:
    """Numbers of the devices that get this request, increasing; of `devices`, counted from 0."""
    plan = request.plan
    count = round_size(plan.clients_per_round, devices)
    if request.stage != HEAD_STAGE or count == devices:
        return np.arange(devices)
    chooser = generator(plan.seed, f"clients of {plan.name}", round=request.round)
    return np.sort(chooser.choice(devices, count, replace=False))


def round_size(clients_per_round: float, devices: int) -> int:
    """How many of `devices` a round asks: all for 0, a share below 1 (at least one), a number.

    >>> round_size(0, 24), round_size(0.25, 24), round_size(0.01, 24), round_size(10, 24)
    (24, 6, 1, 10)
    """
    if clients_per_round == 0:
        return devices
    if clients_per_round < 1:
        return min(devices, max(1, round(clients_per_round * devices)))
    return min(devices, int(clients_per_round))


def lost_devices(request: Request, devices: int) -> npt.NDArray[np.bool_]:
    """Whose replies to this request do not arrive, (devices,); each with chance `dropout`.

    A device's fate depends on its number, not on how many devices there are or are asked.
    """
    plan = request.plan
    if request.stage not in STAGES or plan.dropout == 0:
        return np.zeros(devices, dtype=np.bool_)
    chooser = generator(plan.seed, f"dropout of {plan.name}", round=request.round)
    return np.asarray(chooser.random(devices) < plan.dropout)


def requests_of(plan: FederationPlan, devices: int) -> int:
    """How many requests a whole federation sends, its test included."""
    rounds = plan.rounds * round_size(plan.clients_per_round, devices)
    return rounds + devices * (2 if plan.evaluate else 1)
