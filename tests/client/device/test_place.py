"""The device's folder and its device.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.device.place import check_device, device_folder, read_device, write_device
from common.errors import UsageError, WorkError

GOOD = {"key": {"source": "passphrase"}}


def test_a_chosen_folder_comes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_DEVICE", "/elsewhere")
    assert device_folder(Path("/here")) == Path("/here")
    assert device_folder() == Path("/elsewhere")


def test_a_relative_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_DEVICE", "here")
    with pytest.raises(UsageError, match="MIEN_DEVICE is 'here', expected a whole path"):
        device_folder()


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, ".local/share/mien/device"),
        ("linux", "XDG_DATA_HOME", "set/mien/device"),
        ("darwin", None, "Library/Application Support/mien/device"),
        ("win32", None, "AppData/Local/mien/device"),
        ("win32", "LOCALAPPDATA", "set/mien/device"),
    ],
)
def test_the_platform_has_its_own_place(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    platform: str,
    variable: str | None,
    expected: str,
) -> None:
    for name in ("MIEN_DEVICE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("sys.platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "set"))
    assert device_folder() == tmp_path / expected


def test_settings_come_back_and_only_the_owner_may_look(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "device"
    write_device(folder, {**GOOD, "inboxes": ["/in"]})
    assert read_device(folder) == {**GOOD, "inboxes": ["/in"]}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "device.json").stat().st_mode & 0o777 == 0o600


def test_a_folder_without_a_device_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="there is no device here; make one with `mien device init`"
    ):
        check_device(tmp_path)


def test_an_open_folder_is_refused(tmp_path: Path) -> None:
    write_device(tmp_path / "d", GOOD)
    (tmp_path / "d").chmod(0o755)
    with pytest.raises(UsageError, match=r"other users of this computer .*`chmod 700"):
        read_device(tmp_path / "d")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"key": "passphrase"}',
        b'{"key": {"source": "argument"}}',
        b'{"key": {"source": "file"}}',
        b'{"key": {"source": "file", "path": 3}}',
        b"[" * 100_000,
    ],
)
def test_a_broken_device_json_is_named(tmp_path: Path, content: bytes) -> None:
    write_device(tmp_path / "d", GOOD)
    (tmp_path / "d" / "device.json").write_bytes(content)
    with pytest.raises(WorkError, match=r"device\.json: the device's settings"):
        read_device(tmp_path / "d")
