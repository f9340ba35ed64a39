"""`mien device`: set up, run, looked after; every command's own sentence for what is wrong."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.daemon.socket import ask, data_key
from client.device.texts import FIRST_START
from client.vault.device_store import VaultStore
from client.vault.keys import KeyFile, Passphrase
from client.vault.vault import Vault, unlock
from common.heads.file import save_head
from tests.cli.command import ROOT, Command
from tests.client.daemon.fakes import wait_for
from tests.client.fakes import any_head, specification

PROGRAM = """
import signal
from cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main.run()
"""
"""Ctrl-C counts even where the tests run in the background of a script, which ignores it."""


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`mien device run` in a process of its own, once it answers."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "device", "run", "--device", str(folder), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for(lambda: process.poll() is not None or ask(folder, "status"))
            yield process
        finally:
            process.kill()


def test_init_explains_itself_and_makes_a_private_device(
    mien: Command, place: Path, tmp_path: Path
) -> None:
    done = mien(
        "device", "init", "--key-file", str(tmp_path / "key"), "--inbox", str(tmp_path / "in")
    )
    assert done.code == 0, done.err
    assert "can't be called back" in done.out
    assert done.out.startswith(FIRST_START.splitlines()[0])
    assert len(done.out.splitlines()) > 20, "the text keeps its lines"
    assert json.loads((place / "device.json").read_text()) == {
        "key": {"source": "file", "path": str(tmp_path / "key")},
        "inboxes": [str(tmp_path / "in")],
    }
    assert (tmp_path / "in").is_dir()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [path for path in place.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert unlock(place, KeyFile(tmp_path / "key"))


def test_init_with_a_passphrase_file(mien: Command, place: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("correct horse\nsecond line\n")
    done = mien("device", "init", "--passphrase-file", str(tmp_path / "words"))
    assert done.code == 0, done.err
    assert unlock(place, Passphrase("correct horse"))
    assert "horse" not in (place / "device.json").read_text()


@pytest.mark.usefixtures("cheap_passphrases")
def test_init_with_the_systems_keyring(
    mien: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring

    kept: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(keyring, "set_password", lambda s, a, p: kept.__setitem__((s, a), p))
    monkeypatch.setattr(keyring, "get_password", lambda s, a: kept.get((s, a)))
    assert mien("device", "init", "--keyring").code == 0
    (passphrase,) = kept.values()
    first = unlock(place, Passphrase(passphrase))
    assert mien("device", "rekey", "--keyring").code == 0
    assert unlock(place, Passphrase(passphrase)) != first
    assert mien("device", "check").code == 0


def test_without_a_keyring_init_says_so(
    mien: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring
    import keyring.errors

    def none(*_: str) -> None:
        raise keyring.errors.NoKeyringError

    monkeypatch.setattr(keyring, "set_password", none)
    monkeypatch.setattr(keyring, "get_password", none)
    done = mien("device", "init", "--keyring")
    assert (done.code, "no keyring on this system" in done.err) == (1, True)
    assert not (place / "vault.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key-file", "k", "--keyring"], "choose one"),
        (["--key-file", "{place}/key"], "would have the key too"),
        (["--key-file", "{tmp}"], "exists"),
        (["--passphrase-file", "{tmp}/none"], "can't be read"),
        ([], "no terminal"),
        (["--key-file", "k", "--backbone", "nothing"], "nothing"),
        (["--key-file", "k", "--identity", "nothing"], "nothing"),
        (["--key-file", "k", "--fleet", "here"], "expected HOST:PORT"),
        (["--key-file", "k", "--fleet", "here:1"], "fleet.root_certificates"),
        (["--key-file", "k", "--private-key", "p"], "name one"),
    ],
)
def test_init_refuses_by_one_sentence_and_makes_nothing(
    mien: Command, place: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = mien("device", "init", *(a.format(place=place, tmp=tmp_path) for a in arguments))
    assert (done.code, said in done.err, len(done.err.splitlines())) == (2, True, 1), done.err
    assert not (place / "device.json").exists()
    assert not Path("k").exists()


def test_a_device_is_not_made_twice(mien: Command, made: Path, tmp_path: Path) -> None:
    done = mien("device", "init", "--key-file", str(tmp_path / "other"))
    assert (done.code, "there is a device here already" in done.err) == (2, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["stop"],
        ["status"],
        ["check"],
        ["pause"],
        ["resume"],
        ["rekey", "--key-file", "k"],
        ["backup", "b"],
        ["install", "--print"],
    ],
)
def test_without_a_device_each_command_says_what_to_do(
    mien: Command, place: Path, command: list[str]
) -> None:
    done = mien("device", *command)
    assert (done.code, "mien device init" in done.err) == (2, True), done.err
    assert not place.exists()


@pytest.mark.usefixtures("cheap_passphrases")
def test_status_of_a_resting_and_of_a_locked_device(
    mien: Command, made: Path, place: Path, tmp_path: Path
) -> None:
    assert "Daemon: not running" in mien("device", "status").out
    told = json.loads(mien("device", "status", "--json").out)
    assert (told["daemon"], told["vault"]["users"]) == (None, 0)
    (tmp_path / "words").write_text("secret")
    words = ("--passphrase-file", str(tmp_path / "words"))
    locked = ("--device", str(tmp_path / "locked"))
    assert mien("device", "init", *locked, *words).code == 0
    assert "Vault: locked" in mien("device", "status", *locked).out
    assert "Vault: 0 user(s)" in mien("device", "status", *locked, *words).out


def test_pause_and_resume(mien: Command, made: Path, tmp_path: Path) -> None:
    key = unlock(made, KeyFile(tmp_path / "key"))
    for command, paused in (("pause", True), ("resume", False)):
        assert mien("device", command).code == 0
        with Vault(made, key) as vault:
            assert bool(vault.setting("paused")) is paused


def test_a_device_can_not_be_made_where_a_file_is(mien: Command, tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("")
    key = ("--key-file", str(tmp_path / "another"))
    for where in (
        ("--device", str(tmp_path / "afile/x")),
        ("--device", str(tmp_path / "new"), "--inbox", str(tmp_path / "afile")),
    ):
        refused = mien("device", "init", *where, *key)
        assert (refused.code, "no folder can be made" in refused.err) == (2, True), refused.err
    assert not (tmp_path / "new").exists()


def test_backup_and_restore(mien: Command, made: Path, tmp_path: Path) -> None:
    backup, key = str(tmp_path / "backup"), str(tmp_path / "key")
    assert mien("device", "pause").code == 0
    assert mien("device", "backup", backup).code == 0
    assert mien("device", "resume").code == 0
    refused = mien("device", "restore", backup)
    assert (refused.code, "has a vault already" in refused.err) == (2, True), refused.err
    assert mien("device", "restore", backup, "--replace").code == 0
    assert json.loads(mien("device", "status", "--json").out)["vault"]["paused"]
    other = ("--device", str(tmp_path / "other"))
    unnamed = mien("device", "restore", backup, *other)
    assert (unnamed.code, "--key-file" in unnamed.err) == (2, True)
    assert mien("device", "restore", backup, *other, "--key-file", key).code == 0
    assert mien("device", "check", *other).code == 0


def test_check_names_damage_and_fails(mien: Command, made: Path, tmp_path: Path) -> None:

    assert mien("device", "pause").code == 0
    with sqlite3.connect(made / "vault.db") as file:
        file.execute("UPDATE settings SET value = x'00'")
    file.close()
    done = mien("device", "check")
    assert (done.code, "settings" in done.out) == (1, True), done
    assert json.loads(mien("device", "check", "--json").out)["damaged"][0]["table"] == "settings"


def test_install_prints_a_service_and_changes_nothing(mien: Command, made: Path) -> None:
    before = sorted(made.iterdir())
    unit = mien("device", "install", "--print", "--kind", "systemd").out
    assert f"device run --device {made}" in unit
    assert f"ReadWritePaths={made}" in unit
    assert "User=" not in mien("device", "install", "--print", "--kind", "systemd-user").out
    assert "<plist" in mien("device", "install", "--print", "--kind", "launchd").out
    assert mien("device", "install", "--print", "--kind", "runit").code == 2
    assert mien("device", "install").code == 2
    assert sorted(made.iterdir()) == before


def test_a_head_from_a_file(mien: Command, made: Path, tmp_path: Path) -> None:
    file, head = tmp_path / "head.safetensors", any_head(specification())
    save_head(file, head, {"source": "a test"})
    done = mien("device", "head", str(file))
    assert (done.code, done.out) == (0, f"{file}: is now this device's universal head.\n"), done.err
    with Vault(made, unlock(made, KeyFile(tmp_path / "key"))) as vault:
        stored = vault.universal()
        assert stored is not None
        assert stored.about["source"] == "a test"
        assert VaultStore(vault).settings().specification == specification()
        for name, array in head.arrays.items():
            np.testing.assert_array_equal(stored.arrays[name], array)
        vault.set_setting("features", "another backbone's")
    assert "it rests until the device" in mien("device", "head", str(file)).out


def test_a_file_that_is_no_head_is_refused(mien: Command, made: Path, tmp_path: Path) -> None:
    (tmp_path / "head").write_bytes(b"no head")
    done = mien("device", "head", str(tmp_path / "head"))
    assert (done.code, len(done.err.splitlines())) == (1, 1), done.err


def test_web_opens_the_page_of_this_device(
    mien: Command, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import client.web

    served: list[object] = []
    monkeypatch.setattr(client.web, "serve", lambda *told, **more: served.append((told, more)))
    assert mien("device", "web", "--no-browser", "--port", "0").code == 0
    key = unlock(made, KeyFile(tmp_path / "key"))
    assert served == [((made, key), {"port": 0, "open_browser": False})]


def test_the_daemon_runs_answers_keeps_others_out_and_ends(
    mien: Command, made: Path, tmp_path: Path
) -> None:
    with running(made) as process:
        assert data_key(made) == unlock(made, KeyFile(tmp_path / "key"))
        assert f"Daemon: process {process.pid}" in mien("device", "status").out
        for command in (["run"], ["rekey", "--key-file", "k"], ["restore", "b"]):
            done = mien("device", *command)
            assert (done.code, f"process {process.pid}" in done.err) == (2, True), done.err
        assert not Path("k").exists()
        assert mien("device", "stop").code == 0
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert "no daemon runs" in mien("device", "stop").err


@pytest.mark.usefixtures("cheap_passphrases")
def test_a_locked_device_is_unlocked_by_its_daemon(
    mien: Command, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "words").write_text("secret")
    words = ("--passphrase-file", str(tmp_path / "words"))
    assert mien("device", "init", *words).code == 0
    assert mien("device", "check").code == 1
    with running(place, *words) as process:
        assert mien("device", "check").code == 0
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, "Traceback" in errors) == (0, False), errors


@pytest.mark.parametrize("found", ["[]", "{", '{"key": {"source": "magic"}}', '{"a": 1}'])
def test_broken_settings_are_one_sentence(mien: Command, made: Path, found: str) -> None:
    (made / "device.json").write_text(found)
    done = mien("device", "run")
    assert (done.code, "device.json" in done.err, len(done.err.splitlines())) == (1, True, 1)


words = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
).filter(lambda text: not text.startswith("-"))


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["init", "status", "restore", "backup", "check", "install"]), words, words)
def test_any_words_are_a_sentence_and_an_exit_code(
    mien: Command, tmp_path: Path, command: str, first: str, second: str
) -> None:
    """In a folder without a device: nothing but sentences can come of it."""
    with contextlib.chdir(tmp_path):
        done = mien("device", command, first, second, "--device", str(tmp_path / "none"))
    assert done.code in (1, 2)
    assert "Traceback" not in done.err
    assert "mien: unexpected" not in done.err
