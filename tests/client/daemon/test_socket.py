"""The daemon's socket: who may ask, what is understood, and that junk harms nobody."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.daemon import peer, server
from client.daemon import socket as daemon_socket
from client.daemon.protocol import JOB_BYTES, PIECE_BYTES, line_of, message_of
from client.daemon.server import SocketServer
from client.daemon.socket import (
    LONGEST_PATH,
    Remote,
    ask,
    data_key,
    found_socket,
    socket_path,
)
from common.errors import UsageError, WorkError
from common.files import write_atomically
from tests.client.daemon.fakes import parts, recognise

KEY = bytes(range(32))


class FakeWorkers:
    """Reads clips, fails at "broken", and remembers what it was given."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []

    async def run(
        self, job: Any, *, chunks: AsyncIterator[bytes] | None, on_event: Any
    ) -> dict[str, Any]:
        self.jobs.append(job)
        size = 0
        if job["name"] == "broken":
            raise UsageError("this clip is broken")
        if job["name"] == "defect":
            raise ZeroDivisionError
        if chunks is not None:
            async for data in chunks:
                size += len(data)
                await on_event({"event": "answer", "answer": {"bytes": size}})
        return {"bytes": size}


async def answer(question: str) -> dict[str, Any]:
    import base64

    return {"process": 7} if question == "status" else {"data_key": base64.b64encode(KEY).decode()}


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path is surely short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="mien-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_server(
    act: Callable[[Path, FakeWorkers], Coroutine[Any, Any, Any]], folder: Path | None = None
) -> Any:
    async def whole(place: Path) -> Any:
        workers = FakeWorkers()
        served = SocketServer(socket_path(place), workers, answer)
        await served.start()
        told = line_of({"process": os.getpid(), "socket": str(served.path)})
        write_atomically(place / "daemon.json", told)
        try:
            return await act(place, workers)
        finally:
            await served.close()
            assert not served.path.exists()

    if folder is not None:
        return asyncio.run(whole(folder))
    with short_folder() as place:
        return asyncio.run(whole(place))


def said_to(folder: Path, sent: bytes) -> list[dict[str, Any]]:
    """All events that the daemon sends back."""
    path = found_socket(folder)
    assert path is not None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        with suppress(ConnectionError):
            connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            return [message_of(line) for line in answers]


def test_only_the_owner_can_open_socket_and_folder() -> None:
    async def act(folder: Path, _: FakeWorkers) -> None:
        path = found_socket(folder)
        assert path == folder.resolve() / "daemon.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "daemon.json").stat().st_mode) == 0o600

    with_server(act)


def test_another_users_process_is_refused_on_either_side(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(folder: Path, workers: FakeWorkers) -> None:
        monkeypatch.setattr(peer, "peer_uid", lambda _: os.getuid() + 1)
        told = await asyncio.to_thread(said_to, folder, line_of({"do": "data-key"}))
        assert [each["text"] for each in told] == ["this device is another user's"]
        with pytest.raises(WorkError, match="another user's process listens"):
            ask(folder, "data-key")
        assert workers.jobs == []

    with_server(act)


def test_the_kernel_says_who_is_there() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer.peer_uid(left) == os.getuid()
        assert peer.is_own(right)


def test_questions_are_answered() -> None:
    async def act(folder: Path, _: FakeWorkers) -> None:
        assert await asyncio.to_thread(data_key, folder) == KEY
        assert await asyncio.to_thread(ask, folder, "status") == {"process": 7}
        assert await asyncio.to_thread(lambda: Remote(folder).running)

    with_server(act)


def test_no_daemon_is_no_error() -> None:
    with short_folder() as folder:
        assert ask(folder, "status") is None
        assert data_key(folder) is None
        with pytest.raises(WorkError, match="no daemon runs"):
            asyncio.run(Remote(folder).run(recognise(Path("/a.mp4"))))
        for content in (
            b"{}",
            b"junk",
            b'{"socket": 7}',
            b'{"socket": "/no/such.sock"}',
            b"[" * 9999,
        ):
            (folder / "daemon.json").write_bytes(content)
            assert ask(folder, "status") is None


def test_jobs_go_through_with_their_clips_and_partial_answers() -> None:
    async def act(folder: Path, workers: FakeWorkers) -> None:
        heard: list[int] = []
        result = await Remote(folder).run(
            recognise(None),
            chunks=parts(b"x" * 10, b"y" * (2 * PIECE_BYTES)),
            on_event=lambda event: heard.append(event["answer"]["bytes"]),
        )
        assert result == {"bytes": 2 * PIECE_BYTES + 10}
        assert heard[0] == 10
        assert workers.jobs == [recognise(None)]
        assert await Remote(folder).run(recognise(Path("/a.mp4"))) == {"bytes": 0}

    with_server(act)


@pytest.mark.parametrize("name", ["broken", "defect"])
def test_a_failure_is_told_while_the_clip_is_still_coming(name: str) -> None:
    async def act(folder: Path, _: FakeWorkers) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)

        for _ in range(3):
            with pytest.raises((UsageError, WorkError), match=r"broken|ZeroDivisionError"):
                await Remote(folder).run(recognise(None, name), chunks=endless())

    with_server(act)


def test_one_connection_serves_job_after_job() -> None:
    async def act(folder: Path, _: FakeWorkers) -> None:
        clip = line_of({"bytes": 3}) + b"abc" + line_of({"bytes": 0})
        sent = line_of(recognise(None, "broken")) + clip + line_of(recognise(None)) + clip
        told = await asyncio.to_thread(said_to, folder, sent + line_of({"do": "status"}))
        assert [each["event"] for each in told] == [
            *("began", "error"),
            *("began", "answer", "done"),
            "done",
        ]

    with_server(act)


def test_a_clip_that_breaks_off_is_a_failure() -> None:
    async def act(folder: Path, _: FakeWorkers) -> None:
        for rest in (b"", line_of({"bytes": 10}) + b"four", b"junk\n"):
            told = await asyncio.to_thread(said_to, folder, line_of(recognise(None)) + rest)
            assert [each["event"] for each in told] == ["began", "error"]

    with_server(act)


def test_junk_is_answered_by_one_sentence_and_the_daemon_goes_on() -> None:
    async def act(folder: Path, workers: FakeWorkers) -> None:
        @settings(deadline=None, max_examples=60)
        @given(st.binary(min_size=1, max_size=300) | st.text(min_size=1).map(str.encode))
        def fuzz(junk: bytes) -> None:
            told = said_to(folder, junk.replace(b"{", b"[") + b"\n")
            assert [each["event"] for each in told] == ["error"]
            assert len(told[0]["text"]) < 300

        await asyncio.to_thread(fuzz)
        long = await asyncio.to_thread(said_to, folder, b"x" * (3 * JOB_BYTES))
        assert "longer than" in long[0]["text"]
        assert await asyncio.to_thread(said_to, folder, b'{"do": "status"') == []
        assert await asyncio.to_thread(ask, folder, "status") == {"process": 7}
        assert workers.jobs == []

    with_server(act)


def test_more_connections_than_can_be_served_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)

    async def act(folder: Path, _: FakeWorkers) -> None:
        path = found_socket(folder)
        assert path is not None
        held = [await asyncio.open_unix_connection(path) for _ in range(2)]
        told = await asyncio.to_thread(said_to, folder, line_of({"do": "status"}))
        assert told[0]["text"] == "the device is busy; try again later"
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(20):
            while await asyncio.to_thread(said_to, folder, line_of({"do": "status"})) == told:
                await asyncio.sleep(0.02)

    with_server(act)


def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "QUIET_SECONDS", 0.1)

    async def act(folder: Path, _: FakeWorkers) -> None:
        path = found_socket(folder)
        assert path is not None
        reader, writer = await asyncio.open_unix_connection(path)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()

    with_server(act)


def test_a_stale_socket_is_replaced_and_anything_else_is_not() -> None:
    async def nothing(_: Path, __: FakeWorkers) -> None:
        return

    with short_folder() as folder:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(folder / "daemon.sock"))
        assert (folder / "daemon.sock").is_socket()
        with_server(nothing, folder)
        (folder / "daemon.sock").write_text("a person's file")
        with pytest.raises(UsageError, match="something else is there"):
            with_server(nothing, folder)
        assert (folder / "daemon.sock").read_text() == "a person's file"


def test_a_folder_with_a_long_path_has_its_socket_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with short_folder() as root:
        runtime, folder = root / "run", root / ("long" * 20) / ("folder" * 10)
        runtime.mkdir()
        folder.mkdir(parents=True)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        path = socket_path(folder)
        assert len(os.fsencode(path)) <= LONGEST_PATH
        assert path.parent == runtime / f"mien-{os.getuid()}"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert socket_path(folder) == path != socket_path(folder.parent / ("other" * 12))

        async def act(place: Path, _: FakeWorkers) -> None:
            monkeypatch.setenv("XDG_RUNTIME_DIR", "/elsewhere")  # daemon.json says where it is
            assert await asyncio.to_thread(ask, place, "status") == {"process": 7}

        with_server(act, folder)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        path.parent.chmod(0o755)
        with pytest.raises(UsageError, match="only you can open"):
            socket_path(folder)


def test_without_a_runtime_folder_it_is_in_the_temporary_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with short_folder() as root:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setattr(daemon_socket.tempfile, "gettempdir", lambda: str(root))
        folder = root / ("long" * 30)
        assert socket_path(folder).parent == root / f"mien-{os.getuid()}"


def test_a_clip_that_is_taken_back_is_not_worked_on() -> None:
    """Who closes the connection after the clip, before its result, wants nothing kept."""
    ended: list[str] = []

    class Slow(FakeWorkers):
        async def run(self, job: Any, *, chunks: Any, on_event: Any) -> dict[str, Any]:
            async for _ in chunks:
                pass
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                ended.append(job["name"])
                raise
            return {}

    async def act(folder: Path) -> None:
        running = SocketServer(socket_path(folder), Slow(), answer)
        await running.start()
        try:
            _, writer = await asyncio.open_unix_connection(str(socket_path(folder)))
            writer.write(line_of(recognise(None, "mine")))
            writer.write(line_of({"bytes": 3}) + b"abc" + line_of({"bytes": 0}))
            await writer.drain()
            await asyncio.sleep(0.5)
            assert ended == []
            writer.close()
            for _ in range(100):
                if ended:
                    break
                await asyncio.sleep(0.05)
        finally:
            await running.close()

    with short_folder() as folder:
        asyncio.run(act(folder))
    assert ended == ["mine"]
