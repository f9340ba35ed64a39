"""`mien device rekey`: every key changes, and nobody is locked out, whatever happens in between."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from cli.device_setup import ChosenSecret, change_lock
from client.vault.errors import VaultBusy
from client.vault.keys import KeyFile, Passphrase, make_key_file
from client.vault.vault import Vault, unlock
from tests.cli.command import Command

pytestmark = pytest.mark.usefixtures("cheap_passphrases")


def test_rekey_changes_every_key(mien: Command, made: Path, tmp_path: Path) -> None:
    before = unlock(made, KeyFile(tmp_path / "key"))
    (tmp_path / "words").write_text("new words")
    assert mien("device", "rekey", "--new-passphrase-file", str(tmp_path / "words")).code == 0
    assert json.loads((made / "device.json").read_text())["key"] == {"source": "passphrase"}
    assert unlock(made, Passphrase("new words")) != before
    locked = mien("device", "check")
    assert (locked.code, "locked" in locked.err) == (1, True)
    words = ("--passphrase-file", str(tmp_path / "words"))
    assert mien("device", "rekey", *words, "--key-file", str(tmp_path / "key2")).code == 0
    assert mien("device", "check").out == "Everything in the vault can be read.\n"
    taken = mien("device", "rekey", "--key-file", str(tmp_path / "key"))
    assert (taken.code, "never overwritten" in taken.err) == (2, True)
    assert mien("device", "check").code == 0


def test_a_rekey_while_others_read_is_done_and_opens(
    mien: Command, made: Path, tmp_path: Path
) -> None:
    """Old pages stay as long as the other reads, and that is said; but nobody is locked out."""
    reader = sqlite3.connect(made / "vault.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM users").fetchall()
    (tmp_path / "words").write_text("new words")
    words = tmp_path / "words"
    with Vault(made, unlock(made, KeyFile(tmp_path / "key")), patience=0.1) as vault:
        chosen = ChosenSecret({"source": "passphrase"}, passphrase=Passphrase("new words"))
        with pytest.raises(VaultBusy, match="it is done"):
            change_lock(vault, chosen)
    reader.close()
    assert json.loads((made / "device.json").read_text())["key"] == {"source": "passphrase"}
    assert mien("device", "check", "--passphrase-file", str(words)).code == 0


@pytest.mark.parametrize("written", [True, False])
def test_killed_in_a_rekey_the_old_or_the_new_secret_opens(
    mien: Command, made: Path, tmp_path: Path, written: bool
) -> None:
    """Killed before or after the vault's transaction: device.json still names the right one."""
    make_key_file(tmp_path / "key2")
    settings = json.loads((made / "device.json").read_text())
    after = {"source": "file", "path": str(tmp_path / "key2")}
    if written:
        with Vault(made, unlock(made, KeyFile(tmp_path / "key"))) as vault:
            vault.rekey(KeyFile(tmp_path / "key2"))
    (made / "device.json").write_text(json.dumps({**settings, "next_key": after}))
    assert mien("device", "check").code == 0
    assert mien("device", "status").code == 0
