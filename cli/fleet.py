"""`mien server run`, `rounds` and `status`: a fleet's server at work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table

from cli.console import output, print_json
from cli.fleet_shared import Folder, Json, opened, say
from cli.fleet_start import start

if TYPE_CHECKING:
    from server.fleet.events import Event
    from server.fleet.status import FleetStatus

LAST_ROUNDS = 10
LOOK_SECONDS = 2
_COLUMNS = ("counted", "refused", "failed", "late", "bytes", "seconds", "accuracy", "users")

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
            help="Let in only who shows a client certificate of the fleet: devices join by "
            "`mien device join --show-certificate`.",
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


rounds.command("start")(start)


@rounds.command("pause")
def pause(folder: Folder) -> None:
    """Ask nobody for a further round; one that is under way is finished."""
    _set_paused(folder, True)
    say("Paused. Go on by: mien server rounds resume")


@rounds.command("resume")
def resume(folder: Folder) -> None:
    """Go on after a pause."""
    _set_paused(folder, False)
    say("Going on.")


def _set_paused(folder: Path, paused: bool) -> None:
    from server.fleet.folder import FleetFolder

    opened(folder)
    there = FleetFolder(folder)
    there.want(replace(there.wanted(), paused=paused))


@rounds.command("abandon")
def abandon(folder: Folder) -> None:
    """Give up a secure sum that waits for members who will never come back.

    The round is then asked for anew. Devices that gave their shares of the sum which is given up
    help with no other one over the same head: they stay out of this round and come back in the
    next.

    **Example:** `mien server rounds abandon --folder fleet`
    """
    from server.fleet.abandon import abandon_sum
    from server.fleet.folder import FleetFolder

    kept = abandon_sum(FleetFolder(folder))
    say(
        f"The secure sum of round {kept.round} is given up. Devices that gave their shares for it "
        f"({len(kept.revealed)} came) stay out of this round."
    )


@rounds.command("history")
def history(folder: Folder, json: Json = False) -> None:
    """All rounds so far."""
    from server.fleet.folder import FleetFolder
    from server.fleet.rounds import reports
    from server.fleet.status import fleet_status

    found = reports(FleetFolder(folder).federation)
    if json:
        print_json(found)
    else:
        output.print(_rounds_table(found, fleet_status(folder).accuracy))


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
        *(f"{name} does not answer" for name, answers in now.programs.items() if not answers),
        *(f"renew by {end}: {kind} {name}" for kind, name, end in now.due),
    ]
    devices = Table(box=SIMPLE_HEAD, pad_edge=False)
    devices.add_column("device")
    devices.add_column("status")
    for device in now.devices:
        devices.add_row(device.name, device.status)
    if now.check:
        drawn = "synthetic " if now.check.synthetic else ""
        lines.append(f"tested on {now.check.clips} {drawn}clips of {now.check.users} users")
    return Group(*lines, devices, _rounds_table(now.rounds[-LAST_ROUNDS:], now.accuracy))


def _rounds_table(
    found: Iterable[Mapping[str, Any]], accuracy: Iterable[Mapping[str, float]]
) -> Table:
    tested = {int(figures["round"]): figures for figures in accuracy}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("round", "stage", *_COLUMNS):
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
            *_accuracy(tested.get(int(report["round"]))),
        )
    return table


def _accuracy(figures: Mapping[str, float] | None) -> tuple[str, str]:
    """Of all clips; and of the worst and the best user."""
    if figures is None:
        return "", ""
    spread = (figures["worst_user"], figures["best_user"])
    return f"{figures['accuracy']:.1%}", "-".join(f"{100 * share:.0f}" for share in spread) + "%"
