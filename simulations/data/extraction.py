"""Features of all clips of a data set, cached on disk, made by worker processes.

Features are made with one thread per process, also with a single worker, so that they are the
same bytes whatever the number of workers.  Each clip's features go to the cache from the process
that made them, at once: whatever kills a run, no clip is done twice.
"""

from __future__ import annotations

import errno
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from common.errors import MienError, UsageError, WorkError
from common.video.decode import ClipError, Reason
from common.video.extract import MOST_FRAMES
from simulations.data.cache import FeatureCache, StoredClip, feature_key
from simulations.data.data_set import DataClip, DataSet
from simulations.data.origins import Scratch
from simulations.data.provenance import provenance
from simulations.data.unusable import LeftOut, Unusable
from simulations.data.workers import Lost, run_in_processes

WORKER_DIED: Final = "worker_died"
TIMED_OUT: Final = "timed_out"
FAILED: Final = "failed"
_DIED: Final = "the process that decoded it died (out of memory, or a fault inside a library)"
_DEATHS_TO_GIVE_UP: Final = 3

Reader = Callable[[Path], StoredClip]
Progress = Callable[[int, int], None]


class Extractor(Protocol):
    """Makes features of files; goes to worker processes, so it is importable and hashable."""

    def __hash__(self) -> int: ...

    @property
    def spec(self) -> str:
        """What makes the features, see `feature_spec`."""
        ...

    @property
    def made_with(self) -> Mapping[str, str]:
        """What decides the features' bytes beside `spec` and the libraries, by name."""
        ...

    @property
    def every(self) -> int:
        """It takes every k-th frame."""
        ...

    @property
    def max_frames(self) -> int | None:
        """It looks at no more than so many frames of a clip."""
        ...

    def open(self) -> Reader:
        """Load what is needed; once per process.

        The function that is returned raises `ClipError` or `Unusable` for an unusable clip.
        """
        ...


class Done(NamedTuple):
    """A clip whose features are in the cache: where, and what is known of them.

    `thinned` says that it was too long for all of its frames, `fresh` that it was made just now.
    """

    key: str
    decoded: int
    with_face: int
    several_faces: int
    thinned: bool
    fresh: bool


class Fault(NamedTuple):
    """Why a clip has no features, and whether that was found out just now."""

    reason: str
    detail: str
    fresh: bool = True


Outcome = Done | Fault


@dataclass(frozen=True)
class Extraction:
    """What became of a data set's clips.

    Attributes:
        data: the clips that were found.
        spec: what made the features.
        software: what decides them beside the specification: engine, weights, versions.
        done: usable clips, in their order.
        left_out: clips that are not used, with those left out before.
        extracted: clips whose features were made now; the others came from the cache.
        looked_at: clips that were read now, usable or not.
    """

    data: DataSet
    spec: str
    software: dict[str, str]
    done: tuple[tuple[DataClip, Done], ...]
    left_out: tuple[LeftOut, ...]
    extracted: int
    looked_at: int
    _cache: FeatureCache

    def features(self, done: Done) -> StoredClip:
        """Read a clip's features.

        Raises:
            WorkError: they are no longer in the cache.
        """
        stored = self._cache.get(done.key)
        if stored is None:
            path = self._cache.path(done.key)
            raise WorkError(f"{path} was removed or changed meanwhile; run the same command again")
        return stored


def extract_all(
    data: DataSet,
    extractor: Extractor,
    *,
    cache: Path,
    workers: int = 1,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Extraction:
    """Have the features of all clips in the cache.

    A clip that fails is left out with its name and reason, and the run goes on.  Successes are
    cached, and that a clip shows no face; a damaged cache file is made anew.

    Args:
        data: the clips.
        extractor: makes the features.
        cache: folder of the cache, made where missing.
        workers: processes, at least 1; with 1 and no time limit it is done in this process.
        time_limit: seconds a clip may take before it is given up.
        progress: called after each clip with (clips done, clips in all).

    Raises:
        UsageError: an argument is out of range.
        WorkError: no clip could be used, the cache cannot be written, or worker processes
            cannot run.
    """
    if workers < 1:
        raise UsageError(f"workers is {workers}; give at least 1")
    scratch = Scratch(cache / "unpacked")
    software = provenance() | dict(extractor.made_with)
    job = _Job(extractor, FeatureCache(cache), scratch, tuple(sorted(software.items())))
    run = _Run(data, progress)
    try:
        scratch.sweep()
    except OSError as error:
        raise _not_written(job, error) from error
    for clip, outcome in _outcomes(job, data.clips, workers, time_limit):
        run.finish(clip, _as_fault(outcome, time_limit))
    return run.extraction(job)


@dataclass(frozen=True)
class _Job:
    extractor: Extractor
    cache: FeatureCache
    scratch: Scratch
    software: tuple[tuple[str, str], ...]

    def key(self, path: Path) -> str | None:
        """None where the file cannot be read: extraction then finds out why."""
        one = self.extractor
        try:
            if not path.is_file():
                return None
            return feature_key(
                path,
                one.spec,
                every=one.every,
                max_frames=one.max_frames,
                software=dict(self.software),
            )
        except OSError:
            return None


@dataclass
class _Run:
    """What is known of each clip so far."""

    data: DataSet
    progress: Progress | None
    done: dict[str, Done] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)

    def finish(self, clip: DataClip, outcome: Outcome) -> None:
        if isinstance(outcome, Done):
            self.done[clip.name] = outcome
        else:
            self.faults[clip.name] = outcome
            self._give_up_if_all_die()
        if self.progress:
            self.progress(len(self.done) + len(self.faults), len(self.data.clips))

    def extraction(self, job: _Job) -> Extraction:
        if not self.done:
            raise WorkError(self._nothing_usable())
        usable = ((clip, self.done[clip.name]) for clip in self._among(self.done))
        fresh = sum(done.fresh for done in self.done.values())
        return Extraction(
            self.data,
            job.extractor.spec,
            dict(job.software),
            tuple(usable),
            self.data.left_out + self._left_out(),
            fresh,
            fresh + sum(fault.fresh for fault in self.faults.values()),
            job.cache,
        )

    def _among(self, names: Iterable[str]) -> list[DataClip]:
        return [clip for clip in self.data.clips if clip.name in names]

    def _left_out(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(clip.origin.below(self.data.root), *self.faults[clip.name][:2])
            for clip in self._among(self.faults)
        )

    def _give_up_if_all_die(self) -> None:
        deaths = sum(fault.reason == WORKER_DIED for fault in self.faults.values())
        if deaths == len(self.faults) >= _DEATHS_TO_GIVE_UP and not self.done:
            raise WorkError(
                f"the worker processes die on every clip of {self.data.root}; free memory or "
                "reinstall Mien, then run the same command again"
            )

    def _nothing_usable(self) -> str:
        faults = list(self.faults.values())
        (reason, count), *_ = Counter(fault.reason for fault in faults).most_common(1)
        detail = next(fault.detail for fault in faults if fault.reason == reason)
        return (
            f"none of the {len(faults)} clips in {self.data.root} can be used; "
            f"most frequent reason ({count} times), {reason}: {detail}"
        )


def _as_fault(outcome: Outcome | Lost, time_limit: float | None) -> Outcome:
    if outcome is Lost.DIED:
        return Fault(WORKER_DIED, _DIED)
    if outcome is Lost.TIMED_OUT:
        detail = f"it took longer than {time_limit:g} s and was given up; allow more time"
        return Fault(TIMED_OUT, detail)
    return outcome


def _outcomes(
    job: _Job, clips: Iterable[DataClip], workers: int, time_limit: float | None
) -> Iterator[tuple[DataClip, Outcome | Lost]]:
    if workers > 1 or time_limit is not None:
        work = partial(_work, job)
        return run_in_processes(work, clips, workers=workers, time_limit=time_limit)
    return _here(job, clips)


def _here(job: _Job, clips: Iterable[DataClip]) -> Iterator[tuple[DataClip, Outcome]]:
    try:
        for clip in clips:
            yield clip, _work(job, clip)
    finally:
        _open.cache_clear()
        job.scratch.close()


@lru_cache(maxsize=1)
def _open(extractor: Extractor) -> Reader:
    return extractor.open()


def _work(job: _Job, clip: DataClip) -> Outcome:
    """Have one clip in the cache; a fault of the clip is an outcome, others are errors."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(job.scratch.file_of(clip.origin))
        except Unusable as fault:
            return Fault(fault.reason, fault.detail)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _not_written(job, error) from error
            detail = f"its archive cannot be read ({error.strerror}); check it and its disk"
            return Fault(Reason.UNREADABLE.value, detail)
        key = job.key(path)
        return (_cached(job, key) if key else None) or _made(job, path, key)


def _done(job: _Job, key: str, stored: StoredClip, *, fresh: bool) -> Done:
    clip = stored.clip
    thinned = _is_thinned(stored, job.extractor.every)
    return Done(key, clip.decoded, clip.with_face, clip.several_faces, thinned, fresh)


def _is_thinned(stored: StoredClip, every: int) -> bool:
    """Whether all rows are of every second frame asked for: only many rows make that sure."""
    return len(stored.numbers) >= MOST_FRAMES // 4 and not (stored.numbers % (2 * every)).any()


def _not_written(job: _Job, error: OSError) -> WorkError:
    return WorkError(f"{job.cache.folder}: the cache cannot be written ({error.strerror})")


def _cached(job: _Job, key: str) -> Outcome | None:
    stored = job.cache.get(key)
    if stored is not None:
        return _done(job, key, stored, fresh=False)
    if job.cache.has_no_face(key):
        return Fault(Reason.NO_FACE.value, Reason.NO_FACE.sentence, fresh=False)
    return None


def _made(job: _Job, path: Path, key: str | None) -> Outcome:
    reader = _open(job.extractor)
    with _one_thread():
        made = _read(reader, path)
    # Where there is no key the file could not be read; if it could be decoded, it came meanwhile.
    key = key or job.key(path)
    if key is None:
        unreadable = Fault(Reason.UNREADABLE.value, Reason.UNREADABLE.sentence)
        return made if isinstance(made, Fault) else unreadable
    try:
        return _kept(job, key, made)
    except OSError as error:
        raise _not_written(job, error) from error


def _kept(job: _Job, key: str, made: StoredClip | Fault) -> Outcome:
    if isinstance(made, StoredClip):
        job.cache.put(key, made)
        return _done(job, key, made, fresh=True)
    if made.reason == Reason.NO_FACE.value:
        job.cache.put_no_face(key)
    return made


def _read(reader: Reader, path: Path) -> StoredClip | Fault:
    try:
        return reader(path)
    except ClipError as error:
        return Fault(error.reason.value, error.reason.sentence)
    except Unusable as fault:
        return Fault(fault.reason, fault.detail)
    except MienError:
        raise
    except Exception as error:  # noqa: BLE001 - one odd clip must not end a run of thousands
        return Fault(FAILED, f"{type(error).__name__}: {error}")


@contextmanager
def _one_thread() -> Iterator[None]:
    torch = sys.modules.get("torch")  # there if the tools need it
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
