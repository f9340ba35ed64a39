"""`mien device join` and `leave`: this device's place in a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.opened import FolderOption, PassphraseOption, on_terminal, opened_vault, say
from common.errors import UsageError

if TYPE_CHECKING:
    from client.vault.vault import Vault
    from common.enrolment import Bundle


def join(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="From the fleet's operator; also a renewal."),
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(
            "--request",
            metavar="FILE",
            help="First step: write a signing request for the operator; the key stays here.",
        ),
    ] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The operator's, as told on another way."),
    ] = None,
    show_certificate: Annotated[
        bool | None,
        typer.Option(
            "--show-certificate/--no-show-certificate",
            help="Show the server this device's certificate, where it asks for one (its second "
            "lock); needs nginx here. A renewal keeps what was chosen.",
            show_default=False,
        ),
    ] = None,
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Join a fleet in two steps, or take a renewed bundle.

    **Example:** `mien device join --request kitchen.csr`; the operator answers it by
    `mien server add-device kitchen --key kitchen.csr`; then
    `mien device join kitchen.bundle.json --fingerprint …`
    """
    if (bundle is None) == (request is None):
        raise UsageError(
            "give either --request FILE, to begin, or the bundle that the operator answered with"
        )
    if request is not None:
        _write_request(device, request)
    elif bundle is not None:
        with opened_vault(device, passphrase_file) as vault:
            _take(vault, bundle, fingerprint, show_certificate)


def _write_request(device: Path | None, file: Path) -> None:
    from client.device.place import device_folder
    from client.joining import signing_request
    from common.files import write_atomically

    text = signing_request(device_folder(device))
    try:
        write_atomically(file.absolute(), text.encode(), mode=0o644)
    except OSError as error:
        raise UsageError(f"{file}: can't be written ({error.strerror})") from error
    say(
        f"{file}: the signing request. It holds no secret; the key stays in this device's folder, "
        "closed to other users.",
        f"The operator answers it by: mien server add-device NAME --key {file}",
    )


def _take(vault: Vault, file: Path, fingerprint: str | None, show_certificate: bool | None) -> None:
    from client.daemon.socket import running_process
    from client.joining import is_renewal, join, read_bundle

    bundle = read_bundle(file, fingerprint)
    if not is_renewal(vault, bundle) and fingerprint is None:
        _believe(bundle)
    joined = join(vault, bundle, show_certificate=show_certificate)
    done = "Renewed" if joined.renewed else "Joined"
    say(f"{done}: fleet {joined.member.fleet} at {joined.address}, as {joined.member.device}.")
    if bundle.private_key:
        say(f"{file} holds the device's private key: delete it now.")
    if running_process(vault.folder) is not None:
        say("The running daemon takes part within seconds.")


def _believe(bundle: Bundle) -> None:
    """A person compares the operator's fingerprint.

    Raises:
        UsageError: there is nobody to ask, or the answer is no.
    """
    from common.enrolment.bundle import fingerprint_of

    found = fingerprint_of(bundle.operator_key)
    if not on_terminal():
        raise UsageError(
            f"the bundle is of the operator {found}; compare that with what the operator told you "
            "and give it with --fingerprint"
        )
    say(f"Fleet {bundle.fleet} at {bundle.address}", f"Operator's fingerprint: {found}")
    if not typer.confirm("Is it the one that the operator told you?"):
        raise UsageError("the device did not join; ask the operator for the right bundle")


def leave(device: FolderOption = None, passphrase_file: PassphraseOption = None) -> None:
    """Leave the fleet: this device's key for it goes; the head that it learnt stays."""
    from client.daemon.lock import device_lock
    from client.device.place import check_device, device_folder
    from client.joining import leave as leave_fleet

    folder = check_device(device_folder(device))
    with device_lock(folder, "leave its fleet"), opened_vault(folder, passphrase_file) as vault:
        member = leave_fleet(vault)
    if member is None:
        say("This device was in no fleet.")
    else:
        say(
            f"Left fleet {member.fleet}; nothing leaves this device any more. The operator can bar "
            f"its key by: mien server revoke {member.device}"
        )
