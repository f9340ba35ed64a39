"""`mien server`: the fleet's keys, devices and releases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json
from cli.fleet import rounds
from cli.fleet import run as fleet_run
from cli.fleet import status as fleet_status
from cli.fleet_check import CheckFeatures, Synthetic, name_table, read_check_table, set_command
from cli.fleet_install import install_command
from cli.fleet_quarantine import dashboard_command, quarantine
from cli.fleet_shared import Folder, Json, opened, print_table, say, text_of
from cli.releases import publish_command, releases_command
from common.errors import UsageError, WorkError

if TYPE_CHECKING:
    from common.enrolment import Bundle
    from server.authority import Authority, Device

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Run a fleet: its keys and certificates, its devices, its signed universal heads.

Everything lies in one folder, closed to other users, which is the fleet: keep a copy of it in a
safe place.

**Example:** `mien server init fleet --address fleet.example:443`, then, with what a device made,
`mien server add-device kitchen --key kitchen.csr --folder fleet`""",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 63 of the characters a-z 0-9 -.")]


app.command("run")(fleet_run)
app.command("status")(fleet_status)
app.command("dashboard")(dashboard_command)
app.command("set")(set_command)
app.command("install")(install_command)
app.add_typer(rounds, name="rounds")
app.add_typer(quarantine, name="quarantine")
app.command("publish")(publish_command)
app.command("releases")(releases_command)


@app.command("init")
def init_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Empty, or not there yet.")],
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where devices reach the server.")
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            help="A further name or IP address of the server, for its certificate.",
        ),
    ] = None,
    loopback: Annotated[
        bool, typer.Option("--loopback", help="Also localhost, 127.0.0.1 and ::1.")
    ] = False,
    fleet: Annotated[
        str | None, typer.Option(metavar="ID", help="The fleet's id; by default a random one.")
    ] = None,
    device_days: Annotated[
        int, typer.Option(help="Days until a device's certificate must be renewed.")
    ] = 365,
    check_features: CheckFeatures = None,
    synthetic: Synthetic = False,
    json: Json = False,
) -> None:
    """Make a fleet's folder: CA, server certificate, keys and settings; never over another.

    **Example:** `mien server init fleet --address fleet.example:443 --host 192.0.2.7`
    """
    from common.enrolment.bundle import fingerprint_of
    from server.authority import Authority
    from server.authority.certificates import LOOPBACK

    hosts = (*(host or ()), *(LOOPBACK if loopback else ()))
    table = read_check_table(check_features, synthetic=synthetic) if check_features else None
    authority = Authority.create(
        folder, address=address, hosts=hosts, fleet=fleet, device_days=device_days
    )
    if table is not None:
        name_table(folder, table)
    settings, fingerprint = authority.settings, fingerprint_of(authority.settings.operator_key)
    if json:
        print_json(
            {
                "folder": str(folder),
                "fleet": settings.fleet,
                "address": settings.address,
                "hosts": list(settings.hosts),
                "operator_fingerprint": fingerprint,
                "signing_key": settings.signing_key,
                "server_certificate_ends": text_of(authority.server.not_valid_after_utc),
                "ca_ends": text_of(authority.ca.not_valid_after_utc),
            }
        )
        return
    say(f"Fleet {settings.fleet} is made in {folder}; keep a copy of this folder safe.")
    say(f"Its certificate is for {', '.join(settings.hosts)}.")
    say(f"Operator's fingerprint, to be compared on each device at enrolment: {fingerprint}")


@app.command("add-device")
def add_device_command(
    name: Name,
    folder: Folder,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The device's signing request or public key (PEM or OpenSSH), made on the device.",
        ),
    ] = None,
    make_key: Annotated[
        bool,
        typer.Option(
            "--make-key",
            help="Make the device's key here. The bundle then holds the private key and is a "
            "secret until the device has it.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The bundle's file; by default NAME.bundle.json here."),
    ] = None,
    json: Json = False,
) -> None:
    """Enrol a device: write the bundle that it takes away.

    **Example:** `mien server add-device kitchen --key kitchen.csr --folder fleet`
    """
    if (key is None) != make_key:
        raise UsageError(
            "give either --key FILE with what the device made, or --make-key to make its key here"
        )
    authority, path = opened(folder), out or Path(f"{name}.bundle.json")
    _check_free(path)
    bundle = authority.add_device(name, _content(key) if key else None)
    _write_bundle(path, bundle)
    if json:
        print_json(_described_bundle(bundle, path))
        return
    say(f"Device {name} is enrolled; its bundle: {path}")
    if bundle.private_key:
        say(
            "WARNING: the bundle holds the device's private key. Bring it to the device by a way "
            "that nobody else reads, then delete it here; it is not kept anywhere else."
        )
    else:
        say("The bundle holds no secret: the device's private key never left it.")


@app.command("revoke")
def revoke_command(
    name: Name,
    folder: Folder,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept with the device.")],
    json: Json = False,
) -> None:
    """Bar a device and all of its certificates, for good.

    Its certificates are listed as revoked at once. The name may be given to another key
    afterwards. **Example:** `mien server revoke kitchen --reason "sold" --folder fleet`
    """
    device = opened(folder).revoke(name, reason)
    if json:
        print_json(_described_device(device))
    else:
        say(f"Device {name} is revoked: {reason}")


@app.command("renew")
def renew_command(
    folder: Folder,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Devices, by their names.")
    ] = None,
    due: Annotated[
        bool, typer.Option("--due", help="All whose certificate ends within 60 days.")
    ] = False,
    server: Annotated[
        bool, typer.Option("--server", help="The server's own certificate, under the same key.")
    ] = False,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            help="With --server: names and addresses in place of the present ones.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the devices' new bundles.")
    ] = Path(),
    json: Json = False,
) -> None:
    """Renew certificates before they end; those before stay good, so that there is no gap.

    Devices' keys stay what they are. **Example:** `mien server renew --due --folder fleet`
    """
    if host and not server:
        raise UsageError("--host goes with --server, whose certificate it is for")
    authority = opened(folder)
    found = [*(names or ()), *(_due_devices(authority) if due else ())]
    if not found and not server and not due:
        raise UsageError("name the devices to renew, or give --due or --server")
    renewed = [_renew_device(authority, name, out) for name in dict.fromkeys(found)]
    if server or (due and any(each.kind == "server" for each in authority.due())):
        authority.renew_server(host or ())
        renewed.append({"server": True, "ends": text_of(authority.server.not_valid_after_utc)})
    if json:
        print_json(renewed)
        return
    for each in renewed:
        what = f"Device {each['device']}" if "device" in each else "The server"
        where = f"; bring it the bundle {each['bundle']}" if "bundle" in each else "; reload it"
        say(f"{what} has a certificate until {each['ends']}{where}")
    if not renewed:
        say("Nothing ends within 60 days.")


@app.command("devices")
def devices_command(folder: Folder, json: Json = False) -> None:
    """Show all devices that were ever enrolled: state, end of certificate, reason of revocation."""
    authority = opened(folder)
    rows = [_described_device(device) for device in authority.devices.all()]
    if json:
        print_json(rows)
        return
    columns = ("device", "state", "certificate ends", "days left", "reason")
    print_table(
        columns,
        [
            (row["name"], row["state"], row["ends"], str(row["days_left"]), row["reason"] or "")
            for row in rows
        ],
    )
    for each in authority.due():
        if each.kind != "device":
            say(f"The {each.kind}'s certificate ends on {text_of(each.ends)}.")


def _content(path: Path) -> bytes:
    from common.enrolment.keys import MOST_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror})") from error


def _check_free(path: Path) -> None:
    from common.files import check_writable

    check_writable(path.parent)
    if path.exists():
        raise UsageError(f"{path} is there already and is not written over; name another by --out")


def _write_bundle(path: Path, bundle: Bundle) -> None:
    from server.authority.secrets import write_new

    try:
        write_new(path, bundle.to_json().encode())
    except OSError as error:
        again = "revoke it and add it again" if bundle.private_key else "run `mien server renew`"
        raise WorkError(
            f"device {bundle.device} is enrolled, but its bundle could not be written to {path} "
            f"({error.strerror}); make room, then {again}"
        ) from error


def _due_devices(authority: Authority) -> list[str]:
    return [each.name for each in authority.due() if each.kind == "device"]


def _renew_device(authority: Authority, name: str, out: Path) -> dict[str, Any]:
    path = out / f"{name}.{datetime.now(UTC):%Y-%m-%d}.bundle.json"
    authority.devices.active(name)
    _check_free(path)
    bundle = authority.renew(name)
    _write_bundle(path, bundle)
    ends = authority.devices.active(name).ends
    return {"device": name, "ends": text_of(ends), "bundle": str(path)}


def _described_bundle(bundle: Bundle, path: Path) -> dict[str, object]:
    return {
        "device": bundle.device,
        "bundle": str(path),
        "secret": bundle.private_key is not None,
        "floor": bundle.floor,
    }


def _described_device(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "state": "active" if device.active else "revoked",
        "added": text_of(device.added),
        "ends": text_of(device.ends),
        "days_left": (device.ends - datetime.now(UTC)).days,
        "revoked": text_of(device.revoked) if device.revoked else None,
        "reason": device.reason,
        "node": device.node,
        "public_key": device.public_key,
    }
