"""`mien server set`: what an operator may change later; first of all, own test clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json
from cli.fleet_shared import Folder, Json, opened, say
from common.errors import UsageError

if TYPE_CHECKING:
    from server.fleet.check import About, CheckTable

CheckFeatures = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="Labelled feature table of your own test clips, as `mien extract` writes it: every "
        "release is tested on it.",
    ),
]
Synthetic = Annotated[
    bool, typer.Option("--synthetic", help="The clips' faces are drawn; figures then say so.")
]


def set_command(
    folder: Folder,
    check_features: CheckFeatures = None,
    no_check_features: Annotated[
        bool, typer.Option("--no-check-features", help="Test no release any more.")
    ] = False,
    synthetic: Synthetic = False,
    json: Json = False,
) -> None:
    """Name test clips of your own, on which every release from the next one on is tested.

    Devices send no accuracy, so this is the only one that a server knows. The table is copied into
    the fleet's folder; devices get its figures with the releases, and nothing else of it.

    **Example:** `mien server set --check-features ravdess.parquet --folder fleet`
    """
    if (check_features is None) != no_check_features:
        raise UsageError("give either --check-features TABLE or --no-check-features")
    opened(folder)
    if check_features is None:
        _remove(folder, json=json)
        return
    about = name_table(folder, read_check_table(check_features, synthetic=synthetic))
    if json:
        print_json(vars(about))
    else:
        say(told_of(about))


def read_check_table(path: Path, *, synthetic: bool) -> CheckTable:
    """A table of test clips; each take once.

    Raises:
        UsageError: it can't be read, or is empty or too large.
    """
    from server.fleet.check import check_table
    from simulations.sources import load_table_source

    found = load_table_source(path)
    return check_table(found.clips, features=found.features, source=path.name, synthetic=synthetic)


def name_table(folder: Path, table: CheckTable) -> About:
    """Keep a table in a fleet's folder, if it fits the federation that has begun there.

    Raises:
        UsageError: it does not fit.
    """
    from server.fleet.check import check_fits, keep_table
    from server.fleet.folder import FleetFolder

    there = FleetFolder(folder)
    if there.begun:
        check_fits(table, there.settings().specification)
    try:
        keep_table(there.federation, table)
    except OSError as error:
        raise UsageError(f"{folder}: can't be written to ({error.strerror})") from error
    return table.about


def told_of(about: About) -> str:
    """A sentence about the table that is kept."""
    drawn = "synthetic " if about.synthetic else ""
    return (
        f"Releases are tested on {about.clips} {drawn}clips of {about.users} users "
        f"({about.source})."
    )


def _remove(folder: Path, *, json: bool) -> None:
    from server.fleet.check import remove_table
    from server.fleet.folder import FleetFolder

    there = remove_table(FleetFolder(folder).federation)
    if json:
        print_json({"removed": there})
    else:
        say("Releases are tested no more." if there else "No test clips were named.")
