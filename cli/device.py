"""`mien device`: set a device up, run its daemon, look after its vault."""

from __future__ import annotations

import asyncio
import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json
from cli.device_exposure import exposure
from cli.device_fleet import join, leave
from cli.identity import check_identity
from cli.opened import FolderOption, JsonOption, PassphraseOption, opened_vault, say
from common.errors import UsageError, WorkError

app = typer.Typer(
    no_args_is_help=True,
    help="""Set a device up, run its daemon, look after its vault.

A device is a folder: device.json with its settings, and vault.db with everything private,
encrypted.""",
)

WEB_PORT = 8631
NewKeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="Lock the vault with this new key file."),
]
NewKeyring = Annotated[
    bool,
    typer.Option("--keyring", help="Lock it with a random passphrase in the system's keyring."),
]


app.command("check-identity")(check_identity)
app.command("exposure")(exposure)
app.command("join")(join)
app.command("leave")(leave)


@app.command("init")
def init(
    device: FolderOption = None,
    key_file: NewKeyFile = None,
    passphrase_file: PassphraseOption = None,
    keyring: NewKeyring = False,
    inbox: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Folder whose new clips are recognised; repeatable."),
    ] = None,
    backbone: Annotated[str, typer.Option(help="Network that makes the features.")] = "",
    identity: Annotated[str, typer.Option(help="Network that recognises users.")] = "",
    fleet: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="SuperLink of a fleet to take part in.")
    ] = "",
    root_certificates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file of the fleet's authority.")
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="This device's own key for the fleet.")
    ] = None,
) -> None:
    """Make a device: its folder, its settings and an empty, encrypted vault.

    The vault is locked with a passphrase (asked for, or from a file), a new key file, or a random
    passphrase in the system's keyring. Without that secret nobody can open it again, you included.

    **Example:** `mien device init --inbox ~/Videos/Mien`
    """
    from cli.device_setup import chosen_secret, make_device, settings_text
    from client.device.place import device_folder
    from client.device.texts import FIRST_START

    folder = device_folder(device)
    networks = {"backbone": backbone, "identity": identity}
    text = settings_text(inbox or [], networks, fleet, root_certificates, private_key)
    secret = chosen_secret(folder, key_file, passphrase_file, keyring, _new_passphrase)
    make_device(folder, secret, text)
    say(*FIRST_START.splitlines(), f"The device is in {folder}.", "Next: mien enrol NAME CLIP…")


@app.command("run")
def run(device: FolderOption = None, passphrase_file: PassphraseOption = None) -> None:
    """Be the device's daemon, until SIGTERM, Ctrl-C or `mien device stop`.

    Watches the inboxes, recognises what comes, fits personal heads when enough corrections have
    come, and runs the SuperNode where a fleet is configured. It holds the vault's key, so that
    other commands need no passphrase while it runs.
    """
    from client.daemon.daemon import run as run_daemon
    from client.daemon.settings import load_settings
    from client.daemon.socket import running_process
    from client.device.place import device_folder
    from client.device.unlock import data_key

    folder = device_folder(device)
    settings = load_settings(folder)
    if (process := running_process(folder)) is not None:
        raise UsageError(
            f"{folder}: a daemon (process {process}) runs on this device already; "
            "end it with `mien device stop`"
        )
    key = data_key(folder, passphrase_file=passphrase_file)
    asyncio.run(run_daemon(folder, key, settings))


@app.command("stop")
def stop(device: FolderOption = None) -> None:
    """End the device's daemon."""
    from client.daemon.socket import ask
    from client.device.place import check_device, device_folder

    folder = check_device(device_folder(device))
    if ask(folder, "stop") is None:
        raise WorkError(f"no daemon runs on the device in {folder}")
    say("The daemon ends.")


@app.command("status")
def status(
    device: FolderOption = None, passphrase_file: PassphraseOption = None, json: JsonOption = False
) -> None:
    """What the device is doing, and what is in its vault (never asks for a passphrase)."""
    from cli.device_status import device_status, status_lines
    from client.device.place import check_device, device_folder

    told = device_status(check_device(device_folder(device)), passphrase_file)
    if json:
        print_json(told)
    else:
        say(*status_lines(told))


@app.command("web")
def web(
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    port: Annotated[
        int, typer.Option(help="On 127.0.0.1; 0 takes a free one.", min=0, max=65_535)
    ] = WEB_PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open the device's page: live camera, inbox, users, what left this device."""
    from client.device.place import device_folder
    from client.device.unlock import data_key
    from client.web import serve

    folder = device_folder(device)
    key = data_key(folder, passphrase_file=passphrase_file)
    serve(folder, key, port=port, open_browser=browser)


@app.command("install")
def install(
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the service file; nothing is changed.")
    ] = False,
    kind: Annotated[
        str, typer.Option(help="systemd, systemd-user or launchd; by default the system's own.")
    ] = "",
    device: FolderOption = None,
) -> None:
    """Print a service file that keeps the daemon running: a hardened systemd unit, or a plist.

    **Example:** `mien device install --print | sudo tee /etc/systemd/system/mien.service`
    """
    from cli.device_setup import service_file
    from client.device.place import device_folder

    if not print_only:
        raise UsageError(
            "install changes nothing by itself; give --print and put what it prints in its place"
        )
    sys.stdout.write(service_file(device_folder(device), kind))


@app.command("head")
def head(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="From `mien simulate --save-head`.")
    ] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="Go back to the head before the newest release.")
    ] = False,
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Give the device a universal head from a file, or the one before again."""
    from cli.device_setup import save_head, stored_head
    from client.adoption import use_previous

    if (file is None) != previous:
        raise UsageError("give either a head's FILE or --previous")
    if file is None:
        with opened_vault(device, passphrase_file) as vault:
            use_previous(vault)
        say("The universal head from before is in use; the fleet's next release replaces it.")
        return
    stored = stored_head(file)
    with opened_vault(device, passphrase_file) as vault:
        note = save_head(vault, stored)
    say(f"{file}: is now this device's universal head.", *([note] if note else []))


@app.command("rekey")
def rekey(
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    key_file: NewKeyFile = None,
    new_passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File whose first line is the new passphrase."),
    ] = None,
    keyring: NewKeyring = False,
) -> None:
    """Lock the vault with another secret, and encrypt all of it with a new key.

    Backups that were made before still open with the old secret.
    """
    from cli.device_setup import change_lock, chosen_secret
    from client.daemon.lock import device_lock
    from client.device.place import check_device, device_folder

    folder = check_device(device_folder(device))
    with device_lock(folder, "change its key"), opened_vault(folder, passphrase_file) as vault:
        new = chosen_secret(folder, key_file, new_passphrase_file, keyring, _new_passphrase)
        change_lock(vault, new)
    say("The vault is encrypted with a new key; backups from before open with the old secret.")


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="To write.")],
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Copy the vault, encrypted as it is, while the device may go on working."""
    with opened_vault(device, passphrase_file) as vault:
        vault.backup(target)
    say(f"{target}: written. It opens with the secret that the device has now; keep that too.")


@app.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Key file that the backup was locked with."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The vault that is there may be lost.")
    ] = False,
) -> None:
    """Put a backup back, in place of this device's vault or on a new device."""
    from cli.device_setup import restore_device
    from client.device.place import device_folder

    folder = device_folder(device)
    restore_device(source, folder, key_file, passphrase_file, replace=replace)
    say(f"{folder}: holds what was in {source}; whoever was forgotten since is back in it.")


@app.command("pause")
def pause(device: FolderOption = None, passphrase_file: PassphraseOption = None) -> None:
    """Stop taking part in the fleet; everything else goes on."""
    _set_paused(True, device, passphrase_file)
    say("Paused: nothing leaves this device until `mien device resume`.")


@app.command("resume")
def resume(device: FolderOption = None, passphrase_file: PassphraseOption = None) -> None:
    """Take part in the fleet again, for the users who have agreed to that."""
    _set_paused(False, device, passphrase_file)
    say("Taking part again, with the clips of users who agreed to it.")


@app.command("check")
def check(
    device: FolderOption = None, passphrase_file: PassphraseOption = None, json: JsonOption = False
) -> None:
    """Decrypt every value and check the ledger's chain; code 1 means that something is damaged."""
    with opened_vault(device, passphrase_file) as vault:
        damaged = vault.damaged()
    if json:
        print_json({"damaged": [{"table": each.table, "row": each.row} for each in damaged]})
    else:
        say(*(f"{each}." for each in damaged))
        say("Everything in the vault can be read." if not damaged else "")
    if damaged:
        raise typer.Exit(1)


def _set_paused(paused: bool, device: Path | None, passphrase_file: Path | None) -> None:
    from client.device.device import Device

    with opened_vault(device, passphrase_file) as vault:
        Device(vault).pause(paused)


def _new_passphrase() -> str:
    """Asked for twice on the terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for a passphrase; give --passphrase-file, --key-file "
            "or --keyring"
        )
    first = getpass.getpass("New passphrase: ")
    if first != getpass.getpass("The same again: "):
        raise UsageError("the two passphrases differ; nothing was done")
    return first
