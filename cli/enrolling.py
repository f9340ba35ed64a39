"""`mien enrol`: a user, with consent; and a changed mind about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import errors, print_json
from cli.opened import (
    FolderOption,
    JsonOption,
    PassphraseOption,
    check_clip,
    engine_of,
    on_terminal,
    opened_vault,
    say,
    tell,
)
from common.errors import UsageError

if TYPE_CHECKING:
    from client.device.device import Device
    from client.vault.records import Consent, User


def enrol(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the user is called.")],
    clips: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CLIP...", help="Clips that show this person alone."),
    ] = None,
    agree: Annotated[
        bool, typer.Option("--agree", help="The person has read the text and agrees.")
    ] = False,
    federate: Annotated[
        bool | None,
        typer.Option(
            "--federate/--no-federate",
            help="The person also agrees to help to improve the universal head, or does not.",
        ),
    ] = None,
    folder: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a user known by the face; with consent, and from clips that show the user alone.

    A few clips in different light are better than one. More clips of an enrolled user can be added
    at any time. Without clips, `--federate` or `--no-federate` changes an enrolled user's mind.

    **Examples:**

    `mien enrol Ada ada-1.mp4 ada-2.mp4`, which asks for consent

    `mien enrol Ada --no-federate`
    """
    from client.device.device import Device
    from client.device.names import check_name

    check_name(name)
    paths = [check_clip(path) for path in clips or ()]
    with opened_vault(folder, passphrase_file) as vault:
        known = vault.user(name)
        if not paths:
            _change_mind(Device(vault), name, known, federate, json=json)
            return
        consent = _consent(known, agree=agree, federate=federate)
        with engine_of(vault) as engine:
            tell(f"looking at {len(paths)} clip(s) ...")
            done = engine.enrol(name, paths, consent)
    if json:
        print_json(done)
        return
    taken = f"{done['clips']} clip(s)" + (
        f", {done['known']} known before" if done["known"] else ""
    )
    say(f"{name} is {'enrolled' if done['new'] else 'known better'}: {taken}", *done["warnings"])


def _change_mind(
    device: Device, name: str, known: User | None, federate: bool | None, *, json: bool
) -> None:
    if known is None or federate is None:
        raise UsageError(f"enrolling {name} needs at least one clip that shows the person alone")
    row = device.consent(name, federate=federate)
    if json:
        print_json(row)
    else:
        say(f"{name} {'helps' if federate else 'does not help'} to improve the universal head")


def _consent(known: User | None, *, agree: bool, federate: bool | None) -> Consent:
    """The consent that was given, is given now, or is asked for.

    Raises:
        UsageError: it was not given.
    """
    from client.device.texts import CONSENT_TEXT, REFUSED
    from client.vault.records import CONSENT_VERSION, Consent

    if known is not None and known.consent.version == CONSENT_VERSION:
        if federate is None or federate == known.consent.federate:
            return known.consent
        agree = True
    if not agree and not federate:
        errors.print(CONSENT_TEXT, highlight=False, markup=False)
        if not on_terminal() or not typer.confirm(
            "Does this person agree to be enrolled?", err=True
        ):
            raise UsageError(REFUSED)
        if federate is None:
            federate = typer.confirm("And to help to improve the universal head?", err=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Consent(version=CONSENT_VERSION, given=now, federate=bool(federate))
