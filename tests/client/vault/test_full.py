"""No room: one clear sentence, nothing by halves, and the vault still opens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client.vault.errors import VaultFull
from client.vault.vault import Vault, unlock
from common.errors import WorkError
from tests.client.vault.support import (
    CHEAP,
    OTHER_SECRET,
    SECRET,
    a_clip,
    a_user,
    filled,
    some_arrays,
)

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = [sys.executable, "-m", "tests.client.vault.full"]


def told_by(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def check(told: dict[str, Any]) -> None:
    assert told["kind"] == "VaultFull"
    assert "the disk is full" in told["text"]
    assert "free some space" in told["text"]
    assert "\n" not in told["text"]
    assert told["again"] == ["VaultFull", "VaultFull"]
    assert told["kept"] == told["clips"] == told["reopened"] > 3
    assert told["broken"] == 0


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    check(told_by([*PROGRAM, str(tmp_path / "device"), "700000"]))


def test_a_small_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=6m none {tmp_path}"
    unshare = ["unshare", "-rm", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], check=False).returncode:
        pytest.skip("needs `unshare` and the right to mount a small disk of its own")
    told = told_by([*unshare, f'{mount} && exec "$@"', "sh", *PROGRAM, str(tmp_path / "device")])
    check(told)
    assert told["then"] == "VaultFull"
    assert told["forgotten"] is True


def limit(vault: Vault, more: int) -> None:
    connection = vault._db.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + more}").fetchall()


def test_a_transaction_that_finds_no_room_leaves_nothing(vault: Vault) -> None:
    ada, _ = filled(vault)
    before = (vault.users(), vault.clips())
    limit(vault, 20)
    big = some_arrays(1, frames=500, dimension=60)
    with pytest.raises(VaultFull, match="free some space"):
        add_user_and_clip(vault, big)
    with pytest.raises(VaultFull):
        vault.add_clip(a_clip(ada, 9), big)
    assert (vault.users(), vault.clips()) == before
    vault.label(before[1][0].id, 3)
    limit(vault, 10_000)
    add_user_and_clip(vault, big)
    assert len(vault.users()) == 3
    assert vault.damaged() == ()


def add_user_and_clip(vault: Vault, arrays) -> None:
    with vault.transaction():
        cleo = a_user("Cleo")
        vault.save_user(cleo)
        vault.add_clip(a_clip(cleo, 7), arrays)


def test_a_rekey_that_finds_no_room_leaves_the_old_key(vault: Vault) -> None:
    filled(vault)
    vault.log_error("the last but one table to be sealed anew")
    vault._db.connection.execute(
        "CREATE TRIGGER swell BEFORE UPDATE ON errors BEGIN "
        "INSERT INTO errors (text) VALUES (zeroblob(3000000)); END"
    )
    limit(vault, 20)
    with pytest.raises(VaultFull):
        vault.rekey(OTHER_SECRET, cost=CHEAP)
    assert vault.damaged() == ()
    vault.close()
    with Vault(vault.folder, unlock(vault.folder, SECRET)) as again:
        assert len(again.clips()) == 6


def test_a_backup_without_room_leaves_no_part(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    target = tmp_path / "closed"
    target.mkdir()
    (target / "copy").write_text("the one before")
    command = (
        "import resource, sys; from pathlib import Path; from client.vault.vault import *;"
        "from tests.client.vault.support import SECRET;"
        f"folder = Path({str(vault.folder)!r});"
        "opened = Vault(folder, unlock(folder, SECRET));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        f"opened.backup(Path({str(target / 'copy')!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"client.vault.errors.VaultFull: {target / 'copy'}: the disk is full")
    assert [path.name for path in target.iterdir()] == ["copy"]
    assert (target / "copy").read_text() == "the one before"
    with pytest.raises(WorkError):
        vault.backup(tmp_path / "gone" / "copy")
