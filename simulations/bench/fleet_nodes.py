"""A real device of a fleet for measurements: Flower's SuperNode with a few made-up clips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from client.store import DeviceFolder, DeviceSettings
from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from common.processes import QUIET, end_session, free_port, program, start
from common.randomness import generator
from server.authority.authority import Authority
from simulations.bench.memory import session_megabytes

CLIPS = 24


class RealNode:
    """One device: its folder, enrolled at a fleet, and its SuperNode while it runs."""

    def __init__(self, root: Path, number: int, authority: Authority) -> None:
        self._number = number
        self._folder = root.parent / f"node-{number}"
        self._folder.mkdir()
        bundle = authority.add_device(f"node-{number}")
        self._address = bundle.address
        (self._folder / "ca.crt").write_text(bundle.ca, encoding="utf-8")
        key = self._folder / "key"
        key.touch(mode=0o600)
        key.write_text(str(bundle.private_key), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, specification: HeadSpecification) -> None:
        """Make its clips and start its SuperNode."""
        state = DeviceFolder(self._folder / "state")
        settings = DeviceSettings(specification=specification, seed=0)
        state.create(settings, made_up_clips(self._number, specification))
        command = [
            *(program("flower-supernode"), "--superlink", self._address),
            *("--root-certificates", str(self._folder / "ca.crt")),
            *("--auth-supernode-private-key", str(self._folder / "key")),
            *("--node-config", f'state-dir="{state.path}"'),
            *("--host", "127.0.0.1", "--port", str(free_port())),
        ]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        home = {"FLWR_HOME": str(self._folder / "flower"), "PATH": path}
        self._process = start(
            command,
            log=self._folder / "log",
            folder=self._folder,
            environment={**os.environ, **QUIET, **home},
        )

    def megabytes(self) -> float:
        """PSS in MB (1e6) of the SuperNode and all that it started."""
        return session_megabytes(self._process.pid) if self._process else 0.0

    def end(self) -> None:
        """End its programs."""
        if self._process is not None:
            end_session(self._process)
            self._process = None


def made_up_clips(device: int, specification: HeadSpecification) -> ClipSet:
    """24 clips of three users, every expression in each; features as wide as the head's."""
    draw = generator(5, "made-up clips", client=device)
    labels = np.arange(CLIPS) % specification.classes
    frames = draw.normal(size=(CLIPS, specification.dimension))
    frames += np.eye(specification.classes, specification.dimension)[labels]
    return ClipSet(
        tuple(f"clip-{device}-{number}" for number in range(CLIPS)),
        tuple(f"user-{device}-{number // 8}" for number in range(CLIPS)),
        labels.astype(np.int64),
        frames.astype(np.float32),
        np.ones(CLIPS, dtype=np.int64),
    )
