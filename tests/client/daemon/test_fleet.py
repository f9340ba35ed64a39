"""A real SuperLink on the loopback address: the device takes part from its vault, on record."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.daemon.supernode import QUIET, free_port
from client.device.budget import set_exposure_limits
from client.exposure import NO_LIMITS
from client.vault.records import Clip, ClipArrays, StoredHead
from client.vault.vault import new_id
from server.run import ServerPlan
from tests.client.daemon.fakes import (
    ROOT,
    MadeDevice,
    add_user,
    alive,
    daemon_process,
    make_device,
    status,
    wait_for,
)
from tests.client.fakes import any_head, made_up_clips, plan, specification

PROGRAMS = Path(sys.executable).parent
APP = """
[project]
name = "mien-test"
version = "0.0.1"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = []

[tool.flwr.app]
publisher = "mien"
fab-include = ["client/**/*.py", "common/**/*.py", "server/**/*.py"]

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
state-root = ""
timeout = 120.0
"""


@contextmanager
def superlink(root: Path, port: int) -> Iterator[dict[str, str]]:
    """A SuperLink without TLS; yields the environment for `flwr` commands."""
    home, empty = root / "home", root / "empty"
    home.mkdir()
    empty.mkdir()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "test"\n\n[superlink.test]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    environment = {
        **os.environ,
        **QUIET,
        "FLWR_HOME": str(home),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [PROGRAMS / "flower-superlink", "--insecure", "--host", "127.0.0.1"]
    more = ["--port", str(port), "--disable-runtime-dependency-installation"]
    with (
        (root / "superlink.log").open("wb") as log,
        subprocess.Popen(
            [*command, *more], cwd=empty, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_for(lambda: listens(port))
            yield environment
        finally:
            process.terminate()
            process.wait(30)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def flwr(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [PROGRAMS / "flwr", *arguments, "--format", "json"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    told: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return told


def app(root: Path) -> Path:
    """The fleet's app, as a folder that `flwr run` takes."""
    folder = root / "app"
    for room in ("client", "common", "server"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(APP)
    return folder


def fill(device: MadeDevice) -> None:
    """A universal head, and labelled clips of a user who agreed to help and of one who did not."""
    willing = add_user(device)
    unwilling = replace(
        willing, id="b" * 32, name="Bo", consent=replace(willing.consent, federate=False)
    )
    spec, clips = specification(), made_up_clips()
    with device.vault() as vault:
        set_exposure_limits(vault, NO_LIMITS)
        vault.save_user(unwilling)
        head = any_head(spec)
        vault.save_universal(
            StoredHead(arrays=head.arrays, about={"specification": spec.to_json()})
        )
        for number in range(2 * len(clips)):
            index = number // 2
            clip = Clip(
                id=new_id(),
                user=(willing, unwilling)[number % 2].id,
                name=f"{number}.mp4",
                added="2026-01-01T00:00:00+00:00",
                digest=f"{number:064x}",
                spec=spec.features,
                answer={},
                guessed=0,
            )
            vault.add_clip(clip, ClipArrays(features=clips.clip(index)))
            vault.label(clip.id, int(clips.labels[index]))


def processes_under(folder: Path) -> list[int]:
    """SuperNode, its executor and apps: whatever was told of the device's Flower folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            text = (place / "environ").read_bytes()
        except OSError:
            continue
        if f"FLWR_HOME={folder}/fleet".encode() in text and alive(int(place.name)):
            found.append(int(place.name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_the_device_takes_part_in_a_round_from_its_vault(tmp_path: Path) -> None:
    port, state = free_port(), tmp_path / "state"
    state.mkdir()
    fleet = {"address": f"127.0.0.1:{port}", "insecure": True}
    device = make_device(tmp_path / "device", fleet=fleet)
    fill(device)
    ServerPlan(specification(), (plan(rounds=1),), 0).save(state / "plan.json")
    with superlink(tmp_path, port) as environment, daemon_process(device) as daemon:
        wait_for(lambda: status(device)["fleet"]["process"])
        told = flwr(
            environment,
            *("run", str(app(tmp_path)), "test"),
            *("--run-config", f"state-root={json.dumps(str(state))}"),
        )
        run = str(told["run-id"])
        listed = ("ls", "--run-id", run)

        def ended() -> str:
            found = str(flwr(environment, *listed, "test")["runs"][0]["status"])
            return found if found.startswith("finished") else ""

        wait_for(ended, patience=400, pause=2)
        assert ended() == "finished:completed", (tmp_path / "superlink.log").read_text()[-3000:]
        rounds = json.loads((state / "server" / "rounds.json").read_text())
        assert [each["failures"] for each in rounds] == [[], []], rounds
        with device.vault() as vault:
            entries = list(vault.ledger.entries())
        assert [(each["stage"], each["round"]) for each in entries] == [
            ("reference", 0),
            ("head", 1),
        ]
        assert {each["clips"] for each in entries} == {len(made_up_clips())}
        assert processes_under(device.folder)
        daemon.terminate()
        daemon.communicate(timeout=20)
        wait_for(lambda: not processes_under(device.folder))
