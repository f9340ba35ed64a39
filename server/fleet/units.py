"""A systemd unit that keeps a fleet's server running, as a user of its own.

Under this user nobody but root and the fleet itself reads the server's files, memory and open
descriptors (task tokens are handed over by these, see `common.task_tokens`). What every user of the
machine may still see, unless /proc is mounted with hidepid, are command lines: no secret is in
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.enrolment.bundle import split_address
from common.errors import UsageError

FIRST_FREE_PORT: Final = 1024
"""Those below are the system's: listening on one takes a capability."""
_UNIT: Final = """\
[Unit]
Description=Mien: the server of a fleet
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={command}
User={user}
Restart=always
RestartSec=10
RestartPreventExitStatus=2
TimeoutStopSec=60
KillMode=mixed
Environment=FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 PYTHONUNBUFFERED=1
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RemoveIPC=yes
CapabilityBoundingSet={capability}
AmbientCapabilities={capability}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={folder}
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, kw_only=True)
class ServerUnit:
    """What the unit is written for.

    Attributes:
        command: starts the server; whole paths.
        folder: the fleet's.
        user: who runs it and owns the folder.
        address: on which it listens, HOST:PORT.
    """

    command: tuple[str, ...]
    folder: Path
    user: str
    address: str


def systemd_unit(unit: ServerUnit) -> str:
    """The unit's text.

    Raises:
        UsageError: the user is root, whom files of mode 0600 do not keep out of anything.
    """
    if unit.user == "root":
        raise UsageError(
            "the server is to run as a user of its own, and its folder belongs to root; give it "
            "to that user (chown -R USER FOLDER) or name one by --user"
        )
    _, port = split_address(unit.address)
    return _UNIT.format(
        command=" ".join(_quoted(each) for each in unit.command),
        user=unit.user,
        folder=_quoted(str(unit.folder)),
        capability="CAP_NET_BIND_SERVICE" if port < FIRST_FREE_PORT else "",
    )


def _quoted(text: str) -> str:
    """One word of a unit: `%` and `$` have no meaning in it."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    safe = plain and all(c.isalnum() or c in "-_./:=@%+," for c in plain)
    return plain if safe else f'"{plain}"'
