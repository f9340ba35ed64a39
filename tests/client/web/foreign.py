"""Somebody else's page on this computer, and what it tries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STEAL = """async (address) => {
  const told = [];
  for (const method of ["GET", "POST"]) {
    try {
      const answer = await fetch(address + "/pause", { method, credentials: "include" });
      told.push(await answer.text());
    } catch { told.push(""); }
    const body = method === "POST" ? new URLSearchParams({ paused: "yes" }) : undefined;
    try {
      await fetch(address + "/pause", { method, credentials: "include", mode: "no-cors", body });
    } catch { /* its answer may not even be kept unread */ }
  }
  return told.join("") === "" ? "refused" : told.join("");
}"""
POST_FORM = """(address) => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = address;
  const field = document.createElement("input");
  field.name = "paused";
  field.value = "yes";
  form.append(field);
  document.body.append(form);
  form.submit();
}"""


@contextmanager
def foreign_page() -> Iterator[int]:
    """A server of somebody else on this computer; its port."""

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Elsewhere</title><body>hello")

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
