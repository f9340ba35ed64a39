"""A device with a vault, and the recogniser that reads JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.device import work
from client.device.device import Device
from client.vault.records import Consent
from client.vault.vault import Vault
from tests.client.device.fakes import YES, FakeRecogniser, clip_file, digest, new_vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with new_vault(tmp_path / "device") as vault:
        yield vault


@pytest.fixture
def device(vault: Vault) -> Device:
    return Device(vault)


@pytest.fixture
def recogniser() -> FakeRecogniser:
    return FakeRecogniser()


class Play:
    """Does with the real operations what a person would."""

    def __init__(self, vault: Vault, recogniser: FakeRecogniser, folder: Path) -> None:
        self.vault = vault
        self.recogniser = recogniser
        self.folder = folder

    def clip(
        self, person: str = "Ada", expression: str = "happy", take: int = 0, **more: Any
    ) -> Path:
        return clip_file(self.folder, person, expression, take, **more)

    def enrol(self, name: str = "Ada", consent: Consent = YES) -> str:
        """Enrol and return the id."""
        work.enrol(self.vault, self.recogniser, name, [self.clip(name, take=900)], consent)
        user = self.vault.user(name)
        assert user is not None
        return user.id

    def recognise(self, path: Path, **more: Any) -> Any:
        return work.recognise(
            self.vault, self.recogniser, path, name=path.name, digest=digest(path), **more
        )

    def corrected(
        self, expressions: list[str], person: str = "Ada", wrong: Callable[[int], bool] = bool
    ) -> list[str]:
        """Clips that the user has labelled; of those that are `wrong` the backbone says sad."""
        device, ids = Device(self.vault), []
        for take, expression in enumerate(expressions):
            own = "sad" if wrong(take) else expression
            answer = self.recognise(self.clip(person, expression, take, own=own))
            device.correct(answer.clip, expression)
            ids.append(answer.clip)
        return ids


@pytest.fixture
def play(vault: Vault, recogniser: FakeRecogniser, tmp_path: Path) -> Play:
    folder = tmp_path / "clips"
    folder.mkdir()
    return Play(vault, recogniser, folder)
