"""A real node's loopback port: other processes of the computer take no task of the device's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from client.daemon.supernode import NODE, QUIET, free_port, supernode_options
from tests.client.daemon.fakes import ROOT, alive, wait_for
from tests.client.daemon.test_supernode import LOOPBACK

pytestmark = pytest.mark.slow
REFUSED = 401


def asked(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        kind = {"Content-Type": "application/protobuf"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=kind)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split() for line in listed.splitlines())
    return [int(child) for child, parent in rows if int(parent) == pid]


def test_nobody_without_the_secret_takes_a_task(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "node.toml").write_text(f"vault-dir = {json.dumps(str(tmp_path))}\n")
    (tmp_path / "secret").write_text("5ecret" * 10)
    options = supernode_options(
        LOOPBACK, tmp_path / "node.toml", tmp_path / "secret", port, free_port()
    )
    home = {"FLWR_HOME": str(tmp_path / "flower"), "PYTHONPATH": str(ROOT)}
    node = subprocess.Popen(
        [sys.executable, "-P", "-m", NODE, *options],
        cwd=tmp_path,
        env={**os.environ, **QUIET, **home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: asked(port, "/openapi.json")[0] == 200, patience=200)
        routes = json.loads(asked(port, "/openapi.json")[1])["paths"]
        runtime = [path for path in routes if path.startswith("/v1/runtime/")]
        assert any("acquire" in path or "claim" in path for path in runtime), sorted(routes)
        answers = {path: asked(port, path, b"")[0] for path in runtime}
        assert set(answers.values()) == {REFUSED}, answers
        wait_for(lambda: children(node.pid), patience=100)
        (executor,) = children(node.pid)
    finally:
        node.kill()
        node.wait(20)
    wait_for(lambda: not alive(executor))
