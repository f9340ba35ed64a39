"""Figures of avatars' generators as tables for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.console import output
from cli.opened import say


def print_sweep(told: dict[str, Any]) -> None:
    """A row for each S and C."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    mark = "SYNTHETIC: " if told["synthetic"] else ""
    table = Table(title=f"{mark}{told['generator']}", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("S", "C", "accuracy %", "95 %", "published %"):
        table.add_column(name, justify="right")
    for row in told["rows"]:
        table.add_row(
            _weight(row["structure"]),
            _weight(row["colour"]),
            *_share(row["accuracy"]),
            "" if row["published_percent"] is None else f"{row['published_percent']:g}",
        )
    output.print(table)
    share, interval = _share(told["faces_accuracy"])
    say(
        f"On the {told['faces']} faces themselves: {share} % ({interval}). Read by "
        f"{told['reader']}.",
        f"Published: {told['published']['source']}.",
    )


def print_quality(told: dict[str, Any]) -> None:
    """A row for each expression."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    mark = "SYNTHETIC: " if told["synthetic"] else ""
    for name, title in (("labelled", "kept by the labels"), ("read", "kept as it is read")):
        figures = told.get(name)
        if not figures:
            continue
        table = Table(title=f"{mark}expression {title}", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("expression", "avatars", "kept %", "95 %"):
            table.add_column(column, justify="left" if column == "expression" else "right")
        rows = {**figures["by_expression"], "all": figures}
        for expression, each in rows.items():
            table.add_row(expression, str(each["count"]), *_share(each))
        output.print(table)
    published = told["published"]
    say(
        f"Read by {told['reader']}.",
        f"Published: {published['kept']} of {published['count']} ({published['source']}).",
    )


def print_tuned(told: dict[str, Any], out: Path) -> None:
    """What a fine-tuning came to."""
    mark = "SYNTHETIC. " if told["synthetic"] else ""
    if "before" in told:
        before, after = (_share(told[name]) for name in ("before", "after"))
        say(
            f"{mark}On {told['before']['count']} avatars of other people: {before[0]} % before "
            f"({before[1]}), {after[0]} % with the head ({after[1]}).",
            f"Head: {out}. Read avatars with it: mien avatar check FACE AVATAR --avatar-head {out}",
        )
    else:
        accuracy = told["test"]["accuracy"]
        say(
            f"{mark}Accuracy on avatars of other people: {100 * accuracy:.1f} %. Results: "
            f"{out}/results.json"
        )
    published = told["published"]
    say(f"Published: {published['accuracy_percent']} % ({published['source']}).")


def _weight(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _share(told: dict[str, Any]) -> tuple[str, str]:
    low, high = told["interval"]
    return f"{100 * told['share']:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"


def print_detector(told: dict[str, Any], out: Path) -> None:
    """What a training came to."""
    mark = "SYNTHETIC. " if told["synthetic"] else ""
    share, interval = _share(told["accuracy"])
    labels = _share(told["labels_accuracy"])
    say(
        f"{mark}{told['detector']} on {told['accuracy']['count']} pairs of other people: accuracy "
        f"{share} % ({interval}), AUC {told['auc']:.3f}; comparing labels {labels[0]} % "
        f"({labels[1]}).",
        f"Detector: {out}. Use it: mien avatar check FACE AVATAR --detector {out}",
    )
