"""A user's avatar in the vault: kept encrypted, gone with the user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.avatar.own import fit_own_avatar
from client.avatar.setting import SETTING, has_avatar
from client.avatar.store import (
    DrawnChoice,
    GeneratorChoice,
    avatar_of,
    drop_avatar,
    save_avatar,
    source_of,
)
from client.device.device import Device
from client.vault.records import User
from client.vault.vault import Vault
from common.errors import UsageError, WorkError
from tests.client.avatar.fakes import SPEC, checker, coloured_sheet
from tests.client.avatar.networks import digest, plain_onnx
from tests.client.web.fakes import new_vault, person


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with new_vault(tmp_path / "device") as one:
        yield one


@pytest.fixture
def ada(vault: Vault) -> User:
    return person(vault, "Ada")


def test_nobody_has_an_avatar_until_one_is_set(vault: Vault, ada: User) -> None:
    assert not has_avatar(vault, ada.id)
    assert avatar_of(vault, ada.id) is None
    assert not drop_avatar(vault, ada)


def test_a_drawn_avatar_and_its_head_come_back(vault: Vault, ada: User) -> None:
    sheet = coloured_sheet()
    own = fit_own_avatar(checker(), sheet)
    save_avatar(vault, ada, DrawnChoice(sheet=sheet, own=own))
    found = avatar_of(vault, ada.id)
    assert isinstance(found, DrawnChoice)
    assert source_of(found).digest == sheet.digest
    reader = found.reader(SPEC)
    assert reader is not None
    np.testing.assert_array_equal(reader.weight, own.weight)
    assert found.reader("another/1") is None


def test_it_lies_in_no_file_unencrypted(vault: Vault, ada: User) -> None:
    sheet = coloured_sheet(name="a-name-to-look-for")
    save_avatar(vault, ada, DrawnChoice(sheet=sheet))
    for path in vault.folder.iterdir():
        assert b"a-name-to-look-for" not in path.read_bytes()


def test_it_goes_with_the_user(vault: Vault, ada: User) -> None:
    bo = person(vault, "Bo")
    for user in (ada, bo):
        save_avatar(vault, user, DrawnChoice(sheet=coloured_sheet()))
    Device(vault).forget("Ada")
    assert not has_avatar(vault, ada.id)
    assert has_avatar(vault, bo.id)
    assert drop_avatar(vault, bo)
    assert avatar_of(vault, bo.id) is None


def test_a_generator_that_changed_is_not_run(vault: Vault, ada: User, tmp_path: Path) -> None:
    path = plain_onnx(tmp_path)
    save_avatar(vault, ada, GeneratorChoice(path=path, sha256=digest(path)))
    found = avatar_of(vault, ada.id)
    assert found is not None
    assert "Toy" in source_of(found).name
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="its SHA-256 is"):
        source_of(found)
    save_avatar(vault, ada, GeneratorChoice(path=path, sha256="0" * 64))
    plain_onnx(tmp_path)
    other = avatar_of(vault, ada.id)
    assert other is not None
    with pytest.raises(WorkError, match="not the generator that was chosen"):
        source_of(other)


@pytest.mark.parametrize("told", [{}, {"kind": "other"}, {"kind": "drawn", "png": "?"}, 3])
def test_what_is_no_avatar_is_said_in_one_sentence(vault: Vault, ada: User, told: object) -> None:
    vault.set_setting(SETTING, told, user=ada.id)
    with pytest.raises(WorkError, match="the avatar in the vault is not whole"):
        avatar_of(vault, ada.id)
