"""`mien audit` on a whole run: 24 devices of 83 clips with 1280 numbers, 20 rounds, as recorded.

Once as devices send their updates as they are, once as masked vectors and sums. The runs are
synthetic and made before the clock starts; reading them back counts.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from server.audit.lab import Lab, play
from server.audit.lab_record import record_lab
from server.audit.recorded import load_subject
from server.audit.run import audit, document
from simulations.watching import Watcher, unwatched

LIMIT_SECONDS: Final = 120.0
FULL: Final = Lab(fleet=True, rate=20.0, epochs=1)
"""24 devices, 20 rounds; they train as Mien's devices do."""


def measure_audit(lab: Lab = FULL, *, watch: Watcher = unwatched) -> dict[str, Any]:
    """Seconds that reading and attacking each kind of record takes.

    Args:
        lab: the run.
        watch: told of the phases.

    Returns:
        `updates_seconds`, `sums_seconds` and the same as `_cpu_seconds`; `limit_seconds`; what was
        measured; `load`, the machine's load average over one minute before and after.
    """
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    runs = {"updates": lab, "sums": replace(lab, secure=True, masked=True)}
    figures: dict[str, Any] = {}
    for place, (name, each) in enumerate(runs.items()):
        watch("audits", place, len(runs))
        with tempfile.TemporaryDirectory(prefix="mien-bench-audit-") as scratch:
            record_lab(play(each), Path(scratch) / "run")
            figures |= {f"{name}_{key}": value for key, value in _timed(Path(scratch) / "run")}
    watch("audits", len(runs), len(runs))
    return {
        **figures,
        "limit_seconds": LIMIT_SECONDS,
        "devices": lab.clients,
        "rounds": lab.rounds,
        "clips_a_device": lab.clips,
        "numbers_a_feature": lab.dimension,
        "load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }


def _timed(run: Path) -> list[tuple[str, Any]]:
    wall, cpu = time.perf_counter(), time.process_time()
    subject = load_subject(run)
    told = document(subject, audit(subject), run=run.name)
    return [
        ("seconds", round(time.perf_counter() - wall, 1)),
        ("cpu_seconds", round(time.process_time() - cpu, 1)),
        ("attacks", len(told["attacks"])),
        ("verdict", told["verdict"]),
    ]
