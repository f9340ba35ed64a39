"""The real worker on real clips: enrol, recognise, stream, personalise."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from client.daemon.settings import DaemonSettings
from client.daemon.socket import Remote
from client.daemon.workers import Workers
from client.recognition.answer import UNKNOWN, Answer
from client.vault.records import CONSENT_VERSION
from common.errors import UsageError, WorkError
from tests.client.daemon.fakes import (
    MadeDevice,
    alive,
    daemon_process,
    make_device,
    recognise,
    status,
    wait_for,
)
from tests.support import shared_video

CONSENT = {"version": CONSENT_VERSION, "given": "2026-01-01T00:00:00+00:00", "federate": False}


async def in_parts(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(40_000):
            yield part


async def all_jobs(workers: Workers, own: Path, strange: Path, empty: Path) -> dict[str, Any]:
    enrolment = {"do": "enrol", "user": "Ada", "consent": CONSENT, "paths": None, "names": ["c"]}
    with pytest.raises(UsageError, match="nobody is enrolled"):
        await workers.run({"do": "personalise", "user": "Ada"})
    told = {"enrolled": await workers.run(enrolment, chunks=in_parts(own))}
    heard: list[dict[str, Any]] = []
    told["own"] = await workers.run(recognise(own, "own.mp4"), on_event=heard.append)
    told["again"] = await workers.run(recognise(None, "again"), chunks=in_parts(own))
    told["guest"] = await workers.run(recognise(strange, "guest.mp4"))
    with pytest.raises((WorkError, UsageError), match="no face"):
        await workers.run(recognise(empty, "empty.mp4"))
    assert not Answer.from_json(heard[0]["answer"]).final
    assert len({workers.state["process"]}) == 1
    assert workers.state["crashes"] == 0
    return told


@pytest.mark.slow
def test_the_real_worker_killed_in_its_work_costs_one_sentence(tmp_path: Path) -> None:
    clip = shared_video("01-01-08-02-01-01-19.mp4")
    device = make_device(tmp_path)

    async def whole() -> None:
        workers = Workers(device.folder, device.data_key, settings=DaemonSettings())

        def kill(event: dict[str, Any]) -> None:
            os.kill(int(workers.state["process"]), signal.SIGKILL)

        try:
            with pytest.raises(WorkError, match=r"ended unexpectedly \(SIGKILL\)"):
                await workers.run(recognise(clip), on_event=kill)
            assert (await workers.run(recognise(clip)))["user"] == UNKNOWN
            assert workers.state["crashes"] == 1
        finally:
            await workers.close()

    asyncio.run(whole())


@pytest.mark.slow
def test_a_user_is_recognised_and_a_guest_leaves_nothing(tmp_path: Path) -> None:
    own, strange = (
        shared_video(name) for name in ("01-01-08-02-01-01-19.mp4", "WolfgangLanger_Pexels.mp4")
    )
    device: MadeDevice = make_device(tmp_path)

    async def whole() -> dict[str, Any]:
        workers = Workers(device.folder, device.data_key, settings=DaemonSettings())
        try:
            return await all_jobs(workers, own, strange, shared_video("no_face.mp4"))
        finally:
            await workers.close()

    told = asyncio.run(whole())
    assert told["enrolled"]["new"]
    answer = Answer.from_json(told["own"])
    assert (answer.user, answer.final, answer.name) == ("Ada", True, "own.mp4")
    assert told["again"]["clip"] == told["own"]["clip"], "the same content is kept once"
    assert (told["guest"]["user"], told["guest"]["clip"]) == (UNKNOWN, "")
    with device.vault() as vault:
        assert [clip.name for clip in vault.clips()] == ["own.mp4"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_a_daemon_ended_while_it_recognises_takes_the_clip_again(tmp_path: Path) -> None:
    clip = shared_video("01-01-08-02-01-01-19.mp4")
    device = make_device(tmp_path)
    enrolment = {"do": "enrol", "user": "Ada", "consent": CONSENT, "names": ["c"]}
    with daemon_process(device, ()) as daemon:
        asyncio.run(Remote(device.folder).run({**enrolment, "paths": [str(clip)]}))
        shutil.copy(clip, device.inbox / "own.mp4")
        wait_for(lambda: status(device)["worker"]["busy"])
        worker = status(device)["worker"]["process"]
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=5)  # the limit that the issue sets
        assert daemon.returncode == 0
        assert not alive(worker)
    with daemon_process(device, ()), device.vault() as vault:
        wait_for(lambda: [each.name for each in vault.clips()] == ["own.mp4"])
        wait_for(lambda: not status(device)["worker"]["busy"])
        assert vault.damaged() == ()
