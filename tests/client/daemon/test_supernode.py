"""The SuperNode beside the daemon: how it is started, again, and ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from client.daemon.settings import Fleet
from client.daemon.supernode import NODE, SuperNode, check_files, free_port, supernode_options
from common.errors import UsageError
from tests.client.daemon.fakes import ROOT, alive, wait_for

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PDEATHSIG is Linux's")
LOOPBACK = Fleet(address="127.0.0.1:8000", insecure=True)


def program(folder: Path, act: str) -> Path:
    """A stand-in for flower-supernode that writes down how it was started."""
    path = folder / "flower-supernode"
    path.write_text(
        f"#!{sys.executable}\nimport json, os, subprocess, sys, time\n"
        f"told = open({str(folder / 'told')!r}, 'a')\n"
        "names = ('FLWR_HOME', 'FLWR_TELEMETRY_ENABLED', 'FLWR_DISABLE_UPDATE_CHECK',\n"
        "         'FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION')\n"
        "print(json.dumps({'arguments': sys.argv[1:], 'process': os.getpid(), 'cwd': os.getcwd(),\n"
        "                  'environment': {n: os.environ.get(n) for n in names}}),\n"
        "      file=told, flush=True)\n" + act + "\n"
    )
    path.chmod(0o700)
    return path


def starts(folder: Path) -> list[dict[str, object]]:
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kept(
    folder: Path,
    act: str,
    until: Callable[[SuperNode, list[str]], object],
    *,
    fleet: Fleet = LOOPBACK,
) -> tuple[SuperNode, list[str]]:
    """Keep a stand-in until a condition holds, then close it; the node and what was told."""
    said: list[str] = []
    device = folder / 'odd "device" name'
    device.mkdir(exist_ok=True)
    path = program(folder, act)

    async def whole() -> SuperNode:
        node = SuperNode(device, fleet, said.append, program=path, waits=(0.05, 0.1))
        task = asyncio.create_task(node.keep())
        async with asyncio.timeout(60):
            while not until(node, said):
                await asyncio.sleep(0.02)
        await node.close(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return node

    return asyncio.run(whole()), said


def test_it_is_started_quietly_in_a_folder_of_its_own_and_finds_the_vault(tmp_path: Path) -> None:
    kept(tmp_path, "time.sleep(1000)", lambda *_: starts(tmp_path))
    (told,) = starts(tmp_path)
    device = tmp_path / 'odd "device" name'
    assert told["cwd"] == str(device / "fleet" / "empty")
    assert told["environment"] == {
        "FLWR_HOME": str(device / "fleet" / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }
    arguments = told["arguments"]
    assert isinstance(arguments, list)
    node = Path(arguments[arguments.index("--node-config") + 1])
    assert tomllib.loads(node.read_text()) == {"vault-dir": str(device)}
    assert "--allow-runtime-dependency-installation" not in arguments
    assert not (device / "fleet").stat().st_mode & 0o077


def test_flower_reads_the_node_configuration_as_it_was_meant(tmp_path: Path) -> None:
    from flwr.common.config import parse_config_args

    kept(tmp_path, "time.sleep(1000)", lambda *_: starts(tmp_path))
    arguments = starts(tmp_path)[0]["arguments"]
    assert isinstance(arguments, list)
    given = arguments[arguments.index("--node-config") + 1]
    assert parse_config_args([given]) == {"vault-dir": str(tmp_path / 'odd "device" name')}


def test_the_installed_supernode_knows_every_option() -> None:
    fleet = Fleet(address="fleet.example:9092", root_certificates="/ca.pem", private_key="/key")
    command = supernode_options(fleet, Path("/node.toml"), Path("/s"), free_port(), free_port())
    assert command[:2] == ["--superlink", "fleet.example:9092"]
    assert "--insecure" not in command
    assert "--insecure" in supernode_options(LOOPBACK, Path("/node.toml"), Path("/s"), 1, 2)
    shown = subprocess.run(
        [sys.executable, "-m", NODE, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [each for each in command if each.startswith("--") and each not in shown] == []


def test_it_is_started_again_after_ever_longer_waits(tmp_path: Path) -> None:
    act = "print('the fleet refused this node'); sys.exit(3)"
    node, said = kept(tmp_path, act, lambda node, _: node.state["starts"] >= 4)
    assert said[0] == (
        "fleet: the SuperNode ended with code 3: the fleet refused this node; "
        "the next try is in 0.05 s"
    )
    assert {line.rsplit(" in ", 1)[1] for line in said[1:]} == {"0.1 s"}
    assert node.state["process"] is None
    assert node.state["last"] == "the fleet refused this node"


def test_closing_ends_it_and_what_it_started_even_if_it_will_not(tmp_path: Path) -> None:
    act = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print(json.dumps({'process': child.pid}), file=told, flush=True)\ntime.sleep(1000)"
    )
    kept(tmp_path, act, lambda *_: len(starts(tmp_path)) == 2)
    for each in starts(tmp_path):
        process = each["process"]
        assert isinstance(process, int)
        wait_for(lambda: not alive(process))  # noqa: B023


@linux
def test_it_ends_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    path = program(tmp_path, "time.sleep(1000)")
    keep = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from client.daemon.settings import Fleet\nfrom client.daemon.supernode import SuperNode\n"
        "node = SuperNode(Path(sys.argv[1]), Fleet(address='localhost:1', insecure=True), print,\n"
        "                 program=Path(sys.argv[2]))\nasyncio.run(node.keep())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", keep, str(tmp_path), str(path)], cwd=ROOT, env=os.environ.copy()
    ) as daemon:
        wait_for(lambda: starts(tmp_path))
        daemon.send_signal(signal.SIGKILL)
    process = starts(tmp_path)[0]["process"]
    assert isinstance(process, int)
    wait_for(lambda: not alive(process))


def test_missing_files_and_open_keys_are_named_and_nothing_is_started(tmp_path: Path) -> None:
    certificates, key = tmp_path / "ca.pem", tmp_path / "key"
    fleet = Fleet(address="a:1", root_certificates=str(certificates), private_key=str(key))
    node, said = kept(tmp_path, "", lambda _, said: said, fleet=fleet)
    assert "ca.pem: the file is missing" in said[0]
    assert node.state["starts"] == 0
    certificates.touch()
    key.touch(mode=0o644)
    with pytest.raises(UsageError, match=r"others may read the device's key \(mode 0644\)"):
        check_files(fleet)
    key.chmod(0o600)
    check_files(fleet)
    certificates.unlink()
    with pytest.raises(UsageError, match=r"ca\.pem: the file is missing"):
        check_files(fleet)
