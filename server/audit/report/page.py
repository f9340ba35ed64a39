"""`audit.html`: one page that holds everything, made from `audit.json`'s content alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from common.files import check_writable, write_atomically
from server.audit.report.svg import bars, lines, scatter
from server.audit.report.template import TEMPLATE

PAGE: Final = "audit.html"
VIEWS: Final = {
    "individual": "the server sees each device's update",
    "sum": "the server sees only the sum of each round",
    "final": "someone sees only the final head",
}
Told = Mapping[str, Any]


def write_page(folder: Path, told: Told) -> Path:
    """Write the page; equal documents give equal bytes.

    Args:
        folder: is made if it is missing.
        told: from `server.audit.run.document`, or read from `audit.json`.

    Raises:
        UsageError: the folder can't be written to.
    """
    check_writable(folder)
    path = folder / PAGE
    write_atomically(path, render(told).encode("utf-8", "replace"), mode=0o644)
    return path


def render(told: Told) -> str:
    """The page as text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number}
    counts = {
        verdict: sum(a["verdict"] == verdict for a in told["attacks"])
        for verdict in ("fail", "pass", "not measurable")
    }
    return environment.from_string(TEMPLATE).render(
        told=told,
        counts=counts,
        views=VIEWS,
        pictures=[(title, Markup(drawing)) for title, drawing in pictures(told)],
    )


def number(value: float | None) -> str:
    """A figure as the page shows it.

    >>> number(0.00123), number(12.0), number(None)
    ('0.00123', '12', '-')
    """
    return "-" if value is None else f"{value:.3g}"


def pictures(told: Told) -> Iterator[tuple[str, str]]:
    """All drawings that the findings have numbers for: title and SVG."""
    found = {(a["id"], a["view"]): a for a in told["attacks"]}
    yield from _span(found)
    yield from _people(found.get(("A6", "individual")))
    yield from _features(found.get(("A2b", "individual")))
    yield from _epsilon(found.get(("A8", "sum")))


def _span(found: Mapping[tuple[str, str], Told]) -> Iterator[tuple[str, str]]:
    series = {}
    for view in ("individual", "sum"):
        curve = found.get(("A3", view), {}).get("details", {}).get("curve", [])
        for key, name in (
            ("tpr_at_0.1_percent", "1 false alarm in 1000"),
            ("tpr_at_1_percent", "1 in 100"),
        ):
            if curve:
                series[f"{view}, {name}"] = [(p["rounds"], p[key]) for p in curve]
    if series:
        title = "Clips found out by the span of what was sent, over rounds"
        yield title, lines("span", title, series, across="rounds", up="clips found out")


def _people(finding: Told | None) -> Iterator[tuple[str, str]]:
    ranks = (finding or {}).get("details", {}).get("rank_1", {})
    if finding and ranks:
        named = {f"{size} clip(s) of each person": share for size, share in ranks.items()}
        chance = finding["chance"]
        title = "Devices whose person is found, by clips that the finder has"
        yield title, bars("people", title, named, level=chance, level_name="chance", top=1)


def _features(finding: Told | None) -> Iterator[tuple[str, str]]:
    example = (finding or {}).get("details", {}).get("example", {})
    if example.get("true"):
        pairs = list(zip(example["true"], example["decoded"], strict=True))
        title = "One person's typical feature in one expression: true, and as decoded"
        yield title, scatter("features", title, pairs, across="true", up="decoded")


def _epsilon(finding: Told | None) -> Iterator[tuple[str, str]]:
    if finding and finding["figure"] is not None:
        claimed = finding["details"]["claimed"]
        heights = {
            "measured by canaries": finding["figure"],
            "at least (95 %)": finding["details"]["lower_bound"],
        }
        top = 1.2 * max(claimed, *heights.values())
        title = "Epsilon as claimed and as measured"
        yield title, bars("epsilon", title, heights, level=claimed, level_name="claimed", top=top)
