"""Devices that misbehave as real processes: the apps that they start are changed on the way up.

Python runs `sitecustomize` in every process that has it on its path. Each device's own one changes
what its ClientApp answers, after all of Mien's checks on the device, or the clock by which its
SuperNode signs.
"""

from __future__ import annotations

import json
from pathlib import Path

SPOIL = """
import json, sys
from pathlib import Path

PLAN = json.loads({plan!r})
KEPT = Path({kept!r})

if any("flwr-clientapp" in word for word in sys.orig_argv):
    import numpy as np
    from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    honest = ClientApp.__call__
    CHANGES = {{
        "nan": lambda a: np.full_like(a, np.nan),
        "huge": lambda a: a * np.float32(1e6) + np.float32(1e6),
        "shape": lambda a: np.zeros((*a.shape, 2), np.float32),
        "large": lambda a: np.zeros(6 * 2**20, np.float32),
    }}

    def arrays_of(reply):
        record = reply.content.array_records["arrays"]
        return {{name: each.numpy() for name, each in record.items()}}

    def answer(self, message, context):
        reply = honest(self, message, context)
        asked = message.content.config_records.get("config", {{}})
        kind = PLAN.get(str(asked.get("round"))) if "stage" in asked else None
        if "stage" in asked:
            np.savez(KEPT / str(asked["round"]), **arrays_of(reply))
        if kind is None:
            return reply
        if kind == "replayed":
            arrays = dict(np.load(KEPT / (str(int(asked["round"]) - 1) + ".npz")))
        else:
            arrays = {{n: CHANGES[kind](a) for n, a in arrays_of(reply).items()}}
        record = ArrayRecord()
        for name, array in arrays.items():
            record[name] = Array.from_numpy_ndarray(np.ascontiguousarray(array))
        numbers = MetricRecord(dict(reply.content.metric_records["metrics"]))
        return Message(RecordDict({{"arrays": record, "metrics": numbers}}), reply_to=message)

    ClientApp.__call__ = answer
"""
AHEAD = """
import datetime
import flwr.supercore.date as date

told = date.now
date.now = lambda: told() + datetime.timedelta(days={days})
"""


def spoils(folder: Path, plan: dict[int, str]) -> dict[str, str]:
    """Environment of a device that spoils its updates of the rounds that a plan names.

    Kinds: nan, huge, shape, large (about 100 MB together), replayed (the update of the round
    before, said to be of this one).
    """
    text = json.dumps({str(round): kind for round, kind in plan.items()})
    return _environment(folder, SPOIL.format(plan=text, kept=str(folder / "odd")))


def clock_ahead(folder: Path, days: float) -> dict[str, str]:
    """Environment of a device whose SuperNode signs with another day's time."""
    return _environment(folder, AHEAD.format(days=days))


def _environment(folder: Path, program: str) -> dict[str, str]:
    place = folder / "odd"
    place.mkdir()
    (place / "sitecustomize.py").write_text(program)
    return {"PYTHONPATH": str(place)}
