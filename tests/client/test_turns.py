"""A device answers one request after the other, in whatever process each of them runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

import client.rounds as rounds
from client.exposure import FLEET_LIMITS, exposure
from client.store import DeviceFolder
from client.turns import LOCK_FILE, Busy, turn
from common.clips import ClipSet
from common.errors import WorkError
from common.heads.specification import HEAD_STAGE
from common.messages import Request
from common.update import HeadUpdate
from tests.client.fakes import (
    any_head,
    device,
    made_up_clips,
    message_to,
    read,
    request,
    send,
    specification,
)


@pytest.fixture
def folder(tmp_path: Path) -> DeviceFolder:
    return DeviceFolder(tmp_path)


def in_a_process(work: Callable[[int], None]) -> tuple[int, int]:
    """Fork; the child works, and says through a pipe what it has to."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        work(writing)
        os._exit(0)
    os.close(writing)
    return child, reading


def test_another_process_waits_and_a_killed_one_leaves_no_lock(folder: DeviceFolder) -> None:
    def hold(told: int) -> None:
        with turn(folder):
            os.write(told, b"x")
            signal.pause()

    child, told = in_a_process(hold)
    try:
        assert os.read(told, 1) == b"x"
        with (
            pytest.raises(Busy, match=r"for 0\.05 seconds; this one is declined"),
            turn(folder, wait=0.05),
        ):
            pytest.fail("two had the device at once")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
    with turn(folder, wait=0.0):
        assert (folder.path / LOCK_FILE).stat().st_mode & 0o777 == 0o600


def test_a_turn_within_a_turn_is_no_wait_and_ends_with_the_outer_one(folder: DeviceFolder) -> None:
    def free() -> bool:
        try:
            with turn(folder, wait=0.0):
                return True
        except Busy:
            return False

    with ThreadPoolExecutor(1) as other:
        with turn(folder):
            with turn(folder, wait=0.0):
                pass
            assert not other.submit(free).result()
        assert other.submit(free).result()


def test_a_turn_ends_with_an_error(folder: DeviceFolder) -> None:
    with pytest.raises(WorkError), turn(folder):
        raise WorkError("broken")
    with ThreadPoolExecutor(1) as other:
        other.submit(lambda: turn(folder, wait=0.0).__enter__()).result()


def test_requests_at_once_do_not_overrun_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 clips allow one round of 7 mixtures, whoever asks at the same time."""
    kept = device(tmp_path, made_up_clips(("Ada", "Ben")), specification(), exposure_share=0.25)
    together, train = Barrier(2), rounds.trained

    def slow(asked: Request, clips: ClipSet) -> HeadUpdate:
        with suppress(BrokenBarrierError):
            together.wait(0.3)
        return train(asked, clips)

    monkeypatch.setattr(rounds, "trained", slow)
    asked = [
        request(specification(), HEAD_STAGE, head=any_head(specification(), n)) for n in (1, 2)
    ]
    messages = [message_to(each) for each in asked]
    with ThreadPoolExecutor(2) as both:
        replies = [read(each) for each in both.map(lambda m: send(tmp_path, m), messages)]
    assert not any(reply.has_error() for reply in replies)
    assert sorted(len(reply.content) for reply in replies) == [0, 2]
    assert exposure(kept.ledger.entries(), 32, FLEET_LIMITS).open_combinations == 7
