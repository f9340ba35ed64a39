"""A real SuperNode and a server whose code differs by one byte: refused, and then the right one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from client.daemon.node import OTHER_CODE
from client.daemon.socket import ask
from client.device.budget import exposure_limits, set_exposure_limits
from client.device.place import read_device, write_device
from common.backbones.records import MINI_XCEPTION
from common.processes import end_session, free_port, start
from server.authority.authority import Authority
from server.fleet.begin import default_settings
from server.fleet.folder import FleetFolder, Wanted
from server.fleet.rounds import CHECKPOINT, RoundRules
from simulations.fleet_demo.devices import DemoDevice
from tests.client.daemon.fakes import wait_for
from tests.server.fleet.devices import SERVER, path

CHANGED = """
import server.fleet.control as control
from common.app_bundle import app_files
def changed():
    files = app_files()
    return {**files, "client/app.py": files["client/app.py"] + b"#"}
control.app_files = changed
"""
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def serving(root: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start(
        [sys.executable, "-c", program, str(root / "fleet")],
        log=root / "server.log",
        folder=ROOT,
        environment={**os.environ, "PATH": path()},
    )
    try:
        yield process
    finally:
        end_session(process)


def refused(device: DemoDevice) -> str:
    told = ask(device.folder, "status")
    return str(told["fleet"]["refused"]) if told else ""


def show_certificate(device: DemoDevice) -> None:
    """As `mien device join --show-certificate` does: the server's second lock is opened."""
    told = read_device(device.folder)
    told["fleet"]["certificate"] = str(device.folder / "fleet/device.crt")
    write_device(device.folder, told)


def app_commands() -> set[str]:
    """What every user of the computer may read of the apps that this test's programs started."""
    listed = subprocess.run(
        ["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    ours = {str(os.getpid())}
    while more := {pid for pid, parent, *_ in rows if parent in ours} - ours:
        ours |= more
    named = [row[2] for row in rows if row[0] in ours and len(row) == 3]
    return {line for line in named if "flwr-serverapp" in line or "flwr-clientapp" in line}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_device_runs_its_own_code_only(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "fleet", address=f"localhost:{free_port()}")
    folder = FleetFolder(authority.folder)
    made = default_settings(
        backbone=MINI_XCEPTION.id, head="logistic", strategy="fedavg", quorum=1, deadline=60.0
    )
    folder.begin(replace(made, rules=RoundRules(quorum=1, tries=30, patience=1.0)))
    folder.want(Wanted(1))
    device = DemoDevice(tmp_path, 0, MINI_XCEPTION, actors=1, seed=0)
    device.enrol(authority)
    with device.vault() as vault:  # its server asks for no secure sums
        set_exposure_limits(vault, replace(exposure_limits(vault), bare_updates=True))
    apps, checkpoint = device.folder / "fleet/flower/apps", folder.federation / CHECKPOINT
    try:
        with serving(tmp_path, CHANGED + SERVER):
            wait_for(lambda: authority.devices.all()[0].node, patience=120)
            device.start()
            wait_for(lambda: refused(device), patience=200)
            assert refused(device).startswith(OTHER_CODE)
            assert OTHER_CODE in device.log.read_text()
            assert not apps.exists(), "the other code was not even unpacked"
            assert not checkpoint.exists()
        device.end()
        show_certificate(device)
        listed: set[str] = set()
        with serving(tmp_path, SERVER.replace("[1]))", "[1]), second_lock=True)")):
            device.start()

            def done() -> bool:
                listed.update(app_commands())
                return checkpoint.exists()

            wait_for(done, patience=400)
            assert apps.exists()
            assert refused(device) == ""
        for app in ("flwr-serverapp", "flwr-clientapp"):
            assert any(app in line and "--token-file /dev/fd/" in line for line in listed), listed
        assert not any("--token " in line for line in listed)
    finally:
        device.end()
