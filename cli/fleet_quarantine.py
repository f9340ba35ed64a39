"""`mien server quarantine` and `dashboard`: what operators see and decide."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json
from cli.fleet_shared import Folder, Json, opened, print_table, say
from common.errors import UsageError

if TYPE_CHECKING:
    from server.defence import Quarantine

quarantine = typer.Typer(
    no_args_is_help=True,
    help="""Devices whose updates kept failing validation, and that are asked no more.

A device gets here by three refused updates within its last five rounds.""",
)


@quarantine.command("list")
def list_command(
    folder: Folder,
    past: Annotated[
        bool, typer.Option("--past", help="Also those that were let in again.")
    ] = False,
    json: Json = False,
) -> None:
    """Who is left out since when, and why.

    **Example:** `mien server quarantine list --folder fleet`
    """
    there = _quarantine(folder)
    found = [*(there.history() if past else ()), *there.cases().values()]
    if json:
        print_json([asdict(case) for case in found])
        return
    if not found:
        say("No device is in quarantine.")
        return
    columns = ("device", "since", "reasons", "let in again")
    print_table(
        columns,
        [
            (
                case.device,
                case.since,
                "; ".join(case.reasons),
                f"{case.released} by {case.by}" if case.released else "",
            )
            for case in found
        ],
    )


@quarantine.command("release")
def release_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")],
    folder: Folder,
    by: Annotated[
        str, typer.Option(metavar="WHO", help="Who decided; kept with the case. By default you.")
    ] = "",
    json: Json = False,
) -> None:
    """Ask a device again from the next round on; its past failures no longer count.

    **Example:** `mien server quarantine release kitchen --folder fleet`
    """
    there = _quarantine(folder)
    if name not in there.cases():
        raise UsageError(f"device {name!r} is not in quarantine")
    case = there.release(name, by=by or _user())
    if json:
        print_json(asdict(case))
    else:
        say(f"Device {name} may take part again from the next round on.")


def dashboard_command(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="By default dashboard.html in the fleet's folder."),
    ] = None,
) -> None:
    """Draw the fleet's dashboard: one HTML page that needs no network.

    A running server draws it anew after every round.

    **Example:** `mien server dashboard --folder fleet --out fleet.html`
    """
    from server.fleet.dashboard import write_dashboard

    try:
        path = write_dashboard(folder, out)
    except OSError as error:
        raise UsageError(f"{out or folder}: can't be written to ({error.strerror})") from error
    say(f"The dashboard is drawn: {path}")


def _quarantine(folder: Path) -> Quarantine:
    from server.defence import Quarantine
    from server.fleet.folder import FleetFolder
    from server.fleet.judge import QUARANTINE

    opened(folder)
    return Quarantine(FleetFolder(folder).federation / QUARANTINE)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "an operator"
