"""`mien demo`: from drawn faces to a report, with nothing to download."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[str, typer.Option(help="Folder for results.json and report.html.")] = "out/demo",
    actors: Annotated[int, typer.Option(help="Synthetic actors, each one Flower client.")] = 8,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    identify: Annotated[
        bool,
        typer.Option(
            "--identify",
            help="Also let the device find out whose clip it is, by the face; takes twice as long.",
        ),
    ] = False,
) -> None:
    """Draw synthetic actors, run the whole simulation on their videos, and write a report.

    Everything here is **synthetic**: drawn faces show that the parts work together, not how well
    Mien reads real people. The drawings and their features are kept in Mien's cache folder.

    **Example:** `mien demo --out out/demo`, then open out/demo/report.html.
    """
    from cli.console import output
    from cli.simulate import run
    from cli.tables import print_results
    from simulations.settings import parse_settings

    settings = parse_settings({"out": out, "actors": actors, "seed": seed, "identify": identify})
    results = run(settings, engine="grid", workers=os.cpu_count() or 1)
    folder = Path(out)
    print_results(results, folder)
    report = (folder / "report.html").resolve()
    output.print(f"Report: {report}", highlight=False, markup=False, soft_wrap=True)
