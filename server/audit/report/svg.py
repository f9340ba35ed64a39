"""Small drawings as SVG text, with a text alternative each; no script, nothing loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 44
STROKES = ("#00588c", "#9a3412", "#3f6212", "#6b21a8")
DASHES = ("", "7 4", "2 3", "9 3 2 3")
Points = Sequence[tuple[float, float]]


def lines(key: str, title: str, series: Mapping[str, Points], *, across: str, up: str) -> str:
    """Lines over a shared axis, heights 0..1 shown in percent; each named in its colour."""
    furthest = max((x for points in series.values() for x, _ in points), default=1.0)
    parts = [_axes(across, up), _ticks(furthest)]
    for place, (name, points) in enumerate(series.items()):
        spots = [(_x(x / max(furthest, 1e-12)), _y(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        colour, dash = STROKES[place % 4], DASHES[place % 4]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        parts.append(_text(WIDTH / 2, HEIGHT / 2 + 16 * place, f"- {name}", colour))
    return _drawing(key, title, _told(series), "".join(parts))


def bars(
    key: str, title: str, heights: Mapping[str, float], *, level: float, level_name: str, top: float
) -> str:
    """Bars of 0..`top`, with a level line across that has a name."""
    slot = (WIDTH - LEFT - RIGHT) / max(len(heights), 1)
    parts = [_axes("", "")]
    for place, (name, height) in enumerate(heights.items()):
        x, y = LEFT + slot * (place + 0.25), _y(height / top)
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{slot / 2:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{STROKES[0]}"/>'
        )
        shown = f"{height:.0%}" if top == 1 else f"{height:.1f}"
        parts.append(_text(x + slot / 4, max(y - 5, 12), shown, middle=True))
        parts.append(_text(x + slot / 4, HEIGHT - BOTTOM + 18, name, middle=True))
    y = _y(level / top)
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{STROKES[1]}" '
        f'stroke-dasharray="7 4"/>'
    )
    parts.append(_text(WIDTH - RIGHT, y - 5, level_name, STROKES[1], end=True))
    told = ", ".join(f"{name}: {height:.3g}" for name, height in heights.items())
    return _drawing(key, title, f"{told}; {level_name}: {level:.3g}", "".join(parts))


def scatter(key: str, title: str, pairs: Points, *, across: str, up: str) -> str:
    """Points around 0, both axes on one scale; on the diagonal both are equal."""
    reach = max((max(abs(x), abs(y)) for x, y in pairs), default=1.0) or 1.0
    spots = [(_x((x / reach + 1) / 2), _y((y / reach + 1) / 2)) for x, y in pairs]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{STROKES[0]}" fill-opacity="0.5"/>'
        for x, y in spots
    )
    diagonal = (
        f'<line x1="{_x(0):.1f}" y1="{_y(0):.1f}" x2="{_x(1):.1f}" y2="{_y(1):.1f}" '
        f'stroke="{STROKES[1]}" stroke-dasharray="7 4"/>'
    )
    told = f"{len(pairs)} numbers of a feature, true across and decoded up"
    return _drawing(key, title, told, _axes(across, up, percent=False) + diagonal + dots)


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(share, 0.0), 1.0)


def _axes(across: str, up: str, *, percent: bool = True) -> str:
    frame = (
        f'<path d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#57606a"/>'
    )
    names = _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, middle=True)
    if up:
        names += (
            f'<text x="14" y="{HEIGHT / 2:.0f}" text-anchor="middle" '
            f'transform="rotate(-90 14 {HEIGHT / 2:.0f})">{escape(up)}</text>'
        )
    if percent and up:
        names += "".join(_text(LEFT - 6, _y(s) + 4, f"{s:.0%}", end=True) for s in (0, 0.5, 1))
    return frame + names


def _ticks(furthest: float) -> str:
    steps = sorted({round(furthest * share) for share in (0, 0.25, 0.5, 0.75, 1)})
    return "".join(
        _text(_x(s / max(furthest, 1e-12)), HEIGHT - BOTTOM + 16, str(s), middle=True)
        for s in steps
    )


def _text(
    x: float,
    y: float,
    text: str,
    colour: str = "#1b1f24",
    *,
    middle: bool = False,
    end: bool = False,
) -> str:
    anchor = "middle" if middle else "end" if end else "start"
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(text)}</text>'


def _told(series: Mapping[str, Points]) -> str:
    ends = [f"{name} ends at {points[-1][1]:.1%}" for name, points in series.items() if points]
    return "; ".join(ends)


def _drawing(key: str, title: str, described: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title" '
        f'aria-describedby="{key}-desc" font-size="13" font-family="system-ui, sans-serif">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-desc">{escape(described)}</desc>{inside}</svg>'
    )
