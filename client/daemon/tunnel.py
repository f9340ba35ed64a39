"""The device's end of the fleet's second lock: nginx on loopback that shows its certificate.

A server may let in only who shows a client certificate of the fleet (`mien server run
--client-certificates`), and Flower's SuperNode shows none. So it connects to nginx on this
computer, by TLS with a certificate that is made for this start, and nginx connects to the server,
checks its certificate by the fleet's authority, and shows the device's own. Only the fleet's routes
are passed on. The lock is against the network: other users of the device reach nginx's loopback
port too, and lack the key with which the SuperNode signs.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)
from cryptography.x509.oid import NameOID

from client.daemon.settings import Fleet
from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.processes import complaint

CONFIGURATION: Final = "nginx.conf"
DAYS: Final = 3650
CLOCK_DAYS: Final = 2
"""By which the loopback certificate is older than it is: clocks are off."""
CHECK_SECONDS: Final = 30.0
LARGEST_BODY: Final = "16m"


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A tunnel that is ready to start.

    Attributes:
        fleet: as the SuperNode is to see it: nginx's loopback port.
        configuration: nginx's.
    """

    fleet: Fleet
    configuration: Path


def prepared(fleet: Fleet, folder: Path, port: int) -> Tunnel:
    """Write a tunnel's files, all of them 0600, and let nginx itself check them.

    Args:
        fleet: with `certificate`, `private_key` and `root_certificates`.
        folder: for the files; made where it is missing.
        port: on loopback, free.

    Raises:
        UsageError: a path has a character that nginx's syntax gives a meaning, or the key can't be
            read.
        WorkError: nginx is not installed or refuses the configuration, as where the server's name
            can't be looked up.
    """
    private_folder(folder)
    write_atomically(folder / "device.pem", _as_pem(Path(fleet.private_key)))
    _write_loopback(folder, datetime.now(UTC))
    path = folder / CONFIGURATION
    write_atomically(path, configuration(fleet, folder, port).encode())
    _check(path)
    inside = replace(
        fleet,
        address=f"localhost:{port}",
        root_certificates=str(folder / "loopback.crt"),
        certificate="",
    )
    return Tunnel(fleet=inside, configuration=path)


def command(configuration: Path) -> list[str]:
    """What starts nginx in the foreground."""
    return [nginx(), "-e", "stderr", "-c", str(configuration)]


def configuration(fleet: Fleet, folder: Path, port: int) -> str:
    """nginx's configuration.

    Raises:
        UsageError: see `prepared`.
    """
    for path in (fleet.certificate, fleet.root_certificates, str(folder)):
        _check_path(path)
    host = fleet.address.rpartition(":")[0]
    return f"""daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size {LARGEST_BODY};
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/loopback.crt;
        ssl_certificate_key {folder}/loopback.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        location /v1/fleet/ {{
            proxy_pass https://{fleet.address};
            proxy_ssl_certificate {fleet.certificate};
            proxy_ssl_certificate_key {folder}/device.pem;
            proxy_ssl_trusted_certificate {fleet.root_certificates};
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 2;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_name {_name(host)};
            proxy_ssl_server_name {"off" if _is_address(host) else "on"};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $proxy_host;
            proxy_read_timeout 120s;
        }}
        location / {{ return 404; }}
    }}
}}
"""


def nginx() -> str:
    """Path of nginx.

    Raises:
        WorkError: it is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise WorkError(
            "showing the fleet's server a certificate needs nginx; install it, for example by: "
            "apt install nginx-light"
        )
    return found


def _check(path: Path) -> None:
    command = [nginx(), "-t", "-q", "-e", "stderr", "-c", str(path)]
    if (words := complaint(command, patience=CHECK_SECONDS)) is not None:
        raise WorkError(f"nginx refuses the tunnel's configuration {path}: {words}")


def _as_pem(path: Path) -> bytes:
    """The device's key as OpenSSL reads it."""
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: the device's key can't be read ({error})") from error
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_loopback(folder: Path, now: datetime) -> None:
    """A certificate for `localhost` that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mien tunnel")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=CLOCK_DAYS))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(folder / "loopback.key", secret)
    write_atomically(folder / "loopback.crt", certificate.public_bytes(Encoding.PEM))


def _name(host: str) -> str:
    return host.strip("[]")


def _is_address(host: str) -> bool:
    try:
        ip_address(_name(host))
    except ValueError:
        return False
    return True


def _check_path(path: str) -> None:
    if not path.startswith("/") or set(path) & set(" \t\n\"'\\;{}$#"):
        raise UsageError(
            f"{path}: a device that shows its certificate needs a folder whose path has no spaces, "
            "quotes, or any of ; { } $ #"
        )
