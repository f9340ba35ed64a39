"""`mien device status` in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from client.daemon.socket import ask
from client.device.unlock import open_vault

REFUSALS_SHOWN: Final = 3


def device_status(folder: Path, passphrase_file: Path | None) -> dict[str, Any]:
    """The daemon's word and the vault's numbers, as far as they can be had without asking."""
    return {
        "folder": str(folder),
        "daemon": ask(folder, "status"),
        "vault": _vault_status(folder, passphrase_file),
    }


def _vault_status(folder: Path, passphrase_file: Path | None) -> dict[str, Any] | None:
    from client.device.device import Device
    from client.vault.errors import VaultLocked

    try:
        with open_vault(folder, passphrase_file=passphrase_file, ask=lambda _: "") as vault:
            return Device(vault).status()
    except VaultLocked:
        return None


def status_lines(told: Mapping[str, Any]) -> list[str]:
    """The status in words."""
    return [
        f"Device: {told['folder']}",
        *_daemon_lines(told["daemon"]),
        *_vault_lines(told["vault"]),
    ]


def _daemon_lines(daemon: Mapping[str, Any] | None) -> list[str]:
    if daemon is None:
        return ["Daemon: not running (`mien device run`)"]
    clips, worker = daemon["clips"], daemon["worker"]
    lines = [
        f"Daemon: process {daemon['process']}, since {daemon['started']}",
        f"Inboxes: {', '.join(daemon['inboxes']) or 'none'}; {daemon['waiting']} clip(s) wait",
        f"Clips: {clips['recognised']} recognised ({clips['guests']} of guests), "
        f"{clips['known']} known before, {clips['refused']} refused",
        f"Worker: {_doing(worker)}; {worker['jobs']} job(s), {worker['crashes']} crash(es)",
    ]
    lines += [f"Refused: {each['file']}: {each['text']}" for each in daemon["problems"]]
    if daemon["fleet"]:
        node = daemon["fleet"]
        state = "SuperNode runs" if node["process"] else "SuperNode does not run"
        lines.append(f"Fleet: {node['address']}, {state}, started {node['starts']} time(s)")
        if node.get("refused"):
            lines.append(f"Fleet: {node['refused']}")
    return lines


def _doing(worker: Mapping[str, Any]) -> str:
    if worker["process"] is None:
        return "none, starts on demand"
    return f"process {worker['process']}, {'busy' if worker['busy'] else 'waits for a job'}"


def _vault_lines(vault: Mapping[str, Any] | None) -> list[str]:
    if vault is None:
        return ["Vault: locked (give --passphrase-file to look into it)"]
    part = ", ".join(vault["taking_part"]) or "nobody"
    return [
        f"Vault: {vault['users']} user(s), {vault['clips']} clip(s), {vault['waiting']} of them "
        "wait for a word",
        f"Head of a user without a personal one: {vault['head']}",
        f"Taking part in a fleet: {part}{', paused' if vault['paused'] else ''}; "
        f"{vault['releases']} release(s) on record",
        *exposure_lines(vault["exposure"]),
        *_fleet_lines(vault.get("fleet")),
    ]


def exposure_lines(told: Mapping[str, Any]) -> list[str]:
    """What left the device could tell, in words; see `client.device.budget.exposure_status`."""
    limits = told["limits"]
    share, epsilon = limits["share"], limits["epsilon"]
    stays = [
        "any number of exact mixtures" if share is None else f"mixtures of below {share:.0%}",
        "any noised round" if epsilon is None else f"epsilon {epsilon:g} under noise",
    ]
    lines = [
        f"Exposure: {told['words']}",
        f"Budget: {' and '.join(stays)}; `mien device exposure` changes it",
    ]
    if limits["bare_updates"]:
        lines.append("Updates may leave without a secure sum, where the server asks for that")
    if told["accept_leak"]:
        lines.append("Heads that tell mixtures of raw features in one round are accepted")
    if told["declined"]:
        about, text, at = (told["declined"][key] for key in ("about", "text", "at"))
        lines.append(f"Declined {about}: {text} ({at})")
    return lines


def _fleet_lines(fleet: Mapping[str, Any] | None) -> list[str]:
    if fleet is None:
        return []
    adopted = f"release {fleet['release']} is adopted" if fleet["release"] else "no release yet"
    told = [
        f"{each['about']} refused: {each['text']} ({each['at']})"
        for each in fleet["refusals"][-REFUSALS_SHOWN:]
    ]
    return [f"Member of fleet {fleet['fleet']} as {fleet['device']}, {adopted}", *told]
