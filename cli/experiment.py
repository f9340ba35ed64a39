"""`mien experiment`: the paper's experiments and Mien's own, and one report of all results."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cli.console import output, phase_bars, print_json
from simulations.experiments.about import ABOUT

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Run an experiment on videos or feature tables; render all results as one page.

Each measurement is one JSON file in DIR that names its command, commit, data, seed and time. A run
that was broken off goes on at the first that is missing; changed data, settings or code make them
anew.

**Example:** `mien experiment table3 --features b0.parquet --out results`, then
`mien experiment report results`""",
)

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")]
Data = Annotated[
    str,
    typer.Option(
        metavar="FOLDER",
        help="RAVDESS videos, as downloaded; features are extracted once per backbone. Backbones "
        "whose weights are not here are named.",
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(metavar="TABLE", help="Feature table, CSV or Parquet; give it once per backbone."),
]
Mini = Annotated[
    bool,
    typer.Option("--mini", help="A few minutes' worth; on synthetic actors unless data is named."),
]
Seeds = Annotated[int, typer.Option(help="Number of seeds; 0 for the experiment's own.")]
Workers = Annotated[
    int,
    typer.Option(
        help="Processes that extract features; 0 takes one per core. Results do not depend on it."
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Measure anew what is there already.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
LONGEST_LINE = 1000


def _command(name: str) -> Callable[..., None]:
    def command(
        out: Out,
        data: Data = "",
        features: Features = None,
        mini: Mini = False,
        seeds: Seeds = 0,
        workers: Workers = 0,
        again: Again = False,
        json: Json = False,
    ) -> None:
        from simulations.experiments.registry import EXPERIMENTS
        from simulations.experiments.run import Options, run_experiment

        options = Options(
            out=out,
            data=data,
            features=tuple(features or ()),
            mini=mini,
            seeds=seeds,
            workers=workers or os.cpu_count() or 1,
            again=again,
        )
        with phase_bars() as watch:
            results = run_experiment(EXPERIMENTS[name], options, watch)
        if json:
            print_json(results)
        else:
            _print(results, out)

    return command


for _name, _help in ABOUT.items():
    app.command(_name, help=_help)(_command(_name))


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of results.")],
    json: Json = False,
) -> None:
    """Render the results of all experiments in DIR as one page, DIR/report.html.

    Tables and figures, each naming its command, commit, data and seeds. The page asks nothing of
    any server.

    **Example:** `mien experiment report results`
    """
    from simulations.experiments.report.page import read_results, write_report

    path = write_report(folder)
    if json:
        names = [each["name"] for each in read_results(folder)]
        print_json({"report": str(path), "experiments": names})
    else:
        output.print(f"Report: {path}", highlight=False, markup=False, soft_wrap=True)


def _print(results: Mapping[str, Any], out: Path) -> None:
    from simulations.experiments.report.page import section_of

    section = section_of(results)
    mark = "SYNTHETIC " if results["synthetic"] else ""
    _say(f"\n{mark}{results['title']}")
    for words in section.words:
        _say(words)
    for each in section.tables:
        table = _table(each, mark)
        # Figures that are cut off are no figures: a long line is better.
        widest = output.measure(table, options=output.options.update(width=LONGEST_LINE)).maximum
        Console(width=max(output.width, widest)).print(table)
        for note in each.notes:
            _say(note)
    for missing in results["missing"]:
        _say(f"Not here: {missing['name']}, {missing['reason']}")
    _say(cells_told(results))
    _say(f"Results: {out / results['name']}.json. One page of all: mien experiment report {out}")


def _say(text: str) -> None:
    output.print(text, highlight=False, markup=False, soft_wrap=True)


def _table(part: Any, mark: str) -> Table:
    table = Table(title=mark + part.title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for index, name in enumerate(part.columns):
        table.add_column(name, justify="left" if index < part.labels else "right")
    for row in part.rows:
        table.add_row(*row)
    return table


def cells_told(results: Mapping[str, Any]) -> str:
    """How many cells were measured now and how many were there, and of when."""
    cells = results["cells"]
    reused = [cell for cell in cells if cell["reused"]]
    told = f"{len(cells) - len(reused)} cells measured, {results['seconds_now']} s."
    if reused:
        dates = sorted(cell["date"] for cell in reused)
        told += (
            f" {len(reused)} of {len(cells)} were there already, of the same settings, data and "
            f"code (measured {dates[0]} to {dates[-1]}); --again measures them anew."
        )
    return told
