"""One page of all experiments whose results lie in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from common.errors import UsageError
from common.files import write_atomically
from simulations.experiments.registry import EXPERIMENTS
from simulations.experiments.report.parts import Chart, Section
from simulations.experiments.report.template import TEMPLATE
from simulations.experiments.run import SCHEMA
from simulations.report import figures
from simulations.report.facts import visible
from simulations.report.style import STYLE
from simulations.report.svg import inline_svg

PAGE: Final = "report.html"
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """Inline SVG for a wide page and, unless it is None, for a phone."""

    title: str
    wide: Markup
    narrow: Markup | None


def write_report(folder: Path) -> Path:
    """Write `report.html` into `folder`, of all results there; equal results give equal bytes.

    Returns:
        The page's path.

    Raises:
        UsageError: there are no results, one can't be read or is of another version, or the page
            can't be written.
    """
    page = render(read_results(folder)).encode("utf-8", "replace")
    try:
        write_atomically(folder / PAGE, page, mode=0o644)
    except OSError as error:
        raise UsageError(f"{folder / PAGE}: can't be written there ({error.strerror})") from error
    return folder / PAGE


def read_results(folder: Path) -> list[Results]:
    """Results of all experiments in a folder, in the experiments' order.

    Raises:
        UsageError: as `write_report`.
    """
    found = [_read(path) for name in EXPERIMENTS if (path := folder / f"{name}.json").is_file()]
    if not found:
        known = ", ".join(f"{name}.json" for name in EXPERIMENTS)
        raise UsageError(
            f"{folder}: has no results of an experiment ({known}); run one with --out {folder}"
        )
    return found


def _read(path: Path) -> Results:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can't be read ({error}); run the experiment again") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA or found.get("name") != path.stem:
        raise UsageError(
            f"{path}: is of schema {schema!r}, expected {SCHEMA!r}; run the experiment again"
        )
    results: Results = found
    return results


def render(results: Sequence[Results]) -> str:
    """The page as text."""
    environment = Environment(
        loader=DictLoader({"report.html": TEMPLATE, "report.css": STYLE}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    parts = [_part(each) for each in results]
    synthetic = any(each["synthetic"] for each in results)
    return environment.get_template("report.html").render(parts=parts, synthetic=synthetic)


def section_of(results: Results) -> Section:
    """An experiment's part in words, tables and charts."""
    return EXPERIMENTS[results["name"]].section(results["figures"])


def _part(results: Results) -> dict[str, Any]:
    section = section_of(results)
    return {
        "name": results["name"],
        "file": f"{results['name']}.json",
        "title": results["title"],
        "synthetic": results["synthetic"],
        "missing": results["missing"],
        "command": results["command"],
        "stamp": _stamp(results),
        "section": section,
        "pictures": [_picture(chart, results["synthetic"]) for chart in section.charts],
        "facts": _facts(results),
    }


def _stamp(results: Results) -> str:
    """What stands at every table and picture, below the command at the head of the part."""
    data = ", ".join(f"{d['name']} (SHA-256 {d['digest'][:8]})" for d in results["data"])
    seeds = ", ".join(map(str, results["seeds"]))
    commit = results["commit"] or "not known"
    return (
        f"[mien experiment {results['name']}, as above; commit {commit}; data {data}; "
        f"seeds {seeds}; {results['date'][:10]}]"
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    data = [
        f"{d['name']}: {d['description']}, {d['clips']} clips of {d['users']} users, features "
        f"{d['features']}, SHA-256 {d['digest'][:16]}"
        for d in results["data"]
    ]
    return [
        ("data", "; ".join(data)),
        ("synthetic", "yes" if results["synthetic"] else "no"),
        ("settings", "mini" if results["mini"] else "full"),
        ("seeds", ", ".join(map(str, results["seeds"]))),
        ("commit", results["commit"] or "not known"),
        ("code", results["code"]),
        ("date", results["date"]),
        ("seconds", f"{results['seconds']} for {len(results['cells'])} cells"),
        ("versions", ", ".join(f"{name} {v}" for name, v in results["versions"].items())),
        ("cells", ", ".join(cell["file"] for cell in results["cells"])),
    ]


def _picture(chart: Chart, synthetic: bool) -> Picture:
    title = f"SYNTHETIC data: {chart.title}" if synthetic else chart.title

    def svg(suffix: str, size: tuple[float, float], draw: Any) -> Markup:
        document = figures.as_svg(*size, draw, synthetic=synthetic)
        # Safe: the SVG is serialised from an element tree, which escapes all text.
        return Markup(inline_svg(document, chart.key + suffix, title, chart.description))

    narrow = svg("-narrow", *chart.narrow) if chart.narrow else None
    return Picture(chart.title, svg("", chart.size, chart.draw), narrow)
