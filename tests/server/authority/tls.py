"""A real TLS handshake over loopback, with a client certificate."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from common.enrolment.bundle import Bundle
from common.enrolment.keys import private_pem
from server.authority import Authority

WORD = b"hello"


def server_context(folder: Path) -> ssl.SSLContext:
    """As a careful server: this fleet's devices only, and none that was revoked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server/server.crt", folder / "server/server.key")
    context.load_verify_locations(folder / "ca/ca.crt")
    context.load_verify_locations(folder / "ca/revoked.crl")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    folder: Path, bundle: Bundle, key: ec.EllipticCurvePrivateKey, *, certificate: bool = True
) -> ssl.SSLContext:
    """As a device that has the bundle and the key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if certificate:
        path = folder / "device.pem"
        path.write_text(private_pem(key) + bundle.certificate)
        context.load_cert_chain(path)
    return context


def shake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> str:
    """Empty if both sides agree and a word comes through, else the reason of who refused."""
    reasons: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        serving = threading.Thread(target=_serve, args=(listening, server, reasons))
        serving.start()
        try:
            with socket.create_connection(listening.getsockname(), timeout=20) as plain:
                plain.settimeout(20)
                with client.wrap_socket(plain, server_hostname=host) as wrapped:
                    said = wrapped.recv(len(WORD))  # TLS 1.3: here a refusal is learnt
                    if said != WORD:
                        reasons.append("nothing came")
        except (ssl.SSLError, ConnectionError) as error:
            reasons.append(f"client: {error}")
        serving.join()
    return "; ".join(reasons)


def _serve(listening: socket.socket, context: ssl.SSLContext, reasons: list[str]) -> None:
    try:
        plain, _ = listening.accept()
        plain.settimeout(20)
        with plain, context.wrap_socket(plain, server_side=True) as wrapped:
            wrapped.sendall(WORD)
    except (ssl.SSLError, OSError) as error:
        reasons.append(f"server: {error}")


def fleet(folder: Path, **changes: object) -> Authority:
    """A fleet on loopback."""
    return Authority.create(
        folder,
        address="localhost:8443",
        hosts=("127.0.0.1", "::1"),
        **changes,  # type: ignore[arg-type]
    )
