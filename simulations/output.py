"""What a simulation leaves in its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulations.report import write_png, write_report
from simulations.results import save_results


def write_output(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json`, `report.html` and `summary.png` into `folder`.

    Returns:
        The report's path.

    Raises:
        UsageError: the folder can't be made or written to.
    """
    save_results(folder, dict(results))
    write_png(folder / "summary.png", results)
    return write_report(folder, results)
