"""What a simulation leaves in its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulations.report import write_report
from simulations.results import save_results


def write_output(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json` and `report.html` into `folder`; returns the report's path.

    Raises:
        UsageError: the folder can't be made or written to.
    """
    save_results(folder, dict(results))
    return write_report(folder, results)
