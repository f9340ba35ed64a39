"""Engine `ray`: the same apps through Flower's own simulation runtime, by `flwr run`.

A SuperLink of our own on a free loopback port, started in an empty folder (Ray's workers put the
working directory first on their path, and would import a checkout that lies there), with its own
FLWR_HOME, without telemetry and without installing dependencies. `flwr run` ends with 0 even
where a run fails, so the run's status is asked for until it has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import WorkError
from common.processes import QUIET, await_port, end_session, free_port, program, start
from simulations.app import PROGRESS_FILE
from simulations.settings import SimulationSettings
from simulations.watching import Watcher

CONNECTION = "mien"
START_SECONDS = 60.0
POLL_SECONDS = 0.5
POLLING = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}


def app_folder() -> Path:
    """The folder with the pyproject.toml that makes these rooms a Flower app.

    Raises:
        WorkError: Mien was installed without it (only a checkout has it).
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "pyproject.toml").is_file():
        raise WorkError("the engine ray needs a checkout of Mien: there is no pyproject.toml here")
    return folder


def run_ray(settings: SimulationSettings, *, nodes: int, root: Path, watch: Watcher) -> None:
    """Run a whole simulation by `flwr run`; results lie in `settings.out`.

    Args:
        settings: absolute paths where they name files; `out` set.
        nodes: SuperNodes to simulate.
        root: the simulation's folder, for its state and for progress.
        watch: told of progress.

    Raises:
        WorkError: the runtime did not start, or the run failed; ends with the run's last words.
    """
    config = settings.model_dump(by_alias=True) | {"state-root": str(root.resolve())}
    run_app(app_folder(), config, nodes=nodes, root=root, watch=watch)


def run_app(
    app: Path,
    config: Mapping[str, Any],
    *,
    nodes: int,
    root: Path,
    watch: Watcher,
    poll: float = POLL_SECONDS,
) -> None:
    """Run a Flower app by `flwr run`, and wait for its end.

    Args:
        app: folder with its pyproject.toml.
        config: of the run; every key is one of the app's own.
        nodes: SuperNodes to simulate.
        root: folder in which the app tells its progress.
        watch: told of progress.
        poll: seconds between looks at the run, each of which starts a `flwr ls`.

    Raises:
        WorkError: as for `run_ray`.
    """
    if not sys.platform.startswith("linux"):
        raise WorkError("the engine ray is made for Linux; use --engine grid here")
    with (
        tempfile.TemporaryDirectory(prefix="mien-flower-") as scratch,
        _superlink(Path(scratch)) as environment,
    ):
        _await(environment, _submit(environment, app, config, nodes), root, watch, poll)


@contextmanager
def _superlink(scratch: Path) -> Iterator[dict[str, str]]:
    """A SuperLink while the block runs; yields the environment for `flwr` commands."""
    home, neutral = scratch / "home", scratch / "empty"
    home.mkdir()
    neutral.mkdir()
    port = free_port()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\n',
        encoding="utf-8",
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, **QUIET, **POLLING, "FLWR_HOME": str(home), "PATH": path}
    command = [
        *(program("flower-superlink"), "--insecure", "--simulation"),
        *("--disable-runtime-dependency-installation", "--host", "127.0.0.1", "--port", str(port)),
    ]
    log = scratch / "superlink.log"
    process = start(command, log=log, folder=neutral, environment=environment)
    try:
        await_port(port, process, name="Flower's SuperLink", log=log, patience=START_SECONDS)
        yield environment
    finally:
        end_session(process)


def _submit(
    environment: Mapping[str, str], app: Path, config: Mapping[str, Any], nodes: int
) -> str:
    """Hand the app to the SuperLink; returns the run's id."""
    settings = " ".join(f"{key}={_toml(value)}" for key, value in config.items())
    answer = _flwr(
        environment,
        *("run", str(app), CONNECTION, "--format", "json", "--run-config", settings),
        *("--federation-config", f"num-supernodes={nodes} client-resources-num-cpus=1"),
    )
    try:
        return str(answer["run-id"])
    except KeyError as error:
        reason = answer.get("error-message", answer)
        raise WorkError(f"Flower did not accept the run: {reason}") from error


def _toml(value: object) -> str:
    return json.dumps(value)


def _await(
    environment: Mapping[str, str], run: str, root: Path, watch: Watcher, poll: float
) -> None:
    while True:
        answer = _flwr(environment, "ls", "--run-id", run, "--format", "json", CONNECTION)
        status = str(answer.get("runs", [{}])[0].get("status", "unknown"))
        _tell(root / PROGRESS_FILE, watch)
        if status.startswith("finished"):
            break
        time.sleep(poll)
    if status != "finished:completed":
        raise WorkError(f"Flower's run ended as {status}: {_last_words(environment, run)}")


def _tell(path: Path, watch: Watcher) -> None:
    if path.exists():
        watch(**json.loads(path.read_text(encoding="utf-8")))


def _last_words(environment: Mapping[str, str], run: str) -> str:
    """What the run's log says of its end: the error's own line, else the last two lines."""
    done = subprocess.run(
        [program("flwr"), "log", run, CONNECTION, "--show"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    traced = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[traced[-1] + 1 :] if traced else []
    raised = [line for line in after if not line.startswith(" ")]
    return " ".join(raised[:1] or lines[-2:])


def _flwr(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [program("flwr"), *arguments],
        env=dict(environment),
        cwd=environment["FLWR_HOME"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        words = (done.stdout + done.stderr).strip().splitlines()
        raise WorkError(f"flwr {arguments[0]} failed: {' '.join(words[-3:])}") from error
    return answer
