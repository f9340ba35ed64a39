"""A device whose clock is off is told so: by a real server with TLS and a date of its own."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from client.daemon.clock import clock_trouble, server_time
from client.daemon.settings import Fleet
from client.daemon.supernode import free_port
from server.authority.authority import Authority

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
Serving = Callable[[str], Fleet]


@contextmanager
def serving(root: Path, date: str) -> Iterator[Fleet]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    Authority.create(root, address="localhost:1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root / "server/server.crt", root / "server/server.key")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        address = f"localhost:{server.server_address[1]}"
        yield Fleet(address=address, root_certificates=str(root / "ca/ca.crt"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_clock_that_is_off_by_a_day_is_told(tmp_path: Path) -> None:
    with serving(tmp_path / "fleet", "Wed, 04 Mar 2026 05:06:30 GMT") as fleet:
        assert clock_trouble(fleet, NOW) == ""
        assert clock_trouble(fleet, NOW + timedelta(minutes=3)) == ""
        for days in (1, -1):
            told = clock_trouble(fleet, NOW + timedelta(days=days))
            assert "and the server's 2026-03-04 05:06; set the right one" in told
        foreign = Authority.create(tmp_path / "other", address="localhost:1")
        wrong = Fleet(address=fleet.address, root_certificates=str(foreign.folder / "ca/ca.crt"))
        assert server_time(wrong) is None, "who is not the fleet's server is not believed"


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Mar 2026 05:06:30 GMT"])
def test_no_date_is_no_trouble(tmp_path: Path, date: str) -> None:
    with serving(tmp_path / "fleet", date) as fleet:
        assert clock_trouble(fleet, NOW) == ""


def test_where_nobody_answers_nothing_is_said(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "fleet", address="localhost:1")
    ca = str(authority.folder / "ca/ca.crt")
    assert clock_trouble(Fleet(address=f"localhost:{free_port()}", root_certificates=ca)) == ""
    assert clock_trouble(Fleet(address="localhost:1", insecure=True)) == ""
