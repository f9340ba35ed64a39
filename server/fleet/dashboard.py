"""A fleet's dashboard: one static page that asks nobody for anything, drawn after every round."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from common.files import write_atomically
from server.fleet.charts import Stack, stacked_bars
from server.fleet.dashboard_style import STYLE
from server.fleet.events import outcomes_of
from server.fleet.spread import Spread, spread_chart
from server.fleet.status import FleetStatus, fleet_status

FILE: Final = "dashboard.html"
LAST_ROUNDS: Final = 200
LAST_RELEASES: Final = 50
OUTCOMES: Final = ("accepted", "refused", "failed", "late", "empty")
GOOD: Final = {"online", "running"}
WARNED: Final = {"revoked", "quarantined", "not running", "paused"}
_REFUSAL: Final = re.compile(r"[^:]*: (.*?)(?: \(|$)", re.DOTALL)

Cell = tuple[str, str]
"""Text and the class of its table cell."""


def write_dashboard(root: Path, out: Path | None = None) -> Path:
    """Draw a fleet's dashboard (mode 0600); by default `dashboard.html` in the fleet's folder.

    Raises:
        UsageError, WorkError: see `server.fleet.status.fleet_status`.
        OSError: the file can't be written.
    """
    path = out or root / FILE
    write_atomically(path, page(fleet_status(root), datetime.now(UTC)).encode())
    return path


def page(now: FleetStatus, made: datetime) -> str:
    """The whole HTML document."""
    rounds = now.rounds[-LAST_ROUNDS:]
    sections = [
        _section("Accuracy by round", _accuracy(now)),
        _chart("Answers by round", _answers(rounds), OUTCOMES, _whole),
        _chart("Seconds by round and phase", _seconds(rounds), _phases(rounds), _number),
        _chart("Bytes of accepted updates", _bytes(rounds), ("bytes",), bytes_text),
        _section("Refusals by reason", _refusals(now.rounds)),
        _privacy(now),
        _section("Releases", _releases(now)),
        _section("Devices", _devices(now)),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(now.fleet)} - Mien fleet</title><style>{STYLE}</style></head>
<body><header><h1>Fleet {escape(now.fleet)}</h1><p>{escape(now.address)}</p></header>
{_tiles(now)}
<main>{"".join(sections)}</main>
<footer>Drawn {made.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC from the fleet's folder; the charts show
the last {len(rounds)} rounds. Nothing on this page tells what a device sent.</footer>
</body></html>
"""


def _tiles(now: FleetStatus) -> str:
    state = "paused" if now.paused else "running" if now.running else "not running"
    online = sum(device.status == "online" for device in now.devices)
    active = sum(device.status != "revoked" for device in now.devices)
    tiles = (
        ("Server", escape(state), _class_of(state)),
        ("Head rounds done", f"{now.done} <small>of {now.wanted} wanted</small>", ""),
        ("Devices online", f"{online} <small>of {active}</small>", ""),
        ("In quarantine", str(len(now.quarantined)), "warn" if now.quarantined else ""),
        ("Newest release", str(now.released) if now.released else "none", ""),
        ("Certificates due", str(len(now.due)), "warn" if now.due else ""),
    )
    return f'<dl class="tiles">{"".join(_tile(*tile) for tile in tiles)}</dl>'


def _tile(name: str, value: str, kind: str) -> str:
    return f'<div><dt>{name}</dt><dd class="{kind}">{value}</dd></div>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _chart(title: str, stacks: Sequence[Stack], series: Sequence[str], told: Any) -> str:
    if not stacks:
        return _section(title, '<p class="quiet">No round is done yet.</p>')
    drawing = stacked_bars(stacks, series, title=title, axis="round", told=told)
    if len(series) == 1:
        return _section(title, drawing)
    used = [any(stack.amounts.get(name, 0) > 0 for stack in stacks) for name in series]
    legend = "".join(
        f'<li><i class="s{number}"></i>{escape(name)}</li>'
        for number, name in enumerate(series)
        if used[number]
    )
    return _section(title, f'{drawing}<ul class="legend">{legend}</ul>')


def _accuracy(now: FleetStatus) -> str:
    """On the operator's clips; devices' own figures are nowhere but on the devices."""
    there = now.accuracy[-LAST_ROUNDS:]
    if not there:
        return (
            '<p class="quiet">No release was tested. Devices send no accuracy; name clips of your '
            "own: mien server set --check-features FILE.</p>"
        )
    spreads = [
        Spread(str(e["round"]), e["accuracy"], e["worst_user"], e["median_user"], e["best_user"])
        for e in there
    ]
    drawing = spread_chart(spreads, title="Accuracy by round", axis="round", told=_percent)
    return f'{drawing}<p class="quiet">{escape(_tested_on(now))}</p>'


def _tested_on(now: FleetStatus) -> str:
    told = "Dots: all clips. Bars: from the worst to the best user, with the middle one. "
    about = now.check
    if about is not None:
        drawn = "synthetic (drawn) " if about.synthetic else ""
        told += (
            f"The operator's {drawn}test clips: {about.clips} of {about.users} users "
            f"({about.source}). "
        )
    return f"{told}Devices' own figures stay on the devices."


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _answers(rounds: Iterable[Mapping[str, Any]]) -> list[Stack]:
    return [Stack(str(each["round"]), outcomes_of(each)) for each in rounds]


def _seconds(rounds: Iterable[Mapping[str, Any]]) -> list[Stack]:
    return [Stack(str(each["round"]), each["seconds"]) for each in rounds]


def _bytes(rounds: Iterable[Mapping[str, Any]]) -> list[Stack]:
    return [Stack(str(each["round"]), {"bytes": float(each["bytes"])}) for each in rounds]


def _phases(rounds: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in rounds for name in each["seconds"]))


def _refusals(rounds: Iterable[Mapping[str, Any]]) -> str:
    """Reports say `device: reason (detail)`; counted is the reason."""
    reasons: Counter[str] = Counter()
    for each in rounds:
        for text in each["refused"]:
            found = _REFUSAL.match(text)
            reasons[found[1] if found else text] += 1
    if not reasons:
        return '<p class="quiet">No update was refused.</p>'
    rows = [((reason, ""), (str(count), "number")) for reason, count in reasons.most_common()]
    return _table((("reason", ""), ("updates", "number")), rows)


def _devices(now: FleetStatus) -> str:
    due = {name: end for kind, name, end in now.due if kind == "device"}
    rows = []
    for device in now.devices:
        state = "quarantined" if device.name in now.quarantined else device.status
        renew = due.get(device.name, "")
        rows.append(((device.name, ""), (state, _class_of(state)), (renew, "warn")))
    if not rows:
        return '<p class="quiet">No device is enrolled.</p>'
    return _table((("device", ""), ("state", ""), ("renew by", "")), rows)


def _releases(now: FleetStatus) -> str:
    rows = [
        (
            (str(each["sequence"]), "number"),
            (str(each["round"]), "number"),
            (each["created"].replace("T", " ").removesuffix("Z"), ""),
            (", ".join(f"{name} {value:.4g}" for name, value in each["metrics"].items()), ""),
        )
        for each in reversed(now.releases[-LAST_RELEASES:])
    ]
    if not rows:
        return '<p class="quiet">Nothing is released yet.</p>'
    heads = (("release", "number"), ("round", "number"), ("made (UTC)", ""), ("metrics", ""))
    return _table(heads, rows)


def _privacy(now: FleetStatus) -> str:
    title = "Differential privacy spent, by release (epsilon)"
    spent = [each for each in now.releases if each["epsilon"] is not None]
    if not spent:
        return _section(title, '<p class="quiet">No release claims differential privacy.</p>')
    stacks = [
        Stack(str(each["sequence"]), {"epsilon": float(each["epsilon"])})
        for each in spent[-LAST_ROUNDS:]
    ]
    drawing = stacked_bars(stacks, ("epsilon",), title=title, axis="release", told=_number)
    return _section(title, f'{drawing}<p class="quiet">delta {spent[-1]["delta"]:g}</p>')


def _table(heads: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> str:
    head = "".join(f'<th scope="col" class="{kind}">{escape(text)}</th>' for text, kind in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    return f'<td class="{cell[1]}">{escape(cell[0])}</td>'


def _class_of(state: str) -> str:
    return "good" if state in GOOD else "warn" if state in WARNED else "quiet"


def _whole(amount: float) -> str:
    return f"{amount:.4g}"


def _number(amount: float) -> str:
    return f"{amount:.3g}"


def bytes_text(amount: float) -> str:
    """Bytes with a decimal unit.

    >>> bytes_text(0), bytes_text(1500), bytes_text(2.5e7)
    ('0 B', '1.5 kB', '25 MB')
    """
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= factor:
            return f"{amount / factor:.3g} {unit}"
    return f"{amount:.3g} B"
