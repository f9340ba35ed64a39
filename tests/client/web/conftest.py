"""A device with two people, and a visitor of its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.device.device import Device
from tests.client.web.fakes import SPEC, FakeJobs, Visitor, clip, new_vault, person


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Ada takes part and has three clips; Bo has one."""
    with new_vault(tmp_path / "device") as vault:
        vault.set_setting("features", SPEC)
        ada, bo = person(vault, "Ada", federate=True), person(vault, "Bo")
        for number, confidence in enumerate((0.9, 0.3, 0.6)):
            clip(vault, ada, number, confidence=confidence)
        clip(vault, bo, 0, expression="sad")
        yield Device(vault)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Device]:
    """A device that nobody has used yet."""
    with new_vault(tmp_path / "empty") as vault:
        yield Device(vault)


@pytest.fixture
def jobs() -> FakeJobs:
    """Workers without models."""
    return FakeJobs()


@pytest.fixture
def visitor(device: Device, jobs: FakeJobs) -> Iterator[Visitor]:
    """A visitor who came with the token."""
    with Visitor(device, jobs) as one:
        yield one
