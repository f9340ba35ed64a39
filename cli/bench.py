"""`mien bench`: how fast, measured against the limit and against the common way in the same run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import output, phase_bars, print_json

if TYPE_CHECKING:
    from simulations.watching import Watcher

app = typer.Typer(
    no_args_is_help=True,
    help="""Measure speed: Mien, the common way and the limit by turns, in one run.

Timings depend on the machine and on what else it does; the ratios much less. Run them on a machine
that does nothing else.""",
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Repeats = Annotated[int, typer.Option(help="Times that each way is timed.", min=1)]


@app.command("features")
def features(
    clip: Annotated[
        str, typer.Option(help="Video with a face; without it, a synthetic clip is drawn.")
    ] = "",
    repeats: Repeats = 5,
    actors: Annotated[
        int, typer.Option(help="Synthetic actors for the adaptive frame rate.", min=4, max=24)
    ] = 8,
    json: Json = False,
) -> None:
    """From a clip to frame features: frames per second, and clips per second adaptively.

    The common way is facenet-pytorch's MTCNN at its defaults on every frame and EfficientNet-B0 by
    the package emotiefflib, in eager torch and in ONNX Runtime. The limit is decoding and the
    backbone alone, everything else for nothing. Networks have random weights: speed does not
    depend on them. Needs the extra `bench`.

    **Example:** `mien bench features --clip my.mp4 --json`
    """
    from simulations.bench.adaptive import measure_adaptive
    from simulations.bench.features import measure_features

    with phase_bars() as watch:
        workers = os.cpu_count() or 1
        path = Path(clip) if clip else _synthetic_clip(workers, watch)
        figures = measure_features(path, repeats=repeats, watch=watch)
        figures |= measure_adaptive(actors=actors, seed=0, workers=workers, watch=watch)
    _show(figures, as_json=json)


@app.command("personalise")
def personalise(repeats: Repeats = 15, seed: int = 0, json: Json = False) -> None:
    """A personal head of 1280 x 8 from 40 clips, strength and scale chosen, on one core.

    Beside it the published way, 70 epochs of Adam, at batch sizes 1 and 32.
    """
    from simulations.bench.personalise import measure

    _show(measure(repeats, seed), as_json=json)


@app.command("federation")
def federation(
    largest: Annotated[
        int, typer.Option(help="Most clients that are simulated.", min=24)
    ] = 100_000,
    json: Json = False,
) -> None:
    """Seconds per round: Flower with Ray, the in-process Grid and the cohort engine, same work."""
    from simulations.bench.federation import COHORT_SIZES, GRID_SIZES, RAY_SIZES, measure

    with phase_bars() as watch:
        figures = measure(
            ray=[size for size in RAY_SIZES if size <= largest],
            grid=[size for size in GRID_SIZES if size <= largest],
            cohort=[size for size in COHORT_SIZES if size <= largest],
            watch=watch,
        )
    _show(figures, as_json=json)


@app.command("secure-sum")
def secure_sum(
    members: Annotated[int, typer.Option(help="Devices, all of whom stay.", min=3, max=200)] = 24,
    length: Annotated[int, typer.Option(help="Entries of an update.", min=1)] = 10_248,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """Computing a secure sum of 24 devices' updates in one process: Mien's and Flower's SecAgg+.

    All steps of all members and of the server, as bytes; nothing travels. The vectors are synthetic
    numbers. At most 1.5 s is Mien's limit for 24 devices and a head on 1280 features.

    **Example:** `mien bench secure-sum --json`
    """
    from simulations.bench.secure_sum import measure

    _show(measure(repeats, 0, members=members, length=length), as_json=json)


@app.command("device")
def device(
    clip: Annotated[
        str, typer.Option(help="Video with one face; without it, a synthetic clip is drawn.")
    ] = "",
    repeats: Repeats = 5,
    idle: Annotated[
        float, typer.Option(help="Seconds for which the resting daemon is watched.", min=1)
    ] = 60.0,
    json: Json = False,
) -> None:
    """A device's answers to clips of 4 s, from a file and streamed, and its daemon at rest.

    Milliseconds to the whole answer with the models loaded, and to the first one while frames come
    as a browser's recorder sends them; CPU share and memory of `mien device run` while nothing
    happens. The limits that Mien sets itself stand beside them.

    **Example:** `mien bench device --clip my.mp4 --json`
    """
    from simulations.bench.device import measure_device

    with phase_bars() as watch:
        path = Path(clip) if clip else None
        figures = measure_device(path, repeats=repeats, idle_seconds=idle, watch=watch)
    _show(figures, as_json=json)


@app.command("avatar")
def avatar(repeats: Repeats = 25, json: Json = False) -> None:
    """How long `mien avatar check` takes for two pictures, networks loaded; loading apart.

    The face is read by a personal head, the avatar by the head of the user's own avatar; beside it
    the time without either, and for a person who is known already (as on Live). The limit that Mien
    sets itself stands beside them.
    """
    from simulations.bench.avatar import measure_avatar

    with phase_bars() as watch:
        figures = measure_avatar(repeats=repeats, watch=watch)
    _show(figures, as_json=json)


@app.command("fleet")
def fleet(
    devices: Annotated[int, typer.Option(help="Scripted devices.", min=1, max=2000)] = 200,
    nodes: Annotated[
        int, typer.Option(help="Real SuperNodes, measured by themselves; 0 for none.", min=0)
    ] = 3,
    rounds: Annotated[int, typer.Option(help="Head rounds of each.", min=1, max=100)] = 5,
    seconds: Annotated[float, typer.Option(help="That each may take at the most.", min=10)] = 300.0,
    dimension: Annotated[
        int, typer.Option(help="Of the scripted devices' features.", min=1, max=4096)
    ] = 1280,
    json: Json = False,
) -> None:
    """A fleet's server under load, on loopback: scripted devices by the hundred, real ones by few.

    Seconds per round with devices that have nothing to do, errors, and memory of the SuperLink and
    of a device's SuperNode. TLS, signed requests and the proxy are as in operation. Needs nginx.

    **Example:** `mien bench fleet --devices 200 --json`
    """
    from simulations.bench.fleet import measure_fleet

    with phase_bars() as watch:
        figures = measure_fleet(
            devices=devices,
            nodes=nodes,
            rounds=rounds,
            seconds=seconds,
            dimension=dimension,
            watch=watch,
        )
    _show(figures, as_json=json)


@app.command("audit")
def audit(json: Json = False) -> None:
    """`mien audit` on a synthetic run of 24 devices and 20 rounds: seconds, beside the limit.

    Once with updates as they are, once with masked vectors and their sums. The machine's load
    before and after stands beside the figures.

    **Example:** `mien bench audit --json`
    """
    from simulations.bench.audit import measure_audit

    with phase_bars() as watch:
        figures = measure_audit(watch=watch)
    _show(figures, as_json=json)


def _synthetic_clip(workers: int, watch: Watcher) -> Path:
    from simulations.data.ravdess_tree import find_clips
    from simulations.settings import parse_settings
    from simulations.sources import synthetic_actors

    folder = synthetic_actors(parse_settings({}), workers=workers, watch=watch)
    return find_clips(folder).clips[0].path


def _show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(dict(figures))
        return
    for name, value in figures.items():
        output.print(f"{name.replace('_', ' ')}: {value}", highlight=False, markup=False)
