"""Ways to the data key: daemon, passphrase file, key file, keyring, terminal; and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.errors
import pytest

from client.daemon import socket as daemon_socket
from client.device.place import write_device
from client.device.unlock import data_key, open_vault, read_passphrase, remember, remembered
from client.vault.errors import VaultLocked, VaultMissing, VaultWrongKey
from client.vault.keys import KeyFile, Passphrase, make_key_file
from client.vault.vault import create_vault
from common.errors import UsageError
from tests.client.device.fakes import CHEAP, PASSPHRASE


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring of this process."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = broken

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def _check(self) -> None:
        if self.broken:
            raise keyring.errors.NoKeyringError


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "set_password", ring.set_password)
    monkeypatch.setattr(keyring, "get_password", ring.get_password)
    return ring


def made(folder: Path, key: dict[str, Any], secret: Passphrase | KeyFile = PASSPHRASE) -> Path:
    write_device(folder, {"key": key})
    create_vault(folder, secret, cost=CHEAP).close()
    return folder


def refuse(prompt: str) -> str:
    raise AssertionError("nobody should have been asked")


def test_a_running_daemon_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "d", {"source": "passphrase"})
    monkeypatch.setattr(
        daemon_socket, "data_key", lambda asked: b"k" * 32 if asked == folder else None
    )
    assert data_key(folder, ask=refuse) == b"k" * 32


def test_a_key_file_opens_without_a_question(tmp_path: Path) -> None:
    key = tmp_path / "key"
    make_key_file(key)
    folder = made(tmp_path / "d", {"source": "file", "path": str(key)}, KeyFile(key))
    with open_vault(folder, ask=refuse) as vault:
        assert vault.users() == ()


def test_a_passphrase_file_opens(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", {"source": "passphrase"})
    (tmp_path / "p").write_text(PASSPHRASE.text + "\n")
    with open_vault(folder, passphrase_file=tmp_path / "p", ask=refuse) as vault:
        assert vault.users() == ()


def test_the_terminal_is_asked_last(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", {"source": "passphrase"})
    with open_vault(folder, ask=lambda prompt: PASSPHRASE.text) as vault:
        assert vault.users() == ()
    with pytest.raises(VaultWrongKey):
        open_vault(folder, ask=lambda prompt: "wrong")
    with pytest.raises(VaultLocked, match="no passphrase was given"):
        open_vault(folder, ask=lambda prompt: "")


def test_without_a_terminal_the_vault_stays_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "d", {"source": "passphrase"})
    monkeypatch.setenv("MIEN_PASSPHRASE", PASSPHRASE.text)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(VaultLocked, match=r"no terminal to ask .* --passphrase-file"):
        data_key(folder)


def test_a_device_without_a_vault_says_so(tmp_path: Path) -> None:
    write_device(tmp_path / "d", {"key": {"source": "passphrase"}})
    with pytest.raises(VaultMissing):
        open_vault(tmp_path / "d", ask=lambda prompt: "x")


def test_the_keyring_remembers(tmp_path: Path, ring: MemoryKeyring) -> None:
    folder = made(tmp_path / "d", {"source": "keyring"})
    assert remembered(folder) is None
    assert remember(folder, PASSPHRASE)
    assert [service for service, _ in ring.kept] == ["mien"]
    assert not any(str(tmp_path) in account for _, account in ring.kept)
    with open_vault(folder, ask=refuse) as vault:
        assert vault.users() == ()


def test_without_a_keyring_the_terminal_is_asked(tmp_path: Path, ring: MemoryKeyring) -> None:
    ring.broken = True
    folder = made(tmp_path / "d", {"source": "keyring"})
    assert not remember(folder, PASSPHRASE)
    with open_vault(folder, ask=lambda prompt: PASSPHRASE.text) as vault:
        assert vault.users() == ()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected the passphrase in the first line"),
        (b"\nsecond", "expected the passphrase in the first line"),
        (b"x" * 5000, "at most 4096 bytes"),
        (b"\xff\xfe", "found bytes"),
    ],
)
def test_a_file_without_a_passphrase_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        read_passphrase(tmp_path / "p")


def test_a_missing_passphrase_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: the passphrase can't be read"):
        read_passphrase(tmp_path / "nowhere")


def test_errors_do_not_show_the_passphrase(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("sesame\n")
    assert "sesame" not in repr(read_passphrase(tmp_path / "p"))
