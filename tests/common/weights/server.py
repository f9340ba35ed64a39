"""A web server on this machine that gives one file, well or badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 60.0


@dataclass
class Site:
    """What the server does, and what it was asked.

    Attributes:
        content: of the file, whatever path is asked for.
        ranges: "yes", "ignored" (whole file instead) or "wrong" (another part than asked for).
        pause_after: bytes after which it waits for `go_on`, once.
        stop_after: bytes after which it hangs up.
        length: whether it tells the length.
        status: of an answer without content, instead of the file.
        location: with a redirecting status, where to.
    """

    content: bytes
    ranges: str = "yes"
    pause_after: int | None = None
    stop_after: int | None = None
    length: bool = True
    status: int = 200
    location: str = ""
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(content: bytes, **how: Any) -> Iterator[Site]:
    """A `Site` under its `url` while the block runs."""
    site = Site(content, **how)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append((self.path, wanted))
            if site.status != 200:
                self.send_response(site.status)
                self.send_header("Location", site.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._give(0 if wanted is None else int(wanted.removeprefix("bytes=")[:-1]))

        def _give(self, start: int) -> None:
            size = len(site.content)
            if start and site.ranges == "ignored":
                start = 0
            if start >= size > 0:
                self.send_error(416)
                return
            told = start + 1 if site.ranges == "wrong" else start
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {told}-{size - 1}/{size}")
            if site.length:
                self.send_header("Content-Length", str(size - start))
            self.end_headers()
            self._send(site.content[start:])

        def _send(self, body: bytes) -> None:
            if site.stop_after is not None:
                body = body[: site.stop_after]
            pause = site.pause_after
            if pause is not None and not site.paused.is_set():
                self.wfile.write(body[:pause])
                self.wfile.flush()
                site.paused.set()
                site.go_on.wait(PATIENCE)
                body = body[pause:]
            self.wfile.write(body)

    return Handler
