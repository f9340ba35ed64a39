"""`mien simulate`: people of a data set play devices on this machine."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import phase_bars, print_json
from common.errors import UsageError
from common.files import check_writable

if TYPE_CHECKING:
    from simulations.settings import SimulationSettings
    from simulations.watching import Watcher

ENGINES = ("grid", "cohort", "ray")

HELP = """Federate a universal head over the users of a data set and give each a personal head.

Every user is one Flower client. A user's universal head is trained on other users only; the
personal head is made from a few own clips per expression, and all are tested on the same other
clips of that user.

**Example:** `mien simulate --features ravdess-openface-au.csv`

`--features` takes a CSV table, one row per clip, with a `clip` column of RAVDESS names, or with
`clip`, `user` and `expression` columns; all other columns are features. `--data` takes a folder of
RAVDESS videos as downloaded. With neither, synthetic actors are drawn, and all figures say so.

With videos, `--identify` also tests devices that several users share, where the face decides whose
personal head reads a clip. `--save-head` writes a universal head of all users for a real device."""


def command(**options: Any) -> None:
    """Run a simulation from the command line's options."""
    settings = _settings(options)
    workers = options["workers"] or os.cpu_count() or 1
    results = run(settings, engine=options["engine"], workers=workers)
    if options["json"]:
        print_json(results)
        return
    from cli.tables import print_results

    print_results(results, Path(settings.out) if settings.out else None)


def run(settings: SimulationSettings, *, engine: str, workers: int) -> dict[str, Any]:
    """Run a simulation on an engine, with progress; returns its results.

    Raises:
        UsageError: an unknown engine, fewer than one worker, or data that can't be used.
        WorkError: the run failed.
    """
    if settings.out:
        check_writable(Path(settings.out))
    if settings.save_head:
        from simulations.everyone import check_head_file

        check_head_file(Path(settings.save_head))
    if engine not in ENGINES:
        raise UsageError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    if engine == "cohort" and settings.record:
        raise UsageError("record keeps replies, and the engine cohort has none; use --engine grid")
    masked = settings.secure_aggregation == "on" or settings.clip_norm > 0
    if engine == "cohort" and masked:
        raise UsageError(
            "secure-aggregation, clip-norm and noise-multiplier are the devices' part, and the "
            "engine cohort has no devices; use --engine grid"
        )
    if engine == "cohort" and (settings.exposure_share or settings.exposure_epsilon):
        raise UsageError(
            "exposure-share and exposure-epsilon are devices' limits, and the engine cohort has no "
            "devices; use --engine grid"
        )
    if workers < 1:
        raise UsageError(f"workers is {workers}, expected 0 (one per core) or more")
    with phase_bars() as watch:
        if engine == "ray":
            return _ray(settings, workers, watch)
        return _here(settings, engine, workers, watch)


def _here(
    settings: SimulationSettings, engine: str, workers: int, watch: Watcher
) -> dict[str, Any]:
    from simulations.output import write_output
    from simulations.simulate import command_line, finish, prepare, simulation_root
    from simulations.sources import load_source

    started = time.monotonic()
    with simulation_root(settings) as root:
        source = load_source(settings, workers=workers, watch=watch)
        prepared = prepare(settings, source, root, watch)
        _engine(engine)(prepared, workers=workers, watch=watch)
        command = command_line(settings, engine=engine)
        results = finish(prepared, command, started, watch, engine=engine)
    if settings.out:
        write_output(Path(settings.out), results)
    return results


def _engine(name: str) -> Any:
    if name == "cohort":
        from simulations.engines.cohort.run import run_cohort

        return run_cohort
    from simulations.engines.grid import run_grid

    return run_grid


def _ray(settings: SimulationSettings, workers: int, watch: Watcher) -> dict[str, Any]:
    """Through Flower's runtime; data is read here first, so that what is wrong with it is told."""
    from simulations.engines.flower_runtime import run_ray
    from simulations.projecting import FILE, named
    from simulations.sources import load_source

    source = load_source(settings, workers=workers, watch=watch)
    paths = {
        name: getattr(settings, name)
        for name in ("features", "data", "out", "save_head", "record", "state_root")
    }
    absolute = {name: str(Path(path).resolve()) if path else "" for name, path in paths.items()}
    if named(settings.projection)[0] == FILE:
        absolute["projection"] = str(Path(settings.projection).resolve())
    with tempfile.TemporaryDirectory(prefix="mien-ray-") as scratch:
        root = Path(absolute["state_root"] or f"{scratch}/state")
        out = Path(absolute["out"] or f"{scratch}/out")
        ready = settings.model_copy(update={**absolute, "out": str(out)})
        run_ray(ready, nodes=len(source.clips.user_names()), root=root, watch=watch)
        results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results


def _settings(options: dict[str, Any]) -> SimulationSettings:
    from simulations.settings import SimulationSettings, parse_settings

    names = SimulationSettings.model_fields
    return parse_settings({name.replace("_", "-"): options[name] for name in names})


def _signature() -> inspect.Signature:
    """One option per setting, in their order, then the options of the command itself."""
    from simulations.settings import SimulationSettings

    parameters = []
    for name, field in SimulationSettings.model_fields.items():
        about = typer.Option(f"--{name.replace('_', '-')}", help=f"{field.description}.")
        kind = field.annotation if field.annotation in (int, float, bool) else str
        parameters.append(_parameter(name, Annotated[kind, about], field.default))
    own = {
        "workers": (
            int,
            0,
            "Processes that share the devices; 0 takes one per core. Results do not depend on it.",
        ),
        "engine": (
            str,
            "grid",
            "grid: in this process; cohort: all devices in one tensor program, without messages; "
            "ray: Flower's simulation runtime.",
        ),
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
