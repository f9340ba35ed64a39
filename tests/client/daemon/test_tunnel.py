"""The second lock, opened from the device's end: two real nginx, a server behind them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from client.daemon import tunnel as tunnel_module
from client.daemon.settings import Fleet
from client.daemon.supernode import free_port
from client.daemon.tunnel import command, configuration, prepared
from common.errors import UsageError, WorkError
from server.authority.authority import Authority
from server.fleet import proxy
from server.fleet.proxy import ProxySettings, write_configuration
from tests.client.daemon.fakes import wait_for

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")), reason="needs nginx"
)
ROUTE = "/v1/fleet/pull-messages"


class Behind(BaseHTTPRequestHandler):
    """In place of the SuperLink: says which route was asked for."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.path.encode() + b" " + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def behind(authority: Authority) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    place = authority.folder / "server"
    context.load_cert_chain(place / "server.crt", place / "server.key")
    server = HTTPServer(("127.0.0.1", 0), Behind)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(arguments: list[str]) -> Iterator[None]:
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def device(authority: Authority, name: str, folder: Path) -> Fleet:
    """An enrolled device's files, and the fleet as its device.json names it."""
    bundle = authority.add_device(name)
    folder.mkdir()
    for file, content in (("ca", bundle.ca), ("crt", bundle.certificate)):
        (folder / file).write_text(content)
    (folder / "key").write_text(str(bundle.private_key))
    return Fleet(
        address=bundle.address,
        root_certificates=str(folder / "ca"),
        private_key=str(folder / "key"),
        certificate=str(folder / "crt"),
    )


@contextmanager
def locked_server(authority: Authority, port: int, folder: Path) -> Iterator[None]:
    root = authority.folder.resolve()
    with behind(authority) as superlink:
        settings = ProxySettings(
            address="127.0.0.1",
            port=port,
            superlink=superlink,
            certificate=root / "server/server.crt",
            key=root / "server/server.key",
            authority=root / "ca/ca.crt",
            device_authority=root / "ca/ca.crt",
            revoked=root / "ca/revoked.crl",
        )
        with running(proxy.command(write_configuration(settings, folder))):
            yield


def asked(fleet: Fleet, path: str = ROUTE) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=fleet.root_certificates)
    host, _, port = fleet.address.rpartition(":")
    connection = HTTPSConnection(host, int(port), context=context, timeout=20)
    try:
        connection.request("POST", path, body=b"hello")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def listens(fleet: Fleet) -> bool:
    try:
        asked(fleet, "/")
    except OSError:
        return False
    return True


def test_the_certificate_is_shown_and_a_revoked_one_is_not_enough(tmp_path: Path) -> None:
    port = free_port()
    authority = Authority.create(tmp_path / "fleet", address=f"localhost:{port}")
    good, bad = (device(authority, name, tmp_path / name) for name in ("good", "bad"))
    foreign = Authority.create(tmp_path / "other", address=f"localhost:{port}")
    stranger = device(foreign, "stranger", tmp_path / "stranger")
    stranger = replace(stranger, root_certificates=good.root_certificates)
    authority.revoke("bad", "a test")
    with ExitStack() as ending:
        ending.enter_context(locked_server(authority, port, tmp_path / "proxy"))
        wait_for(lambda: listens(good))
        assert asked(good)[0] == 400, "the lock is open for those who show nothing"
        inside = []
        for fleet, name in ((good, "one"), (bad, "two"), (stranger, "three")):
            tunnel = prepared(fleet, tmp_path / name, free_port())
            ending.enter_context(running(command(tunnel.configuration)))
            wait_for(lambda: listens(tunnel.fleet))  # noqa: B023
            inside.append(tunnel.fleet)
            assert tunnel.fleet.certificate == ""
        assert asked(inside[0]) == (200, ROUTE.encode() + b" hello")
        assert asked(inside[0], "/v1/control/list-runs")[0] == 404
        assert [asked(fleet)[0] for fleet in inside[1:]] == [400, 400]
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_another_server_is_not_trusted(tmp_path: Path) -> None:
    port = free_port()
    authority = Authority.create(tmp_path / "fleet", address=f"localhost:{port}")
    foreign = Authority.create(tmp_path / "other", address=f"localhost:{port}")
    deceived = device(foreign, "kitchen", tmp_path / "kitchen")
    tunnel = prepared(deceived, tmp_path / "tunnel", free_port())
    with (
        locked_server(authority, port, tmp_path / "proxy"),
        running(command(tunnel.configuration)),
    ):
        wait_for(lambda: listens(tunnel.fleet))
        assert asked(tunnel.fleet)[0] == 502


def test_what_nginx_could_misread_is_refused(tmp_path: Path) -> None:
    fleet = Fleet(
        address="localhost:1", root_certificates="/ca", private_key="/k", certificate="/c"
    )
    place = "/a folder/file;"
    for odd in (replace(fleet, certificate=place), replace(fleet, root_certificates=place)):
        with pytest.raises(UsageError, match="whose path has no spaces"):
            configuration(odd, tmp_path, 1)
    with pytest.raises(UsageError, match="the device's key can't be read"):
        prepared(fleet, tmp_path / "tunnel", 1)


def test_a_check_that_takes_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the name server is silent: the daemon tries again and does not end."""
    authority = Authority.create(tmp_path / "fleet", address="localhost:1")
    fleet = device(authority, "kitchen", tmp_path / "kitchen")
    slow = tmp_path / "nginx"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setattr(tunnel_module, "nginx", lambda: str(slow))
    monkeypatch.setattr(tunnel_module, "CHECK_SECONDS", 0.05)
    with pytest.raises(WorkError, match=r"refuses the tunnel's .*: it was not done within 0\.05 s"):
        prepared(fleet, tmp_path / "tunnel", 1)


def test_a_name_that_nobody_knows_is_told(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "fleet", address="nowhere.invalid:1")
    fleet = device(authority, "kitchen", tmp_path / "kitchen")
    with pytest.raises(WorkError, match=r"nginx refuses the tunnel's configuration .*nowhere"):
        prepared(fleet, tmp_path / "tunnel", free_port())
