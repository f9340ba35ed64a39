"""How quick a device answers, and what its daemon costs while nothing happens.

Everything runs as it does on a device: clips go through `client.daemon.workers` to a worker in a
process of its own, the daemon is `mien device run`. Streaming imitates a browser's recorder: VP8 in
WebM, a piece every 100 ms, handed over when a camera would have filmed it.
"""

from __future__ import annotations

import asyncio
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av

from client.daemon.settings import DaemonSettings
from client.daemon.socket import ask
from client.daemon.workers import Workers
from client.device.place import write_device
from client.vault.keys import KeyFile, make_key_file
from client.vault.records import CONSENT_VERSION
from client.vault.vault import create_vault, unlock
from common.errors import WorkError
from common.video.decode import frames
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from simulations.watching import Watcher

SECONDS: Final = 4.0
PIECE_SECONDS: Final = 0.1
FRAMES_PER_SECOND: Final = 30
START_SECONDS: Final = 30.0
LIMITS: Final = {
    "recognise_ms": 1500.0,
    "first_answer_ms": 400.0,
    "idle_cpu_percent": 0.5,
    "idle_rss_mb": 150.0,
}
_DAEMON: Final = "import sys; from cli.device import app; app(['run', '--device', sys.argv[1]])"


def measure_device(
    clip: Path | None, *, repeats: int, idle_seconds: float, watch: Watcher
) -> dict[str, Any]:
    """Measure one device that is made for it.

    Args:
        clip: video with one face, of which the first 4 s are taken; None draws one.
        repeats: recognitions of each kind, at least 1.
        idle_seconds: for which the daemon is watched while it has nothing to do.
        watch: told of progress.

    Returns:
        Medians with `[least, most]` beside them: `recognise_ms` (a file of 4 s, models loaded, to
        the final answer), `first_answer_ms` (frames streamed in real time, from handing over the
        piece with the first frames), `last_answer_ms` (from handing over the last piece);
        `start_s` (from nothing to the first answer), `idle_cpu_percent` of one core,
        `idle_rss_mb`, `idle_pss_mb` of the daemon; `limits`, and what was measured.

    Raises:
        WorkError: the device does not answer, or this system has no /proc.
    """
    if not Path("/proc/self").exists():
        raise WorkError("the daemon's cost is read from /proc, which this system does not have")
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as scratch:
        root = Path(scratch)
        folder, key = _make_device(root)
        pieces = recording(clip or _drawn_clip(root))
        path = root / "clip.webm"
        path.write_bytes(b"".join(data for _, data in pieces))
        figures = asyncio.run(_answers(folder, key, path, pieces, repeats, watch))
        figures |= idle_cost(folder, idle_seconds, watch)
    about = {
        "clip": "synthetic" if clip is None else clip.name,
        "clip_seconds": round(pieces[-1][0], 2),
        "repeats": repeats,
        "cores": os.cpu_count(),
        "limits": LIMITS,
    }
    return figures | about


def _make_device(root: Path) -> tuple[Path, bytes]:
    folder, inbox, file = root / "device", root / "inbox", root / "key"
    inbox.mkdir()
    make_key_file(file)
    create_vault(folder, KeyFile(file)).close()
    key = {"source": "file", "path": str(file)}
    write_device(folder, {"key": key, "inboxes": [str(inbox)]})
    return folder, unlock(folder, KeyFile(file))


def _drawn_clip(root: Path) -> Path:
    plan = ClipPlan(
        statements=(1,),
        repetitions=(1,),
        intensities=(1,),
        frames=int(SECONDS * FRAMES_PER_SECOND),
        fps=FRAMES_PER_SECOND,
    )
    return sorted(write_actors(root / "drawn", actors=1, seed=0, plan=plan))[0]


def recording(clip: Path) -> list[tuple[float, bytes]]:
    """The first 4 s of a clip as a browser would have recorded them.

    Returns:
        Seconds from the recording's start at which each piece is there, and the piece.
    """
    written = _Written()
    pieces: list[tuple[float, bytes]] = []
    due = PIECE_SECONDS
    with av.open(cast(Any, written), "w", format="webm", options=_LIVE) as container:
        stream: Any = None
        for number, frame in enumerate(_first_seconds(clip)):
            if stream is None:
                stream = _video_stream(container, frame)
            seconds = number / FRAMES_PER_SECOND
            if seconds >= due:
                pieces.append((seconds, written.taken()))
                due = seconds + PIECE_SECONDS
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pieces.append((seconds + 1 / FRAMES_PER_SECOND, written.taken()))
    return [piece for piece in pieces if piece[1]]


_LIVE: Final = {"live": "1", "cluster_time_limit": str(int(1000 * PIECE_SECONDS))}


class _Written(io.RawIOBase):
    """Takes what the container writes; can't go back, as a stream can't."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def taken(self) -> bytes:
        taken = bytes(self._data)
        self._data.clear()
        return taken


def _first_seconds(clip: Path) -> Iterator[av.VideoFrame]:
    """Frames at 30 per second, whatever the clip's own rate."""
    for number, picture in enumerate(frames(clip, max_frames=int(SECONDS * FRAMES_PER_SECOND))):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number * 1000 // FRAMES_PER_SECOND, Fraction(1, 1000)
        yield frame


def _video_stream(container: Any, frame: av.VideoFrame) -> Any:
    stream = container.add_stream("libvpx", rate=FRAMES_PER_SECOND)
    stream.width, stream.height = frame.width // 2 * 2, frame.height // 2 * 2
    stream.pix_fmt, stream.bit_rate = "yuv420p", 2_500_000
    stream.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    stream.codec_context.time_base = Fraction(1, 1000)
    return stream


async def _answers(
    folder: Path,
    key: bytes,
    path: Path,
    pieces: Sequence[tuple[float, bytes]],
    repeats: int,
    watch: Watcher,
) -> dict[str, Any]:
    workers = Workers(folder, key, settings=DaemonSettings())
    try:
        began = time.monotonic()
        await workers.run(_enrolment(path))
        await workers.run(_job(path))
        start = time.monotonic() - began
        whole: list[float] = []
        first: list[float] = []
        last: list[float] = []
        for number in range(repeats):
            watch("recognising", number, repeats)
            whole.append(await _file_seconds(workers, path))
            seconds = await _stream_seconds(workers, pieces)
            first.append(seconds[0])
            last.append(seconds[1])
        watch("recognising", repeats, repeats)
    finally:
        await workers.close()
    return {
        **_told("recognise_ms", whole),
        **_told("first_answer_ms", first),
        **_told("last_answer_ms", last),
        "start_s": round(start, 1),
    }


def _enrolment(path: Path) -> dict[str, Any]:
    given = "2026-01-01T00:00:00+00:00"
    consent = {"version": CONSENT_VERSION, "given": given, "federate": False}
    return {
        "do": "enrol",
        "user": "bench",
        "consent": consent,
        "paths": [str(path)],
        "names": ["clip"],
    }


def _job(path: Path | None) -> dict[str, Any]:
    named = None if path is None else str(path)
    return {"do": "recognise", "path": named, "name": "clip", "keep": False}


async def _file_seconds(workers: Workers, path: Path) -> float:
    began = time.monotonic()
    await workers.run(_job(path))
    return time.monotonic() - began


async def _stream_seconds(
    workers: Workers, pieces: Sequence[tuple[float, bytes]]
) -> tuple[float, float]:
    """From the first piece to the first answer, and from the last piece to the last answer."""
    given: list[float] = []
    heard: list[float] = []

    async def camera() -> AsyncIterator[bytes]:
        began = time.monotonic()
        for seconds, data in pieces:
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            given.append(time.monotonic())
            yield data

    def listen(event: dict[str, Any]) -> None:
        heard.append(time.monotonic())

    await workers.run(_job(None), chunks=camera(), on_event=listen)
    return heard[0] - given[0], time.monotonic() - given[-1]


def _told(name: str, seconds: Sequence[float]) -> dict[str, Any]:
    values = [1000 * each for each in seconds]
    return {
        name: round(statistics.median(values), 1),
        f"{name}_spread": [round(min(values), 1), round(max(values), 1)],
    }


def idle_cost(folder: Path, seconds: float, watch: Watcher) -> dict[str, float]:
    """What `mien device run` costs while nothing happens: CPU share, RSS and PSS in MB (1e6)."""
    with _daemon(folder) as process:
        time.sleep(min(5.0, seconds))  # what starting costs is not counted
        before, began = _cpu_seconds(process), time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            watch("resting", int(passed), int(seconds))
            time.sleep(min(1.0, seconds - passed))
        used = _cpu_seconds(process) - before
        return {
            "idle_cpu_percent": round(100 * used / (time.monotonic() - began), 3),
            "idle_rss_mb": round(_megabytes(process, "status", "VmRSS"), 1),
            "idle_pss_mb": round(_megabytes(process, "smaps_rollup", "Pss"), 1),
            "idle_seconds": round(seconds, 1),
        }


@contextmanager
def _daemon(folder: Path) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _DAEMON, str(folder)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while ask(folder, "status") is None:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise WorkError("the daemon did not start; try `mien device run` by itself")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def _cpu_seconds(pid: int) -> float:
    """User and system time so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int, file: str, name: str) -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise WorkError(f"/proc/{pid}/{file} does not tell {name}")
