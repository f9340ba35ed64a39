"""The real programs: SuperLink, executor and proxy; what a device's network reaches of them."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from common.processes import free_port
from server.authority.authority import Authority
from server.fleet.folder import FleetFolder
from server.fleet.proxy import FLEET_ROUTES
from server.fleet.run import FleetServer
from server.fleet.service import running

pytestmark = pytest.mark.slow
NOT_FOUND = 404


class Running:
    """A fleet's server in a thread of the test."""

    def __init__(self, root: Path, *, host: str = "localhost", second_lock: bool = False) -> None:
        self.root = root
        self.host = host
        self.port = free_port()
        self.authority = Authority.create(root, address=f"{host}:{self.port}")
        self.server = FleetServer(root, second_lock=second_lock, tell=lambda _: None)
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def wait(self) -> None:
        folder = FleetFolder(self.root).service
        for _ in range(600):
            if (folder / "service.json").exists():
                return
            self.server._ended.wait(0.1)
        raise AssertionError("the server did not start")

    def end(self) -> None:
        self.server.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    started = Running(tmp_path_factory.mktemp("fleet") / "fleet")
    try:
        started.wait()
        yield started
    finally:
        started.end()
    assert not (FleetFolder(started.root).service / "service.json").exists()


def trust(fleet: Running) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(fleet.root / "ca/ca.crt"))


def asked(fleet: Running, port: int, method: str, path: str) -> int:
    connection = HTTPSConnection(fleet.host, port, context=trust(fleet), timeout=20)
    try:
        connection.request(method, path, body=b"" if method == "POST" else None)
        return connection.getresponse().status
    finally:
        connection.close()


def superlink_routes(fleet: Running) -> list[tuple[str, str]]:
    """Method and path of every route, from the SuperLink's own listing."""
    port = int(str(running(FleetFolder(fleet.root).service)["superlink"]))
    connection = HTTPSConnection("localhost", port, context=trust(fleet), timeout=20)
    connection.request("GET", "/openapi.json")
    listed = json.loads(connection.getresponse().read())["paths"]
    return [(method.upper(), path) for path, methods in listed.items() for method in methods]


def test_devices_reach_the_fleets_routes_and_no_other(fleet: Running) -> None:
    routes = superlink_routes(fleet)
    assert len(routes) > 50, "the SuperLink's listing is not what it was"
    allowed = {f"/v1/fleet/{route}" for route in FLEET_ROUTES}
    assert allowed <= {path for _, path in routes}
    for method, path in routes:
        through = asked(fleet, fleet.port, method, path)
        assert (through != NOT_FOUND) == (path in allowed), f"{method} {path}: {through}"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "//v1/control/list-runs",
        "/v1/fleet/pull-messages/../../control/list-runs",
        "/v1/control/list-runs?/v1/fleet/pull-messages",
        "/v1/fleet/pull-messages%00/../../control/list-runs",
        "/openapi.json",
        "/docs",
        "/health",
    ],
)
def test_no_trick_of_the_path_gets_through(fleet: Running, path: str) -> None:
    for method in ("GET", "POST"):
        assert asked(fleet, fleet.port, method, path) in (400, 403, 404, 405)


def test_only_post_is_passed_on(fleet: Running) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert asked(fleet, fleet.port, method, "/v1/fleet/pull-messages") == 403


def test_what_is_too_large_is_refused_before_it_is_read(fleet: Running) -> None:
    connection = HTTPSConnection("localhost", fleet.port, context=trust(fleet), timeout=20)
    connection.putrequest("POST", "/v1/fleet/push-object")
    connection.putheader("Content-Length", str(100 * 2**20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_no_control_route_listens_beyond_loopback(fleet: Running) -> None:
    """The SuperLink's own port, by an address of this machine that is not loopback."""
    told = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
    addresses = [each for each in told.stdout.split() if not each.startswith("127.")]
    if not addresses:
        pytest.skip("this machine has no address but loopback")
    port = int(str(running(FleetFolder(fleet.root).service)["superlink"]))
    for address in addresses:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, port)) != 0


def test_no_secret_is_in_a_command_line_or_open_to_others(fleet: Running) -> None:
    secret = (fleet.root / "superexec.secret").read_text()
    listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True)
    assert secret not in listed.stdout
    for path in fleet.root.rglob("*"):
        if path.is_file() and path.suffix in (".key", ".secret", ".sqlite", ".json", ".log"):
            assert path.stat().st_mode & 0o077 == 0, path.relative_to(fleet.root)


def test_clients_without_a_certificate_are_shut_out(tmp_path: Path) -> None:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    locked = Running(tmp_path / "fleet", second_lock=True)
    try:
        locked.wait()
        assert asked(locked, locked.port, "POST", "/v1/fleet/pull-messages") == 400
    finally:
        locked.end()


def test_a_server_in_a_relative_folder_is_reached_where_devices_look_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an address of its own, as of a network card, on which loopback's does not answer."""
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    monkeypatch.chdir(tmp_path)
    started = Running(Path("fleet"), host="127.0.0.2")
    try:
        started.wait()
        assert asked(started, started.port, "POST", "/v1/fleet/pull-messages") != NOT_FOUND
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", started.port), timeout=2)
    finally:
        started.end()
