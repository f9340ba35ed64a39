"""Who may import what: the table "Rooms" of the design, checked over every file of the project."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("common", "client", "server", "simulations", "cli", "tests")
MAY_IMPORT = {
    "common": {"common"},
    "client": {"client", "common"},
    "server": {"server", "common"},
    "simulations": {"simulations", "client", "server", "common"},
    "cli": {"cli", "simulations", "client", "server", "common"},
    "tests": set(ROOMS),
}
FLOWER_FILES = {
    "client/app.py",
    "client/daemon/executor.py",
    "client/daemon/node.py",
    "client/flower_adapter.py",
    "server/app.py",
    "server/audit/flower_transcript.py",
    "server/audit/lab_record.py",
    "server/audit/stock_secagg.py",
    "server/flower_adapter.py",
    "server/fleet/app.py",
    "server/fleet/control.py",
    "server/fleet/executor.py",
    "simulations/app.py",
}
FLOWER_FOLDER = "simulations/engines/"
WRITES_FOR_OTHERS = {"simulations/bench/features.py": ["torch.save"]}
"""emotiefflib reads pickled modules only; the benchmark writes it one with random weights."""
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(module: ast.Module) -> Iterator[str]:
    """Full names of all modules that a file imports, wherever in it the import stands."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if not node.level and node.module else "."
        elif isinstance(node, ast.Call) and _called(node) in ("__import__", "import_module"):
            first = node.args[0] if node.args else None
            yield first.value if isinstance(first, ast.Constant) else "?"


def _called(node: ast.Call) -> str:
    """The last name of what is called; empty where it has none."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@cache
def imported(path: Path) -> tuple[str, ...]:
    return tuple(imports(tree(path)))


def intruders(room: str, names: Iterable[str]) -> list[str]:
    """What a file of `room` imports and must not."""
    found = []
    for name in names:
        top = name.split(".")[0]
        if (top in ROOMS and top not in MAY_IMPORT[room]) or name in (".", "?"):
            found.append(name)
    return found


def unpicklers(module: ast.Module) -> list[str]:
    """Imports and calls of a file that could run code out of a data file."""
    found = [name for name in imports(module) if name.split(".")[0] in PICKLERS]
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            unsafe = [
                keyword.arg
                for keyword in node.keywords
                if keyword.arg == "allow_pickle"
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            ]
            if unsafe or _called(node) in ("load", "save", "savez"):
                text = ast.unparse(node.func)
                if text in ("torch.load", "torch.save", "np.save", "np.savez") or unsafe:
                    found.append(text)
    return found


def test_every_room_has_files() -> None:
    assert {room for room in ROOMS if files(room)} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    found = {str(path.relative_to(ROOT)): intruders(room, imported(path)) for path in files(room)}
    assert {path: names for path, names in found.items() if names} == {}


def test_flower_is_imported_only_in_the_apps_and_their_adapters() -> None:
    outside = [
        name
        for room in ROOMS
        if room != "tests"
        for path in files(room)
        if (name := path.relative_to(ROOT).as_posix()) not in FLOWER_FILES
        and not name.startswith(FLOWER_FOLDER)
        and any(module.split(".")[0] == "flwr" for module in imported(path))
    ]
    assert outside == []


def test_nothing_unpickles() -> None:
    found = {
        str(path.relative_to(ROOT)): unpicklers(tree(path))
        for room in ROOMS
        if room != "tests"
        for path in files(room)
    }
    assert {path: calls for path, calls in found.items() if calls} == WRITES_FOR_OTHERS


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("common", "def f():\n    from client.store import Part", ["client.store"]),
        ("client", "import server.run as hidden", ["server.run"]),
        ("server", "from importlib import import_module\nimport_module('client.app')", None),
        ("client", "import_module(name)", ["?"]),
        ("client", "from .store import Part", ["."]),
        ("server", "import numpy, common.wire", []),
    ],
)
def test_the_check_finds_intruders(room: str, line: str, found: list[str] | None) -> None:
    assert intruders(room, imports(ast.parse(line))) == (["client.app"] if found is None else found)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("import pickle", 1),
        ("def f():\n    from pickle import loads", 1),
        ("torch.load(path)", 1),
        ("np.load(path, allow_pickle=True)", 1),
        ("np.load(path, allow_pickle=wanted)", 1),
        ("np.load(path, allow_pickle=False)", 0),
    ],
)
def test_the_check_finds_unpicklers(line: str, count: int) -> None:
    assert len(unpicklers(ast.parse(line))) == count


@pytest.mark.parametrize(
    "module", ["cli.main", "common.video.decode", "client.gate", "client.ledger"]
)
def test_starts_without_torch_and_flower(module: str) -> None:
    program = (
        f"import sys, {module}; "
        "print([name for name in ('torch', 'flwr', 'ray') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
