"""The part of `table3`: one table of both protocols and the published figures, one of the leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulations.experiments.report.parts import (
    NOTHING,
    Section,
    Table,
    accepted_leaks,
    listed,
    percent,
    with_interval,
)
from simulations.experiments.report.table3_charts import accuracy_chart, leak_chart

Row = Mapping[str, Any]
COLUMNS = (
    *("features", "head", "published: universal", "published: personal"),
    *("paper: no statistics", "paper: universal", "paper: fine-tune", "paper: personal"),
    *("by take: no statistics", "by take: universal", "by take: own alone", "by take: fine-tune"),
    "by take: personal",
)
NOTES = (
    "Accuracy in %, mean over users and seeds; in brackets the 95 % interval over users.",
    "paper: the published protocol, which leaks (twins of a take on both sides). by take: no take "
    "is on both sides. Figures of the two protocols are of different test clips and users.",
    "no statistics: the universal head without anything of the user, as in the paper. universal: "
    "it also knows the mean and spread of the user's own clips, without labels. fine-tune: the "
    "personal head by the paper's method; personal: by Mien's. own alone: no universal head.",
    "published: whole table of the paper, whether or not its backbone is here.",
)


def section(figures: Mapping[str, Any]) -> Section:
    """Tables and pictures of the experiment's figures."""
    rows: Sequence[Row] = figures["rows"]
    words = (
        f"Published figures: {figures['source']}, Table 3.",
        *_no_paper(rows),
        *_no_twins(rows),
        *accepted_leaks(rows),
    )
    tables = [Table("Accuracy in %, two protocols", COLUMNS, _cells(figures), 2, NOTES)]
    charts = [accuracy_chart(rows, figures["published"])]
    leaky = [row for row in rows if row["twin"]["personal"]["with"]["clips"]]
    if leaky:
        tables.append(_leak_table(leaky))
        charts.append(leak_chart(leaky))
    return Section(words, tuple(tables), tuple(charts))


def _no_paper(rows: Sequence[Row]) -> tuple[str, ...]:
    names = dict.fromkeys(row["features"] for row in rows)
    with_it = {row["features"] for row in rows if row["protocol"] == "paper"}
    without = [name for name in names if name not in with_it]
    if not without:
        return ()
    return (
        f"Protocol paper was not run on {listed(without)}: it tests RAVDESS's actors 1 to 5 on a "
        "head from other actors.",
    )


def _no_twins(rows: Sequence[Row]) -> tuple[str, ...]:
    names = dict.fromkeys(row["features"] for row in rows if not row["twins"])
    if not names:
        return ()
    return (
        f"{listed(list(names))}: each take is there in one file only, so twins are absent, and "
        "protocol paper can't leak by them.",
    )


def _cells(figures: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Our rows, each beside the published one of its backbone; then the published ones left."""
    published = list(figures["published"])
    ours: dict[tuple[str, str], dict[str, Row]] = {}
    for row in figures["rows"]:
        ours.setdefault((row["features"], row["head"]), {})[row["protocol"]] = row
    lines = []
    for (features, head), protocols in ours.items():
        match = [p for p in published if p["head"] == head and features.startswith(p["ours"])]
        published = [p for p in published if p not in match]
        lines.append((features, head, *_published(match[:1]), *_measured(protocols)))
    missing = (NOTHING,) * (len(COLUMNS) - 4)
    lines += [
        (f"{p['features']} (paper)", p["head"], *_published([p]), *missing) for p in published
    ]
    return tuple(lines)


def _published(found: Sequence[Row]) -> tuple[str, str]:
    if not found:
        return NOTHING, NOTHING
    return f"{found[0]['universal']:g}", f"{found[0]['personal']:g}"


def _measured(protocols: Mapping[str, Row]) -> tuple[str, ...]:
    shown = (
        ("paper", ("universal_raw", "universal", "fine_tune", "personal")),
        ("by-take", ("universal_raw", "universal", "local_only", "fine_tune", "personal")),
    )
    return tuple(
        _cell(protocols.get(protocol), name) for protocol, names in shown for name in names
    )


def _cell(row: Row | None, name: str) -> str:
    found = row["accuracy"][name] if row else None
    if found is None:
        return NOTHING
    if name not in ("universal", "personal"):
        return percent(found["mean"])
    return with_interval(found["mean"], found["low"], found["high"])


def _leak_table(rows: Sequence[Row]) -> Table:
    return Table(
        "The leak of protocol paper: accuracy in % by whether the test clip's twin was adapted on",
        (
            *("features", "head", "clips with twin", "universal", "personal"),
            *("clips without", "universal", "personal", "worth of a twin, points"),
        ),
        tuple(_leak_row(row) for row in rows),
        2,
        (
            "Test clips of all users and seeds count alike; in brackets the 95 % interval over "
            "users. A twin is the other modality of the same take.",
            "worth of a twin: how much more personal heads gain over the universal one on clips "
            "whose twin they know than on clips whose twin they don't.",
        ),
    )


def _leak_row(row: Row) -> tuple[str, ...]:
    cells = []
    for side in ("with", "without"):
        found = [row["twin"][head][side] for head in ("universal", "personal")]
        told = (with_interval(f["accuracy"], f["low"], f["high"]) for f in found)
        cells += [str(found[0]["clips"]), *told]
    worth = worth_of_a_twin(row)
    return (row["features"], row["head"], *cells, NOTHING if worth is None else f"{worth:+.1f}")


def worth_of_a_twin(row: Row) -> float | None:
    """Points; None where there are no test clips of one of the two kinds."""
    gains = []
    for side in ("with", "without"):
        universal, personal = (row["twin"][head][side] for head in ("universal", "personal"))
        if not personal["clips"]:
            return None
        gains.append(100 * (personal["accuracy"] - universal["accuracy"]))
    return float(gains[0] - gains[1])
