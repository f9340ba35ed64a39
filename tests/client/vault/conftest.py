from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.vault.vault import Vault
from tests.client.vault.support import new_vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with new_vault(tmp_path / "device") as opened:
        yield opened
