"""Fills the template from a simulation's results; writes the page and the picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.files import write_atomically
from simulations.report import facts
from simulations.report.confusion import count_text, personal_confusion, universal_confusion
from simulations.report.identification import device_words, loop_rows
from simulations.report.pictures import (
    accuracy_picture,
    confusion_picture,
    summary_png,
    traffic_picture,
    users_picture,
)
from simulations.report.style import STYLE
from simulations.report.template import TEMPLATE
from simulations.report.traffic import parcels, traffic

PAGE: Final = "report.html"
PROTOCOLS: Final = {
    "by-take": (
        "Each user is tested by a universal head that was trained without that user. A user's own "
        "clips are split by repetition: heads adapt on the first, and are tested on the second."
    ),
    "folds": (
        "Users are in the five published subject-wise folds; each is tested by a universal head "
        "that was trained without that fold. Each user's clips serve as test clips once: heads "
        "adapt on one repetition and are tested on the other, both ways round."
    ),
}


def write_report(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write `report.html` into `folder`, wholly or not at all; equal results give equal bytes.

    Args:
        folder: is made if it is missing.
        results: as `simulations.simulate.finish` makes them, or as read from `results.json`.

    Returns:
        The page's path.

    Raises:
        UsageError: results of another schema or incomplete ones; a folder that can't be written.
    """
    facts.check_results(results)
    page = render(results).encode("utf-8", "replace")
    return _write(folder / PAGE, page)


def write_png(path: Path, results: Mapping[str, Any]) -> Path:
    """Write one picture, 1200 x 700: accuracy against own clips and both confusion matrices.

    Raises:
        UsageError: as for `write_report`.
    """
    facts.check_results(results)
    predictions = results["predictions"]
    matrices = universal_confusion(predictions), personal_confusion(predictions)
    return _write(path, summary_png(results, matrices))


def render(results: Mapping[str, Any]) -> str:
    """The page as text."""
    environment = Environment(
        loader=DictLoader({"report.html": TEMPLATE, "report.css": STYLE}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": facts.percent,
        "bytes": facts.kilobytes,
        "count": count_text,
        "thousands": "{:,}".format,
        "visible": facts.visible,
    }
    return environment.get_template("report.html").render(_context(results))


def _context(results: Mapping[str, Any]) -> dict[str, Any]:
    rows, users = facts.accuracy_rows(results), facts.user_rows(results)
    federations = traffic(results["transmitted"])
    universal = universal_confusion(results["predictions"])
    personal = personal_confusion(results["predictions"])
    pictures = {
        "accuracy": accuracy_picture(results),
        "users": users_picture(results, users),
        "confusion-universal": confusion_picture(results, "confusion-universal", universal),
        "confusion-personal": confusion_picture(results, "confusion-personal", personal),
    }
    if federations:
        pictures["traffic"] = traffic_picture(results, federations)
    return {
        "results": results,
        "rows": rows,
        "last": facts.last_rows(rows),
        "users": users,
        "in_the_loop": loop_rows(results),
        "devices": device_words,
        "chance": facts.CHANCE,
        "difference": facts.difference,
        "expressions": EXPRESSIONS,
        "protocol": PROTOCOLS.get(results["protocol"], ""),
        "federations": federations,
        "federation_words": facts.federation_words(results),
        "parcels": parcels(results["transmitted"]),
        "sent": sum(entry["bytes"] for entry in results["transmitted"]),
        "confusions": (universal, personal),
        "pictures": pictures,
    }


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, mode=0o644)
    except OSError as error:
        raise UsageError(f"{path}: it can't be written there ({error.strerror})") from error
    return path
