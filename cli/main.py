"""Entry point of the `mien` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

# Before anything imports Flower or OpenVINO: no telemetry, no look for updates.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("OPENVINO_TELEMETRY_ENABLED", "0")
# Before anything imports NumPy: workers share the cores, and BLAS threads that wait take them away.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from cli import (
    audit,
    avatar,
    bench,
    demo,
    device,
    experiment,
    extract,
    fleet_demo,
    people,
    privacy,
    server,
    simulate,
    train_backbone,
    weights,
)
from cli.console import exit_code_of, output

app = typer.Typer(
    name="mien",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Federated personalisation of facial-expression recognition in video.

Video, faces, features and personal heads stay on the device; only updates of the universal head
leave it, through one guarded gate, on record.

Start with `mien demo`, which needs no data; then `mien simulate` on your own.""",
)
app.command("demo")(demo.command)
app.command("fleet-demo")(fleet_demo.command)
app.command("simulate")(simulate.command)
app.command("extract")(extract.command)
app.add_typer(weights.app, name="weights")
app.command("train-backbone")(train_backbone.command)
app.add_typer(experiment.app, name="experiment")
app.add_typer(bench.app, name="bench")
app.add_typer(avatar.app, name="avatar")
people.register(app)
app.add_typer(device.app, name="device")
app.add_typer(server.app, name="server")
app.add_typer(privacy.app, name="privacy")
app.command("audit")(audit.command)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.print(f"mien {version('mien')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from (a traceback).")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    del debug, version


def run() -> None:
    """Run the command line; errors become one sentence and an exit code (2 wrong use, 1 failed)."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments, prog_name="mien")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a sentence
        sys.exit(exit_code_of(error, debug=debug))
