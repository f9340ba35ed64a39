"""`mien device exposure`: how much this device is willing to tell, and what it has told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json
from cli.opened import FolderOption, JsonOption, PassphraseOption, opened_vault, say
from common.errors import UsageError

if TYPE_CHECKING:
    from client.vault.vault import Vault

NO_LIMIT = "none"
DEFAULT = "default"
ALLOW = "allow"
REFUSE = "refuse"


def exposure(
    share: Annotated[
        str,
        typer.Option(
            metavar="X",
            help="Mixtures per clip from which on rounds are declined: 0 or more, none or default.",
        ),
    ] = "",
    epsilon: Annotated[
        str,
        typer.Option(
            metavar="E", help="Most that rounds under noise may cost: 0 or more, none or default."
        ),
    ] = "",
    bare_updates: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="Whether updates may leave without a secure sum: refuse (default) or allow.",
        ),
    ] = "",
    accept_leak: Annotated[
        bool | None,
        typer.Option(
            "--accept-leak/--refuse-leak",
            help="Whether to train heads that tell mixtures of raw features in one round.",
        ),
    ] = None,
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what could be learnt from all that left this device; change how much may be.

    A round tells 7 exact mixtures of this device's clips: once there are as many as clips, whoever
    has a clip can tell whether it was among them. By default rounds are declined from a quarter on,
    and under noise above epsilon 8. All fleets share one budget. Updates leave in secure sums
    only, unless bare ones are allowed: a server without sums then learns them one by one.

    **Example:** `mien device exposure --share 0.1`
    """
    from cli.device_status import exposure_lines
    from client.device.budget import exposure_status, set_accept_leak

    with opened_vault(device, passphrase_file) as vault:
        _change(vault, share, epsilon, bare_updates)
        if accept_leak is not None:
            set_accept_leak(vault, accept_leak)
        told = exposure_status(vault, vault.ledger.entries())
    if json:
        print_json(told)
    else:
        say(*exposure_lines(told))


def _change(vault: Vault, share: str, epsilon: str, bare_updates: str) -> None:
    from client.device.budget import exposure_limits, set_exposure_limits
    from client.exposure import FLEET_LIMITS

    limits = exposure_limits(vault)
    changed = replace(
        limits,
        share=_limit("share", share, limits.share, FLEET_LIMITS.share),
        epsilon=_limit("epsilon", epsilon, limits.epsilon, FLEET_LIMITS.epsilon),
        bare_updates=_allowed(bare_updates, limits.bare_updates),
    )
    if changed != limits:
        set_exposure_limits(vault, changed)


def _allowed(text: str, now: bool) -> bool:
    if text and text not in (ALLOW, REFUSE):
        raise UsageError(f"--bare-updates is {text!r}, expected {ALLOW} or {REFUSE}")
    return text == ALLOW if text else now


def _limit(name: str, text: str, now: float | None, default: float | None) -> float | None:
    """A limit that was typed; as it is now where nothing was."""
    if not text:
        return now
    if text in (NO_LIMIT, DEFAULT):
        return None if text == NO_LIMIT else default
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"--{name} is {text!r}, expected a number, {NO_LIMIT} or {DEFAULT}"
        ) from error
