"""Flower's own simulation runtime: same numbers, no leak, no failure that looks like success."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.errors import WorkError
from simulations.engines.flower_runtime import app_folder, run_ray
from simulations.settings import SimulationSettings, parse_settings
from simulations.watching import unwatched
from tests.simulations.tables import write_table

BY_RAY = ("logistic", "self-attention")
"""One head of each sort: the quick tests run every kind in process."""
MARKER = 1234.5678
USER = "zz-planted-user-zz"


def settings_for(folder: Path, **values: Any) -> SimulationSettings:
    table = write_table(folder / "table.csv")
    chosen = {"features": str(table), "rounds": 3, "l2": 0.01, "draws": 2, "user-folds": 2}
    return parse_settings({**chosen, **values, "out": str(folder / "out")})


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return {
        key: value for key, value in found.items() if key not in ("seconds", "command", "commit")
    }


def mien(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "mien"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, **environment},
    )


def without_time(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return {k: v for k, v in found.items() if k not in ("seconds", "command", "commit", "engine")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BY_RAY)
def test_ray_gives_what_grid_gives(tmp_path: Path, kind: str) -> None:
    table = write_table(tmp_path / "table.csv")
    common = ["simulate", "--features", str(table), "--rounds", "3", "--l2", "0.01", "--json"]
    common += ["--draws", "2", "--user-folds", "2", "--head", kind]
    ray, grid = mien(*common, "--engine", "ray"), mien(*common, "--engine", "grid")
    assert ray.returncode == 0, ray.stderr
    assert without_time(ray.stdout) == without_time(grid.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BY_RAY)
def test_no_marker_in_any_reply_that_the_server_got(tmp_path: Path, kind: str) -> None:
    record = tmp_path / "record"
    settings = settings_for(tmp_path, head=kind, record=str(record))
    table = Path(settings.features)
    rows = table.read_text().replace("Ada", USER).splitlines()
    rows = [rows[0] + ",planted", *(f"{row},{MARKER}" for row in rows[1:])]
    table.write_text("\n".join(rows) + "\n")
    run_ray(settings, nodes=3, root=tmp_path / "state", watch=unwatched)
    replies = [path.read_bytes() for path in record.iterdir()]
    assert len(replies) == 2 * 5 * 6, "two federations of reference, 3 rounds and a test; 6 devices"
    assert sum(b"\x93NUMPY" in reply for reply in replies) == 2 * 4 * 3
    for pattern in patterns():
        assert not any(pattern in reply for reply in replies)


def patterns() -> list[bytes]:
    root = MARKER**0.5
    numbers = [
        struct.pack(code, value) for code in ("<f", ">f", "<d", ">d") for value in (MARKER, root)
    ]
    return [*numbers, str(MARKER).encode(), USER.encode(), USER.encode("utf-16-le")]


@pytest.mark.slow
def test_a_failed_run_is_seen_as_failed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    Path(settings.features).write_text("clip\n")
    with pytest.raises(WorkError, match=r"finished:failed.*no feature column"):
        run_ray(settings, nodes=2, root=tmp_path / "state", watch=unwatched)


@pytest.mark.slow
def test_bare_flwr_run_gives_what_mien_simulate_gives(tmp_path: Path) -> None:
    """The README's commands, in a copy of the checkout, with a home and ports of their own."""
    home, cache = tmp_path / "flwr", tmp_path / "cache"
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_HOME": str(home),
        "XDG_CACHE_HOME": str(cache),
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": "39391",
        "FLWR_LOCAL_CONTROL_API_PORT": "39393",
    }
    try:
        done = subprocess.run(
            ["flwr", "run", ".", "--stream", "--run-config", "actors=3 rounds=4"],
            cwd=app_folder(),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert "results and report:" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    finally:
        end_superlink_of(home)
    bare = cache / "mien" / "flower-simulation" / "results" / "results.json"
    ray = mien(
        "simulate",
        "--engine",
        "ray",
        "--actors",
        "3",
        "--rounds",
        "4",
        "--json",
        XDG_CACHE_HOME=str(cache),
    )
    assert ray.returncode == 0, ray.stderr
    assert without_time(bare.read_text()) == without_time(ray.stdout)


def end_superlink_of(home: Path) -> None:
    """End the SuperLink that `flwr run` left behind: the process whose command names our home."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "flower-superlink" in command and str(home) in command:
            os.kill(int(entry.name), 15)


def in_empty_network(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inside = 'ip link set lo up 2>/dev/null; exec "$0" "$@"'
    return subprocess.run(
        ["unshare", "-n", "sh", "-c", inside, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
        env={**os.environ, **environment},
    )


def need_empty_network() -> None:
    if not (shutil.which("unshare") and shutil.which("ip")) or in_empty_network("true").returncode:
        pytest.skip("network namespaces can't be made here (needs root, unshare and ip)")


@pytest.mark.slow
def test_the_demo_needs_no_network_and_shows_what_it_promises(tmp_path: Path) -> None:
    need_empty_network()
    program = str(Path(sys.executable).parent / "mien")
    done = in_empty_network(
        *(program, "demo", "--out", str(tmp_path / "out")), XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "report.html") in done.stdout
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["synthetic"] is True
    assert found["left_out"] == []
    assert all(value > found["accuracy"]["universal"] for value in found["accuracy"]["personal"])


@pytest.mark.slow
def test_flowers_runtime_needs_no_network(tmp_path: Path) -> None:
    need_empty_network()
    table = write_table(tmp_path / "table.csv")
    done = in_empty_network(
        str(Path(sys.executable).parent / "mien"),
        *("simulate", "--features", str(table), "--rounds", "3", "--engine", "ray"),
        *("--out", str(tmp_path / "out")),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
