"""Small matrices: threads would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread, as the command line has it."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stepped methods with fewer steps for attention heads; what is tested needs no more."""
    monkeypatch.setattr("client.personalisation.fine_tune.ATTENTION_EPOCHS", 6)
