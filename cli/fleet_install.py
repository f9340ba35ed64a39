"""`mien server install --print`: a service file for a fleet's server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.fleet_shared import Folder, opened
from common.errors import UsageError


def install_command(
    folder: Folder,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the service file; nothing is changed.")
    ] = False,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Who runs it; by default the folder's owner.")
    ] = "",
) -> None:
    """Print a hardened systemd unit that keeps the server running as a user of its own.

    **Example:** `mien server install --print --folder /var/lib/fleet | sudo tee
    /etc/systemd/system/mien-server.service`
    """
    from server.fleet.units import ServerUnit, systemd_unit

    if not print_only:
        raise UsageError(
            "install changes nothing by itself; give --print and put what it prints in its place"
        )
    address = opened(folder).settings.address
    whole = folder.resolve()
    command = (_program(), "server", "run", "--folder", str(whole))
    unit = ServerUnit(command=command, folder=whole, user=user or whole.owner(), address=address)
    sys.stdout.write(systemd_unit(unit))


def _program() -> str:
    beside = Path(sys.executable).parent / "mien"
    found = str(beside) if beside.exists() else shutil.which("mien")
    if found is None:
        raise UsageError("the program mien is not installed beside this Python nor on the PATH")
    return found
