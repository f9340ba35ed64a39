"""What the status tells of the server's programs: asked, not guessed."""

from __future__ import annotations

import json
from pathlib import Path

from flwr.supercore.grpc_health import run_health_server_grpc_no_tls

from common.files import private_folder
from common.processes import free_port
from server.authority.authority import Authority
from server.fleet.folder import FleetFolder
from server.fleet.service import STATE_FILE
from server.fleet.status import fleet_status


def test_programs_are_asked_for_their_health(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    Authority.create(root, address="localhost:8443")
    assert fleet_status(root).programs == {}
    ports = {"superlink": free_port(), "superexec": free_port()}
    told = {"superlink": free_port(), "port": free_port(), "address": "0.0.0.0", "pids": {}}
    folder = private_folder(FleetFolder(root).service)
    (folder / STATE_FILE).write_text(json.dumps({**told, "health": ports}))
    server = run_health_server_grpc_no_tls(f"127.0.0.1:{ports['superexec']}")
    try:
        now = fleet_status(root)
    finally:
        server.stop(0)
    assert now.programs == {"superlink": False, "superexec": True, "proxy": False}
    assert not now.running
