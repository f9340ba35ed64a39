"""`mien simulate`: people of a data set play devices on this machine."""

from __future__ import annotations

import inspect
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import phase_bars, print_json
from common.errors import UsageError

if TYPE_CHECKING:
    from simulations.settings import SimulationSettings

HELP = """Federate a universal head over the users of a data set and give each a personal head.

Every user is one Flower client. A user's universal head is trained on other users only; the
personal head is made from a few own clips per expression, and all are tested on the same other
clips of that user.

**Example:** `mien simulate --features ravdess-openface-au.csv`

`--features` takes a CSV table, one row per clip, with a `clip` column of RAVDESS names, or with
`clip`, `user` and `expression` columns; all other columns are features."""


def command(**options: Any) -> None:
    """Run a simulation from the command line's options."""
    from cli.tables import print_results
    from simulations.engines.grid import run_grid
    from simulations.results import save_results
    from simulations.simulate import finish, load_table_source, prepare, simulation_root

    started = time.monotonic()
    settings = _settings(options)
    if not settings.features:
        raise UsageError("no data is named; give --features FILE.csv")
    source = load_table_source(Path(settings.features))
    with phase_bars() as watch, simulation_root(settings) as root:
        prepared = prepare(settings, source, root, watch)
        run_grid(prepared, workers=options["workers"] or os.cpu_count() or 1, watch=watch)
        results = finish(prepared, command_line(settings), started, watch)
    if options["out"]:
        save_results(Path(options["out"]), results)
    if options["json"]:
        print_json(results)
    else:
        print_results(results, Path(options["out"]) if options["out"] else None)


def _settings(options: dict[str, Any]) -> SimulationSettings:
    from simulations.settings import SimulationSettings, parse_settings

    names = SimulationSettings.model_fields
    return parse_settings({name.replace("_", "-"): options[name] for name in names})


def command_line(settings: SimulationSettings) -> str:
    """The command that gives these settings: only what differs from the defaults."""
    changed = settings.model_dump(exclude_defaults=True, by_alias=True)
    changed.pop("state-root", None)
    return " ".join(["mien simulate", *(f"--{key} {value}" for key, value in changed.items())])


def _signature() -> inspect.Signature:
    """One option per setting, in their order, then the options of the command itself."""
    from simulations.settings import SimulationSettings

    parameters = []
    for name, field in SimulationSettings.model_fields.items():
        about = typer.Option(f"--{name.replace('_', '-')}", help=f"{field.description}.")
        kind = field.annotation if field.annotation in (int, float) else str
        parameters.append(_parameter(name, Annotated[kind, about], field.default))
    own = {
        "workers": (
            int,
            0,
            "Processes that share the devices; 0 takes one per core. Results do not depend on it.",
        ),
        "out": (str, "", "Folder for results.json."),
        "json": (bool, False, "Print the results as JSON on standard output."),
    }
    for name, (kind, default, text) in own.items():
        about = typer.Option(f"--{name}", help=text)
        parameters.append(_parameter(name, Annotated[kind, about], default))
    return inspect.Signature(parameters)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


command.__doc__ = HELP
command.__signature__ = _signature()  # type: ignore[attr-defined]
command.__annotations__ = {
    name: parameter.annotation
    for name, parameter in command.__signature__.parameters.items()  # type: ignore[attr-defined]
}
