"""The reverse proxy in front of the SuperLink: devices reach the fleet's routes and nothing else.

Flower's SuperLink serves everything on one port, and in its open-source build whoever reaches the
control or runtime routes may start runs. So it listens on loopback alone, and nginx, which faces
the network, passes on an explicit list of routes; anything that is not on it is answered with 404,
whatever Flower adds later. Registration is not on it: devices are registered by the operator.
Bodies are passed on as they come and never kept in files: they hold updates.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.processes import complaint

FLEET_ROUTES: Final = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "get-fab",
    "push-object",
    "pull-object",
    "confirm-message-received",
)
"""What a device needs of `/v1/fleet/` in Flower 1.41."""

KEEP_SECONDS: Final = 3
"""Shorter than the 5 s after which the SuperLink closes a connection that rests."""
CHECK_SECONDS: Final = 30.0
LARGEST_BODY: Final = "16m"
"""An update of the widest head is below 1 MB; what is larger is refused before it is read."""


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """Where the proxy listens and what stands behind it.

    Attributes:
        address, port: that devices connect to.
        superlink: loopback port of the SuperLink.
        certificate, key: of the server, PEM.
        authority: CA certificate that signed the SuperLink's own certificate.
        device_authority: CA whose client certificates are asked for as a second lock; None asks
            for none.
        revoked: PEM list of revoked client certificates, None where there is none.
        connections: at the same time, at most.
    """

    address: str
    port: int
    superlink: int
    certificate: Path
    key: Path
    authority: Path
    device_authority: Path | None = None
    revoked: Path | None = None
    connections: int = 1024


def configuration(settings: ProxySettings, folder: Path) -> str:
    """The nginx configuration; `folder` holds its temporary files.

    Raises:
        UsageError: a path has a character that nginx's syntax gives a meaning.
    """
    for path in (settings.certificate, settings.key, settings.authority, folder):
        _check(path)
    routes = "|".join(FLEET_ROUTES)
    return f"""daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {settings.connections}; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size {LARGEST_BODY};
    client_body_timeout 30s;
    client_header_timeout 10s;
    large_client_header_buffers 4 16k;
    upstream superlink {{
        server 127.0.0.1:{settings.superlink};
        keepalive 64;
        keepalive_timeout {KEEP_SECONDS}s;
    }}
    limit_conn_zone $binary_remote_addr zone=per_device:1m;
    server {{
        listen {_listen(settings.address, settings.port)} ssl;
        limit_conn per_device 64;
        ssl_certificate {settings.certificate};
        ssl_certificate_key {settings.key};
        ssl_protocols TLSv1.2 TLSv1.3;
{_second_lock(settings)}        location ~ ^/v1/fleet/({routes})$ {{
            limit_except POST {{ deny all; }}
            proxy_pass https://superlink;
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
            proxy_ssl_trusted_certificate {settings.authority};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_read_timeout 120s;
        }}
        location / {{ return 404; }}
    }}
}}
"""


def write_configuration(settings: ProxySettings, folder: Path) -> Path:
    """Write the configuration, and let nginx itself check it.

    Raises:
        WorkError: nginx is not installed, or refuses the configuration.
    """
    private_folder(folder)
    path = folder / "nginx.conf"
    write_atomically(path, configuration(settings, folder).encode())
    command = [nginx(), "-t", "-q", "-e", "stderr", "-c", str(path)]
    if (words := complaint(command, patience=CHECK_SECONDS)) is not None:
        raise WorkError(f"nginx refuses the proxy's configuration {path}: {words}")
    return path


def command(configuration: Path) -> list[str]:
    """What starts the proxy in the foreground."""
    return [nginx(), "-e", "stderr", "-c", str(configuration)]


def nginx() -> str:
    """Path of nginx.

    Raises:
        WorkError: it is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise WorkError("nginx is not installed; install it, for example by: apt install nginx")
    return found


def _second_lock(settings: ProxySettings) -> str:
    if settings.device_authority is None:
        return ""
    _check(settings.device_authority)
    lines = [
        f"ssl_client_certificate {settings.device_authority};",
        "ssl_verify_client on;",
        "ssl_verify_depth 2;",
    ]
    if settings.revoked is not None:
        _check(settings.revoked)
        lines.append(f"ssl_crl {settings.revoked};")
    return "".join(f"        {line}\n" for line in lines)


def _listen(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _check(path: Path) -> None:
    if not path.is_absolute() or set(str(path)) & set(" \t\n\"'\\;{}$#"):
        raise UsageError(
            f"{path}: the proxy needs an absolute path without spaces, quotes, or any of ; {{ }} $ "
            "#; choose another folder for the server"
        )
