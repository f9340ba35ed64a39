"""Results as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.console import output

COLUMNS = ("head", "clips", "acc.", "95 % interval", "UAR", "worst", "median", "best")
LOOP_COLUMNS = ("clips", "right", "unknown", "another", "strangers", "user given", "identified")


def print_results(results: Mapping[str, Any], folder: Path | None) -> None:
    """Accuracy against own clips, with macro recall, interval and spread beside it."""
    kind = "SYNTHETIC " if results["synthetic"] else ""
    output.print(
        f"\n{kind}{results['source']}: {results['clients']} clients, protocol "
        f"{results['protocol']}, {results['head']} head, {results['rounds']} rounds",
        highlight=False,
        markup=False,
    )
    output.print(accuracy_table(results))
    if results.get("identification"):
        output.print(identification_table(results))
    for line in notes(results, folder):
        output.print(line, highlight=False, markup=False, soft_wrap=True)


def accuracy_table(results: Mapping[str, Any]) -> Table:
    """One row per head and number of own clips per expression, in percent; 80 columns wide."""
    table = Table(
        title="Accuracy in %, mean over users",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "head" else "right", no_wrap=True)
    titles = {
        "universal": "universal",
        "universal_raw": "  no statistics",
        "pooled": "  all data pooled",
    }
    for key, title in titles.items():
        table.add_row(title, "0", *_cells(results, key, None))
    for key, title in (("local_only", "own clips alone"), ("personal", "personal")):
        for index, count in enumerate(results["accuracy"]["own_clips"]):
            table.add_row(title, str(count), *_cells(results, key, index))
    return table


def identification_table(results: Mapping[str, Any]) -> Table:
    """Whom clips were taken for, and what it cost, by number of own clips; 80 columns wide."""
    from simulations.report.identification import loop_rows

    kind = "SYNTHETIC: " if results["synthetic"] else ""
    table = Table(title=f"{kind}Identification in the loop, in %", box=SIMPLE_HEAD, pad_edge=False)
    for name in LOOP_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in loop_rows(results):
        shares = (row.right, row.unknown, row.another, row.strangers, row.given, row.identified)
        cells = ("-" if share is None else _percent(share) for share in shares)
        table.add_row(str(row.own_clips), *cells)
    return table


def _cells(results: Mapping[str, Any], key: str, index: int | None) -> list[str]:
    def pick(value: Any) -> Any:
        return value if index is None else value[index]

    low, high = pick(results["intervals"][key])
    spread = results["spread"][key]
    return [
        _percent(pick(results["accuracy"][key])),
        f"{_percent(low)} to {_percent(high)}",
        _percent(pick(results["uar"][key])),
        *(_percent(pick(spread[name])) for name in ("worst", "median", "best")),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _transmitted(results: Mapping[str, Any]) -> str:
    rounds = results["transmitted"]
    if not rounds:
        return f"Engine {results['engine']}: no message was sent, so no byte was transmitted."
    sent = sum(entry["bytes"] for entry in rounds)
    return (
        f"Transmitted by all devices in {len(rounds)} rounds: {sent} bytes, "
        "updates of the universal head only."
    )


def _identified(results: Mapping[str, Any]) -> list[str]:
    from simulations.report.identification import device_words

    found = results.get("identification")
    if not found:
        return []
    return [
        f"Identification by {found['network']} on {device_words(results)}: clips taken for their "
        "own user, for nobody, for another; strangers: taken for somebody though not enrolled. "
        "Then personal heads' accuracy with the user given, and with the user identified."
    ]


def notes(results: Mapping[str, Any], folder: Path | None) -> list[str]:
    """What a reader of the table should also know."""
    own = results["accuracy"]["own_clips"]
    harmed = ", ".join(
        f"{count} at {clips}" for clips, count in zip(own, results["users_harmed"], strict=True)
    )
    stream = results["resting_stream"]
    lines = [
        "clips: own labelled clips per expression. Intervals are over users. All rows but "
        "'no statistics' also use the mean and spread of all of a user's adaptation clips, "
        "without their labels.",
        f"Users whose personal head is below their universal one: {harmed} own clips.",
        "User statistics from clips that are 80 % neutral or calm: universal "
        f"{_percent(stream['universal'])}, without normalisation "
        f"{_percent(stream['universal_raw'])}.",
        *_identified(results),
        _transmitted(results),
    ]
    if results["left_out"]:
        first = results["left_out"][0]
        lines.append(
            f"Left out: {len(results['left_out'])} clips, such as {first['clip']} "
            f"({first['reason']})."
        )
    lines.append(f"{results['seconds']} s. Command: {results['command']}")
    if folder:
        lines.append(f"Results: {folder / 'results.json'}")
    return lines
