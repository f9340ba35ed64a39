"""Several processes with one vault: they wait for each other, and say so when they can't."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from client.vault.errors import VaultBusy
from client.vault.vault import VAULT_FILE, Vault, unlock
from tests.client.vault.support import SECRET, a_user, filled

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from pathlib import Path
from client.vault.vault import Vault, unlock
from tests.client.vault.support import SECRET, a_clip, a_user, some_arrays
folder, name = Path(sys.argv[1]), sys.argv[2]
with Vault(folder, unlock(folder, SECRET), patience=60) as vault:
    user = a_user(name)
    vault.save_user(user)
    for number in range(15):
        with vault.transaction():
            clip = a_clip(user, int(name) * 100 + number)
            vault.add_clip(clip, some_arrays(number))
            vault.label(clip.id, number % 8)
        vault.ledger.append({"round": number, "by": name})
"""


@contextmanager
def someone_writing(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / VAULT_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        other.execute("ROLLBACK")


def impatient(vault: Vault) -> Vault:
    return Vault(vault.folder, unlock(vault.folder, SECRET), patience=0.05)


def test_two_processes_write_everything_and_fork_no_chain(vault: Vault) -> None:
    command = [sys.executable, "-c", WRITER, str(vault.folder)]
    writers = [
        subprocess.Popen([*command, str(name)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for name in (1, 2)
    ]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert {len(vault.clips(user=user.id, labelled=True)) for user in vault.users()} == {15}
    entries = list(vault.ledger.entries())
    assert [entry["round"] for entry in entries if entry["by"] == "2"] == list(range(15))
    assert len(entries) == 30
    assert vault.damaged() == ()


def test_a_vault_that_is_written_for_too_long_says_so(vault: Vault) -> None:
    ada, _ = filled(vault)
    with impatient(vault) as other, someone_writing(vault.folder):
        for work in (
            lambda: other.save_user(a_user("Cleo")),
            lambda: other.ledger.append({"round": 1}),
            lambda: other.forget(ada.id),
        ):
            with pytest.raises(VaultBusy, match="another process is using the vault; wait"):
                work()
    assert len(vault.users()) == 2


def test_reading_and_opening_wait_for_nobody(vault: Vault) -> None:
    filled(vault)
    with someone_writing(vault.folder), impatient(vault) as other:
        assert len(other.users()) == 2
        assert len(other.clips()) == 6
        assert other.damaged() == ()


def test_a_snapshot_is_one_state(vault: Vault) -> None:
    filled(vault)
    with impatient(vault) as other:
        with other.snapshot():
            before = other.users()
            vault.save_user(a_user("Cleo"))
            assert other.users() == before
        assert len(other.users()) == 3


def test_searching_the_files_keeps_the_vault_in_use(vault: Vault, tmp_path: Path) -> None:
    """A file that this process opened and closed itself would be free for others to replace."""
    filled(vault)
    vault.backup(tmp_path / "copy")
    assert vault.remains([b"nothing of the kind", vault.users()[0].id.encode()]) == 1
    program = (
        "from pathlib import Path; from client.vault.vault import restore;"
        "from tests.client.vault.support import SECRET;"
        f"restore(Path({str(tmp_path / 'copy')!r}), Path({str(vault.folder)!r}), SECRET,"
        " replace=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "VaultBusy" in done.stderr
    assert len(vault.users()) == 2
