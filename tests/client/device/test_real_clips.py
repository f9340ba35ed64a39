"""The operations with the real networks on the two real clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.device import work
from client.device.device import Device
from client.recognition.recogniser import Recogniser
from client.vault.vault import Vault
from common.errors import WorkError
from tests.client.device.fakes import YES, digest
from tests.support import shared_video


@pytest.fixture(scope="module")
def networks() -> Iterator[Recogniser]:
    with Recogniser(threads=1) as networks:
        yield networks


@pytest.mark.slow
def test_enrolled_recognised_corrected_forgotten(vault: Vault, networks: Recogniser) -> None:
    own, other = shared_video("WolfgangLanger_Pexels.mp4"), shared_video("01-01-08-02-01-01-19.mp4")

    def recognise(path: Path) -> work.Answer:
        return work.recognise(vault, networks, path, name=path.name, digest=digest(path))

    work.enrol(vault, networks, "Wolf", [own], YES)
    with pytest.raises(WorkError, match="already enrolled as Wolf"):
        work.enrol(vault, networks, "Eve", [own], YES)
    answer, guest = recognise(own), recognise(other)
    assert (answer.user, guest.user, guest.clip) == ("Wolf", "unknown", "")
    assert [clip.id for clip in vault.clips()] == [answer.clip]
    device = Device(vault)
    assert device.correct(answer.clip, "calm")["was"] == answer.expression
    user = vault.user("Wolf")
    assert user is not None
    done = work.personalise(vault, user.id)
    assert (done["learnt_from"], done["personal"]) == (1, False)
    assert device.forget("Wolf")["left"] == 0
    assert recognise(own).user == "unknown"
