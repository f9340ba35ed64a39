"""Synthetic actors as video files with RAVDESS names: `Actor_01/01-01-03-02-01-01-01.mp4`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import av
import cv2

from common.errors import UsageError, WorkError
from common.files import write_atomically
from common.ravdess import AUDIO_VIDEO, VIDEO_ONLY, ClipName
from simulations.actors.clips import Frame, take_frames
from simulations.actors.manifest import claim_folder
from simulations.actors.plan import ClipPlan

Progress = Callable[[int, int], None]
"""Called with the number of takes done and the number of all takes."""

MAXIMUM_ACTORS: Final = 24
_READABLE: Final = 0o644
_QUALITY: Final = 21
_TWIN_QUALITY: Final = 24
_BATCH: Final = 6
_DEFAULT_PLAN: Final = ClipPlan()
_Job = tuple[Path, int, ClipPlan, tuple[ClipName, ...], bool]


def write_actors(
    folder: Path,
    *,
    actors: int,
    seed: int,
    plan: ClipPlan = _DEFAULT_PLAN,
    twins: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw actors 1 to `actors` and write each take as H.264 in MP4, without sound.

    Every file is complete or absent; files that are there already are kept, so a broken run
    goes on where it stopped. `actors.json` in `folder` says what was drawn and that it is
    synthetic. Pixels before encoding are the same for any number of workers.

    Args:
        folder: made if it is missing.
        actors: 1 to 24, the numbers RAVDESS has.
        seed: of the whole world: faces, manners, takes.
        plan: which takes, how many frames of what size.
        twins: also write each take in the other video modality (01 beside 02): the same frames,
            compressed a little differently, as in RAVDESS.
        workers: processes that draw; they are spawned, so a parent that has loaded torch is safe
            (a script that asks for several needs its `__main__` guard).
        progress: called in this process after each take.

    Returns:
        The clips' paths, sorted.

    Raises:
        UsageError: the folder holds clips of other settings or other files of actors, or an
            argument is out of range.
        WorkError: PyAV has no H.264 encoder.
    """
    if not 1 <= actors <= MAXIMUM_ACTORS:
        raise UsageError(f"{actors} actors were asked for: use 1 to {MAXIMUM_ACTORS}")
    if workers < 1:
        raise UsageError(f"{workers} workers were asked for: use 1 or more")
    claim_folder(folder, actors=actors, seed=seed, plan=plan, twins=twins)
    names = [name for actor in range(1, actors + 1) for name in plan.clips(actor)]
    missing = [name for name in names if not _complete(folder, name, twins)]
    for actor in sorted({name.actor for name in missing}):
        _actor_folder(folder, actor).mkdir(exist_ok=True)
    done = len(names) - len(missing)
    for written in _run(list(_jobs(folder, seed, plan, missing, twins)), workers):
        for _ in range(written):
            done += 1
            if progress is not None:
                progress(done, len(names))
    return sorted(path for name in names for path in _paths(folder, name, twins))


def _actor_folder(folder: Path, actor: int) -> Path:
    return folder / f"Actor_{actor:02d}"


def _twin(name: ClipName) -> ClipName:
    return replace(name, modality=VIDEO_ONLY if name.modality == AUDIO_VIDEO else AUDIO_VIDEO)


def _paths(folder: Path, name: ClipName, twins: bool) -> list[Path]:
    names = [name, _twin(name)] if twins else [name]
    return [_actor_folder(folder, name.actor) / f"{each}.mp4" for each in names]


def _complete(folder: Path, name: ClipName, twins: bool) -> bool:
    return all(path.exists() for path in _paths(folder, name, twins))


def _jobs(
    folder: Path, seed: int, plan: ClipPlan, missing: list[ClipName], twins: bool
) -> Iterator[_Job]:
    for start in range(0, len(missing), _BATCH):
        yield folder, seed, plan, tuple(missing[start : start + _BATCH]), twins


def _run(jobs: list[_Job], workers: int) -> Iterator[int]:
    """Numbers of takes as they are written, job by job."""
    if workers == 1 or len(jobs) < 2:
        yield from map(_draw, jobs)
        return
    with ProcessPoolExecutor(
        min(workers, len(jobs)), get_context("spawn"), initializer=_single_thread
    ) as pool:
        futures = [pool.submit(_draw, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _single_thread() -> None:
    cv2.setNumThreads(1)


def _draw(job: _Job) -> int:
    folder, seed, plan, names, twins = job
    for name in names:
        frames = list(take_frames(seed, name.take, plan))
        for path, quality in zip(
            _paths(folder, name, twins), (_QUALITY, _TWIN_QUALITY), strict=False
        ):
            if not path.exists():
                content = encode_mp4(frames, fps=plan.fps, quality=quality)
                write_atomically(path, content, mode=_READABLE)
    return len(names)


def encode_mp4(frames: Iterable[Frame], *, fps: int, quality: int = _QUALITY) -> bytes:
    """An MP4 file of RGB frames `(height, width, 3)`, H.264 yuv420p, no sound.

    Args:
        frames: at least one; width and height even.
        fps: frames per second.
        quality: x264's constant rate factor, 0 (lossless) to 51.

    Raises:
        UsageError: there is no frame.
        WorkError: PyAV has no H.264 encoder.
    """
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = _stream(container, frame, fps, quality)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        if stream is None:
            raise UsageError("a clip without frames cannot be written: give at least one frame")
        container.mux(stream.encode())
    return target.getvalue()


def _stream(
    container: av.container.OutputContainer, frame: Frame, fps: int, quality: int
) -> av.VideoStream:
    if "libx264" not in av.codecs_available:
        raise WorkError("PyAV has no libx264 encoder: install PyAV from its binary wheel")
    # x264's macroblock tree gives other bytes from run to run, even on one thread.
    options = {"crf": str(quality), "preset": "superfast", "threads": "1", "mbtree": "0"}
    stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
    stream.height, stream.width = frame.shape[:2]
    stream.pix_fmt = "yuv420p"
    return stream
