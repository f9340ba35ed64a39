"""Figures in words: text alternatives that say what a person would see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulations.report.confusion import Confusion
from simulations.report.facts import Row, UserRow, kilobytes, last_rows, percent
from simulations.report.traffic import Traffic


def describe_accuracy(rows: Sequence[Row]) -> str:
    """Where each line of the accuracy figure starts and ends."""
    parts = []
    for key, last in last_rows(rows).items():
        first = next(row for row in rows if row.key == key)
        path = f"{percent(first.accuracy)} % at {first.own_clips}"
        if last.own_clips != first.own_clips:
            path += f" to {percent(last.accuracy)} % at {last.own_clips}"
        parts.append(f"{first.title}: {path} own clips per expression")
    return (
        "Mean accuracy over users against own labelled clips per expression, with 95 % intervals; "
        "a dot for each user. " + "; ".join(parts) + ". The table below has all figures."
    )


def describe_users(rows: Sequence[UserRow]) -> str:
    """How many users gain, and who is harmed."""
    better = sum(row.personal > row.universal + 1e-12 for row in rows)
    harmed = [row.user for row in rows if row.harmed]
    named = f" ({', '.join(harmed)})" if 0 < len(harmed) <= 10 else ""
    return (
        f"One line per user from universal to personal accuracy, {len(rows)} users, lowest "
        f"universal accuracy first. The personal head is above the universal one for {better} "
        f"and below it for {len(harmed)}{named}. The table below has all figures."
    )


def describe_confusion(confusion: Confusion) -> str:
    """Overall share on the diagonal and the most frequent mistakes."""
    total = float(confusion.counts.sum())
    right = float(confusion.counts.trace()) / total if total else 0.0
    mistakes = "; ".join(
        f"{shown} taken for {chosen} ({percent(share)} %)"
        for shown, chosen, share in confusion.mistakes[:3]
    )
    return (
        f"{percent(right)} % of all {total:.0f} test clips lie on the diagonal. "
        f"Most frequent mistakes: {mistakes or 'none'}. The table below has all figures."
    )


def describe_traffic(federations: Sequence[Traffic]) -> str:
    """Range of clients and bytes, and the totals."""
    rounds = [entry for federation in federations for entry in federation.rounds]
    clients, sizes = [r.clients for r in rounds], [r.bytes for r in rounds]
    totals = [federation.total for federation in federations]
    return (
        f"Three panels against rounds: {_range(clients)} devices sent an update in each round; "
        f"together {_range(sizes, kilobytes)} per round, and {_range(totals, kilobytes)} per "
        "federation in all. The table below has all figures."
    )


def _range(values: Sequence[int], show: Callable[[int], str] = str) -> str:
    low, high = min(values), max(values)
    return f"{show(low)}" if low == high else f"{show(low)} to {show(high)}"
