"""`mien server run`, `rounds` and `status`: a fleet's server at work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table

from cli.console import output, print_json
from cli.fleet_shared import Folder, Json, say
from common.errors import UsageError

if TYPE_CHECKING:
    from server.fleet.events import Event
    from server.fleet.status import FleetStatus

LAST_ROUNDS = 10
LOOK_SECONDS = 2

rounds = typer.Typer(no_args_is_help=True, help="Start, pause and follow the federation's rounds.")


def run(
    folder: Folder,
    listen: Annotated[
        str,
        typer.Option(help="HOST:PORT to listen on; by default the address that devices use."),
    ] = "",
    client_certificates: Annotated[
        bool,
        typer.Option(
            "--client-certificates",
            help="Let in only who shows a client certificate of the fleet. Flower's SuperNode "
            "shows none by itself: devices then need a TLS tunnel that does.",
        ),
    ] = False,
    metrics_port: Annotated[
        int,
        typer.Option(
            metavar="PORT", help="Loopback port for Prometheus, such as 9464; 0 for none."
        ),
    ] = 0,
    metrics_devices: Annotated[
        bool,
        typer.Option("--metrics-devices", help="Name devices in these figures; else none is."),
    ] = False,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="One JSON object per line in place of sentences.")
    ] = False,
) -> None:
    """Serve a fleet until SIGTERM: SuperLink, its executor, and the proxy that faces devices.

    Devices reach the fleet's routes alone; control and runtime routes stay on loopback. Rounds go
    on where they stopped, also after kill -9. Needs nginx. After every round `dashboard.html` in
    the folder is drawn anew.

    **Example:** `mien server run --folder fleet`
    """
    from common.enrolment.bundle import split_address
    from server.fleet.run import FleetServer

    server = FleetServer(
        folder,
        listen=split_address(listen) if listen else None,
        second_lock=client_certificates,
        tell=_tell_json if json_logs else _tell,
        metrics_port=metrics_port,
        name_devices=metrics_devices,
    )
    server.stop_on_signals()
    server.run()


def _tell(event: Event) -> None:
    say(event.sentence)


def _tell_json(event: Event) -> None:
    from server.fleet.events import json_line

    print(json_line(event), flush=True)


@rounds.command("start")
def start(
    folder: Folder,
    count: Annotated[int, typer.Option("--rounds", help="Rounds to do from now on.")] = 10,
    backbone: Annotated[
        str, typer.Option(help="Of the devices; settled when the federation begins.")
    ] = "mini-xception",
    head: Annotated[str, typer.Option(help="Kind of head; settled at the beginning.")] = "logistic",
    strategy: Annotated[str, typer.Option(help="Settled at the beginning.")] = "fedavg",
    quorum: Annotated[
        int, typer.Option(help="Updates that a round needs; settled at the beginning.")
    ] = 3,
    deadline: Annotated[
        float, typer.Option(help="Seconds that devices have to answer; settled at the beginning.")
    ] = 120.0,
) -> None:
    """Ask for rounds; the running server begins within seconds.

    The first call settles what the federation is. Later calls ask for more rounds of the same one,
    and end a pause.

    **Example:** `mien server rounds start --folder fleet --rounds 20 --quorum 5`
    """
    from server.fleet.begin import default_settings
    from server.fleet.folder import FleetFolder, Wanted

    if count < 1:
        raise UsageError(f"rounds is {count}, expected at least 1")
    there = FleetFolder(folder)
    if not there.begun:
        there.begin(
            default_settings(
                backbone=backbone, head=head, strategy=strategy, quorum=quorum, deadline=deadline
            )
        )
    done = there.rounds_done()
    there.want(Wanted(done + count))
    say(f"{done + count} rounds are wanted in all, {done} are done.")


@rounds.command("pause")
def pause(folder: Folder) -> None:
    """Ask nobody for a further round; one that is under way is finished."""
    from server.fleet.folder import FleetFolder

    there = FleetFolder(folder)
    there.want(replace(there.wanted(), paused=True))
    say("Paused. Go on by: mien server rounds resume")


@rounds.command("resume")
def resume(folder: Folder) -> None:
    """Go on after a pause."""
    from server.fleet.folder import FleetFolder

    there = FleetFolder(folder)
    there.want(replace(there.wanted(), paused=False))
    say("Going on.")


@rounds.command("history")
def history(folder: Folder, json: Json = False) -> None:
    """All rounds so far."""
    from server.fleet.folder import FleetFolder
    from server.fleet.rounds import reports

    found = reports(FleetFolder(folder).federation)
    if json:
        print_json(found)
    else:
        output.print(_rounds_table(found))


def status(
    folder: Folder,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 s.")] = False,
    json: Json = False,
) -> None:
    """The fleet at a glance: devices, rounds, releases, certificates to be renewed."""
    from server.fleet.status import fleet_status

    if json:
        print_json(fleet_status(folder).to_json())
        return
    if not watch:
        output.print(_page(fleet_status(folder)))
        return
    with Live(_page(fleet_status(folder)), console=output) as live:
        while True:
            time.sleep(LOOK_SECONDS)
            live.update(_page(fleet_status(folder)))


def _page(now: FleetStatus) -> Group:
    state = "paused" if now.paused else "running" if now.running else "not running"
    lines = [
        f"{now.fleet} at {now.address}: {state}",
        f"{now.done} of {now.wanted} rounds done, release {now.released}, last run {now.run}",
        *(f"renew by {end}: {kind} {name}" for kind, name, end in now.due),
    ]
    devices = Table(box=SIMPLE_HEAD, pad_edge=False)
    devices.add_column("device")
    devices.add_column("status")
    for device in now.devices:
        devices.add_row(device.name, device.status)
    return Group(*lines, devices, _rounds_table(now.rounds[-LAST_ROUNDS:]))


def _rounds_table(found: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("round", "stage", "counted", "refused", "failed", "late", "bytes", "seconds"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for report in found:
        table.add_row(
            str(report["round"]),
            report["stage"],
            str(report["accepted"]),
            str(len(report["refused"])),
            str(len(report["failures"])),
            str(report["late"]),
            str(report["bytes"]),
            f"{sum(report['seconds'].values()):.1f}",
        )
    return table
