"""The worker's life: started on demand, ended after a while, replaced after a crash."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from client.daemon import exchange
from client.daemon.protocol import PIECE_BYTES
from client.daemon.workers import Workers
from common.errors import UsageError, WorkError
from tests.client.daemon.fake_worker import BROKEN, CRASH, DEFECT, HANG, SLOW
from tests.client.daemon.fakes import MadeDevice, alive, make_device, parts, recognise

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")


@pytest.fixture
def device(tmp_path: Path) -> MadeDevice:
    return make_device(tmp_path)


def clip(device: MadeDevice, content: bytes, name: str = "clip.mp4") -> Path:
    path = device.inbox / name
    path.write_bytes(content)
    return path


def with_workers(
    device: MadeDevice, act: Callable[[Workers], Coroutine[Any, Any, Any]], **settings: Any
) -> Any:
    async def whole() -> Any:
        workers = device.workers(**settings)
        try:
            return await act(workers)
        finally:
            await workers.close()

    return asyncio.run(whole())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def process_of(workers: Workers) -> int:
    pid = workers.state["process"]
    assert isinstance(pid, int)
    return pid


def test_one_worker_does_all_jobs_and_starts_with_the_first(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        assert workers.state["process"] is None
        results = [await workers.run(recognise(clip(device, b"x" * n))) for n in (1, 2)]
        assert [each["bytes"] for each in results] == [1, 2]
        assert results[0]["process"] == results[1]["process"] == process_of(workers)

    with_workers(device, act)


def test_a_clip_streams_in_and_answers_come_before_its_end(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        heard: list[int] = []
        first_heard = asyncio.Event()

        def on_event(event: dict[str, Any]) -> None:
            heard.append(event["answer"]["bytes"])
            first_heard.set()

        async def recording() -> AsyncIterator[bytes]:
            yield b"a" * 10
            await first_heard.wait()  # hangs for ever if answers only come at the end
            yield b"b" * (PIECE_BYTES + 5)
            yield b""

        result = await workers.run(recognise(None), chunks=recording(), on_event=on_event)
        assert result["bytes"] == PIECE_BYTES + 15
        assert heard[0] == 10
        assert heard[-1] == PIECE_BYTES + 15

    with_workers(device, act)


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [(BROKEN, UsageError, "this clip is broken"), (DEFECT, WorkError, "ZeroDivisionError")],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failed_job_costs_one_sentence_and_the_worker_goes_on(
    device: MadeDevice, content: bytes, kind: type[Exception], said: str, streamed: bool
) -> None:
    async def act(workers: Workers) -> None:
        path = None if streamed else clip(device, content)
        chunks = parts(content, b"more" * 100_000, b"and more") if streamed else None
        with pytest.raises(kind, match=said):
            await workers.run(recognise(path), chunks=chunks)
        first = process_of(workers)
        again = await workers.run(recognise(clip(device, b"good")))
        assert (again["bytes"], again["process"]) == (4, first)

    with_workers(device, act)


def test_a_recording_that_fails_to_come_is_told_and_the_worker_goes_on(
    device: MadeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PIECE_SECONDS", 0.2)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.sleep(1000)

    async def torn() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("the page was closed")

    async def act(workers: Workers) -> None:
        with pytest.raises(WorkError, match="stopped arriving"):
            await workers.run(recognise(None), chunks=stalled())
        with pytest.raises(WorkError, match="broke off"):
            await workers.run(recognise(None), chunks=torn())
        assert (await workers.run(recognise(None), chunks=parts(b"good")))["bytes"] == 4
        assert workers.state["crashes"] == 0

    with_workers(device, act)


def test_a_recording_that_is_too_long_is_cut(
    device: MadeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "CLIP_BYTES", 1000)

    async def act(workers: Workers) -> None:
        with pytest.raises(WorkError, match="longer than"):
            await workers.run(recognise(None), chunks=parts(b"x" * 600, b"x" * 600))

    with_workers(device, act)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_crash_costs_its_job_one_sentence_and_the_next_job_works(
    device: MadeDevice, streamed: bool
) -> None:
    async def act(workers: Workers) -> None:
        path = None if streamed else clip(device, CRASH)
        chunks = parts(CRASH, b"x" * 3_000_000) if streamed else None
        with pytest.raises(WorkError, match=r"ended unexpectedly \(SIGKILL\)") as told:
            await workers.run(recognise(path), chunks=chunks)
        assert "\n" not in str(told.value)
        assert (await workers.run(recognise(clip(device, b"good"))))["bytes"] == 4
        assert workers.state["crashes"] == 1

    with_workers(device, act)


def test_a_worker_killed_while_it_waits_is_replaced_unnoticed(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        first = await workers.run(recognise(clip(device, b"good")))
        os.kill(first["process"], signal.SIGKILL)
        second = await workers.run(recognise(None), chunks=parts(b"a", b"b"))
        assert second["bytes"] == 2
        assert second["process"] != first["process"]

    with_workers(device, act)


def test_a_worker_that_can_not_start_says_why_each_time(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        for _ in range(2):
            with pytest.raises(WorkError, match="can't be loaded"):
                await workers.run(recognise(clip(device, b"good")))

    with_workers(device, act, backbone="refused")

    async def broken() -> None:
        command = ["python-that-is-not-there"]
        workers = Workers(device.folder, device.data_key, command=command)
        with pytest.raises(WorkError, match="can't be started"):
            await workers.run(recognise(clip(device, b"good")))
        import sys

        silent = Workers(
            device.folder, device.data_key, command=[sys.executable, "-c", "import no_such_module"]
        )
        with pytest.raises(WorkError, match="no_such_module"):
            await silent.run(recognise(clip(device, b"good")))
        await silent.close()

    asyncio.run(broken())


@needs_proc
def test_the_worker_ends_after_it_was_idle_and_comes_back(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        first = await workers.run(recognise(clip(device, b"good")))
        await until(lambda: workers.state["process"] is None)
        assert not alive(first["process"])
        second = await workers.run(recognise(clip(device, b"good")))
        assert second["process"] != first["process"]
        assert workers.state["crashes"] == 0

    with_workers(device, act, idle=0.2)


@needs_proc
def test_a_job_that_is_given_up_leaves_nothing_behind(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        job = asyncio.create_task(workers.run(recognise(clip(device, HANG))))
        await until(lambda: workers.state["process"] is not None and workers.state["busy"])
        pid = process_of(workers)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert not alive(pid)
        assert (await workers.run(recognise(clip(device, b"good"))))["bytes"] == 4

    with_workers(device, act)


@needs_proc
def test_closing_lets_a_short_job_finish_and_kills_a_long_one(device: MadeDevice) -> None:
    async def closed_during(content: bytes, patience: float) -> tuple[Any, list[Any], int]:
        workers = device.workers()
        await workers.run(recognise(clip(device, b"good")))
        pid = process_of(workers)
        now = asyncio.create_task(workers.run(recognise(clip(device, content))))
        queued = asyncio.create_task(workers.run(recognise(clip(device, content))))
        await asyncio.sleep(0.1)
        await workers.close(patience)
        told = await asyncio.gather(now, queued, return_exceptions=True)
        return told[0], told[1:], pid

    result, queued, pid = asyncio.run(closed_during(SLOW, 20.0))
    assert result["bytes"] == len(SLOW)
    assert isinstance(queued[0], WorkError)
    result, queued, pid = asyncio.run(closed_during(HANG, 0.2))
    assert isinstance(result, WorkError)
    assert "being ended" in str(result)
    assert not alive(pid)


@needs_proc
def test_the_data_key_is_in_no_argument_and_no_environment(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        await workers.run(recognise(clip(device, b"good")))
        place = Path(f"/proc/{process_of(workers)}")
        told = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        key = device.data_key
        for form in (key, base64.b64encode(key), key.hex().encode(), str(key).encode()):
            assert form not in told

    with_workers(device, act)


def test_jobs_that_are_none_are_refused_before_a_worker_starts(device: MadeDevice) -> None:
    async def act(workers: Workers) -> None:
        for job in (
            {"do": "dance"},
            {"do": "status"},
            {"do": "open", "folder": "/", "data_key": ""},
        ):
            with pytest.raises(UsageError):
                await workers.run(job)
        assert workers.state["process"] is None

    with_workers(device, act)
