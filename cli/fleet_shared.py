"""What the commands on a fleet's folder share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import output

if TYPE_CHECKING:
    from server.authority import Authority

Folder = Annotated[
    Path,
    typer.Option(
        "--folder",
        metavar="DIR",
        envvar="MIEN_SERVER",
        help="The fleet's folder, as `mien server init` made it; or set `MIEN_SERVER`.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def opened(folder: Path) -> Authority:
    """The fleet of a folder."""
    from server.authority import Authority

    return Authority(folder)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of plain text under their titles."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    output.print(table)


def text_of(time: datetime) -> str:
    """A time for people."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def say(sentence: str) -> None:
    """One line, however long."""
    output.print(sentence, highlight=False, markup=False, soft_wrap=True)
