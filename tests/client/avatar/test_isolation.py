"""Nothing of avatars talks to a network or unpickles, and the gate lets none of it out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "client" / "avatar").rglob("*.py"))
NETWORK = {
    *("socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "websockets", "grpc"),
    *("ftplib", "smtplib", "flwr", "asyncio", "xmlrpc", "telnetlib", "socketserver"),
}


def imported(path: Path) -> set[str]:
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def test_there_is_something_to_look_at() -> None:
    assert {"check.py", "store.py", "generator.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_network_module_is_imported(path: Path) -> None:
    names = imported(path)
    assert {name for name in names if name.split(".")[0] in NETWORK} == set()
    assert not any(name.startswith(("client.gate", "client.app", "common.wire")) for name in names)


@pytest.mark.parametrize("room", ["client", "common", "server"])
def test_nothing_that_sends_knows_of_avatars(room: str) -> None:
    """Only the page and the avatars' own files do."""
    outside = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / room).rglob("*.py"))
        if path not in FILES and "client.avatar" in path.read_text(encoding="utf-8")
    ]
    assert [path for path in outside if not path.startswith("client/web/")] == []
