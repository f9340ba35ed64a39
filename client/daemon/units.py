"""Service files: a systemd unit and a launchd plist that keep a device's daemon running.

The daemon reads inboxes, writes its own folder and, where a fleet is configured, connects to it;
all else is taken from it. `MemoryDenyWriteExecute` is left out: OpenVINO and torch make machine
code while they run; `ProcSubset=pid` too: they look up the processor in /proc.
"""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LABEL: Final = "io.mien.device"
SYSTEMD, SYSTEMD_USER, LAUNCHD = KINDS = ("systemd", "systemd-user", "launchd")
_HARDENING: Final = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp=yes
RestrictAddressFamilies={families}
{network}RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0
"""
_FOR_THE_SYSTEM: Final = """\
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
"""
"""What a user's own service manager may not do."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a service file is written for.

    Attributes:
        command: starts the daemon; whole paths.
        folder: the device's.
        user: who runs it; for `SYSTEMD`.
        fleet: whether a fleet is configured; without one the network is closed.
        passphrase: whether the vault is locked by a passphrase that nobody will be there to type.
    """

    command: tuple[str, ...]
    folder: Path
    user: str
    fleet: bool
    passphrase: bool


def systemd_unit(service: Service, *, own: bool = False) -> str:
    """The unit's text.

    Args:
        service: what it is for.
        own: a unit of the user's own service manager instead of the system's.
    """
    command = list(service.command)
    if service.passphrase:
        command += ["--passphrase-file", "%d/passphrase"]
    lines = [
        "[Unit]",
        "Description=Mien: facial expressions, recognised and learnt on this device",
        *(["Wants=network-online.target", "After=network-online.target"] if service.fleet else []),
        "",
        "[Service]",
        "Type=notify",
        "ExecStart=" + " ".join(_quoted(each) for each in command),
        *([] if own else [f"User={service.user}"]),
        *(_credential(service.folder) if service.passphrase else []),
        "Restart=on-failure",
        "RestartSec=10",
        "RestartPreventExitStatus=2",
        "TimeoutStopSec=10",
        "KillMode=mixed",
        "Environment=FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 PYTHONUNBUFFERED=1",
        _hardening(service, own).rstrip(),
        "",
        "[Install]",
        "WantedBy=" + ("default.target" if own else "multi-user.target"),
    ]
    return "\n".join(lines) + "\n"


def _hardening(service: Service, own: bool) -> str:
    return ("" if own else _FOR_THE_SYSTEM) + _HARDENING.format(
        writable=_quoted(str(service.folder)),
        families="AF_UNIX AF_INET AF_INET6" if service.fleet else "AF_UNIX",
        network="" if service.fleet else "PrivateNetwork=yes\nIPAddressDeny=any\n",
    )


def _credential(folder: Path) -> list[str]:
    return [
        "# The passphrase in a file that only root can read; better still, encrypt it with",
        "# systemd-creds and write LoadCredentialEncrypted= here. Or lock the device with a key",
        "# file: mien device rekey --key-file FILE",
        f"LoadCredential=passphrase:/etc/mien/{_file_name(folder)}.passphrase",
    ]


def _file_name(folder: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in folder.name)
    return kept or "device"


def _quoted(text: str) -> str:
    """One word of a unit: `%` and `$` have no meaning in it, `%d/passphrase` excepted."""
    if text == "%d/passphrase":
        return text
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    safe = plain and all(c.isalnum() or c in "-_./:=@%+," for c in plain)
    return plain if safe else f'"{plain}"'


def launchd_plist(service: Service) -> str:
    """The agent's property list, for ~/Library/LaunchAgents.

    launchd has no sandbox options of systemd's kind; the daemon's children end with its job. What
    the daemon has to say is not written to a file: `mien device status` tells it.
    """
    told = {
        "Label": LABEL,
        "ProgramArguments": list(service.command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 10,
        "AbandonProcessGroup": False,
        "ProcessType": "Background",
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
        "EnvironmentVariables": {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"},
    }
    return plistlib.dumps(told).decode()
