"""Clip features of a whole RAVDESS tree, cached on disk, extracted by worker processes.

Features are extracted with one thread per process, also with a single worker, so that they are the
same bytes whatever the number of workers.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.backbones.registry import (
    DEFAULT_BACKBONE,
    Backbone,
    backbone_record,
    feature_spec,
    load,
)
from common.errors import MienError, UsageError, WorkError
from common.ravdess import ClipName
from common.video.decode import ClipError
from common.video.extract import ClipFeatures, extract
from common.video.faces import Detector, MtcnnDetector
from simulations.data.cache import FeatureCache, feature_key
from simulations.data.ravdess_tree import FoundClip, LeftOut, RavdessTree
from simulations.data.workers import run_in_processes

DEFAULT_CACHE: Final = Path(".cache/features")
WORKER_DIED: Final = "worker_died"
FAILED: Final = "failed"
_DIED: Final = "the process that decoded it died (out of memory, or a fault inside a library)"
_DEATHS_TO_GIVE_UP: Final = 3


class Tools(NamedTuple):
    """What extraction needs; made once per process."""

    backbone: Backbone
    detector: Detector


@dataclass(frozen=True, eq=False)
class ClipTable:
    """Features of a tree's usable clips.

    Attributes:
        clips: names, sorted.
        features: per clip (its frames with a face, dimension) float32.
        left_out: clips that are not used, by name and reason.
        spec: what made the features, see `feature_spec`.
        extracted: clips extracted now; the others came from the cache.
    """

    clips: tuple[ClipName, ...]
    features: tuple[npt.NDArray[np.float32], ...]
    left_out: tuple[LeftOut, ...]
    spec: str
    extracted: int


def open_tools(backbone: str) -> Tools:
    """The backbone of that id and MTCNN (imports torch).

    Raises:
        UsageError: there is no such backbone.
        WorkError: its weights are missing or wrong.
    """
    return Tools(load(backbone), MtcnnDetector())


def extract_clips(
    tree: RavdessTree,
    *,
    backbone: str = DEFAULT_BACKBONE,
    cache: Path = DEFAULT_CACHE,
    workers: int = 1,
    every: int = 1,
    max_frames: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    make_tools: Callable[[str], Tools] = open_tools,
) -> ClipTable:
    """Clip features of all clips of a tree, see `find_clips`.

    A clip that fails is left out with its name and reason, and the run goes on.  Only successes
    are cached; a damaged cache file is made anew.

    Args:
        tree: the clips that were found.
        backbone: id of the backbone.
        cache: folder of the cache, made where missing.
        workers: processes, at least 1; with 1 the work is done in this process.
        every: take every k-th frame, k at least 1.
        max_frames: look at no more than so many frames of a clip.
        progress: called after each clip with (clips done, clips in all).
        make_tools: makes detector and backbone from the id; importable where workers > 1.

    Raises:
        UsageError: an argument is out of range.
        WorkError: no clip could be used, or worker processes cannot run.
    """
    if workers < 1:
        raise UsageError(f"workers is {workers}; give at least 1")
    spec = feature_spec(backbone_record(backbone))
    job = _Job(make_tools, backbone, every, max_frames)
    run = _Run(tree, FeatureCache(cache), spec, job, progress)
    for task, outcome in _outcomes(job, run.misses(), workers):
        run.finish(task, outcome)
    return run.table()


class _Task(NamedTuple):
    clip: FoundClip
    key: str | None


class _Fault(NamedTuple):
    reason: str
    detail: str


@dataclass(frozen=True)
class _Job:
    make_tools: Callable[[str], Tools]
    backbone: str
    every: int
    max_frames: int | None


@dataclass
class _Run:
    """What is known of each clip so far."""

    tree: RavdessTree
    cache: FeatureCache
    spec: str
    job: _Job
    progress: Callable[[int, int], None] | None
    usable: dict[ClipName, ClipFeatures] = field(default_factory=dict)
    faults: dict[ClipName, _Fault] = field(default_factory=dict)
    extracted: int = 0

    def misses(self) -> Iterator[_Task]:
        """Clips that are not in the cache; the others are taken from there on the way."""
        for clip in self.tree.clips:
            key = self._key(clip.path)
            cached = self.cache.get(key) if key else None
            if cached is None:
                yield _Task(clip, key)
            else:
                self.usable[clip.name] = cached
                self._report()

    def finish(self, task: _Task, outcome: ClipFeatures | _Fault | None) -> None:
        if isinstance(outcome, ClipFeatures):
            self._store(task, outcome)
        else:
            self.faults[task.clip.name] = outcome or _Fault(WORKER_DIED, _DIED)
            self._give_up_if_all_die()
        self._report()

    def table(self) -> ClipTable:
        if not self.usable:
            raise WorkError(self._nothing_usable())
        used = [clip.name for clip in self.tree.clips if clip.name in self.usable]
        return ClipTable(
            tuple(used),
            tuple(self.usable[name].features for name in used),
            self.tree.left_out + self._left_out(),
            self.spec,
            self.extracted,
        )

    def _key(self, path: Path) -> str | None:
        """None where the file cannot be read: extraction then finds out why."""
        if not path.is_file():
            return None
        try:
            return feature_key(
                path, self.spec, every=self.job.every, max_frames=self.job.max_frames
            )
        except OSError:
            return None

    def _store(self, task: _Task, clip: ClipFeatures) -> None:
        self.usable[task.clip.name] = clip
        self.extracted += 1
        if task.key:
            self.cache.put(task.key, clip)

    def _report(self) -> None:
        if self.progress:
            self.progress(len(self.usable) + len(self.faults), len(self.tree.clips))

    def _left_out(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(clip.path.relative_to(self.tree.root).as_posix(), *self.faults[clip.name])
            for clip in self.tree.clips
            if clip.name in self.faults
        )

    def _give_up_if_all_die(self) -> None:
        deaths = sum(fault.reason == WORKER_DIED for fault in self.faults.values())
        if deaths == len(self.faults) >= _DEATHS_TO_GIVE_UP and not self.usable:
            raise WorkError(
                f"the worker processes die on every clip of {self.tree.root}; run with one "
                "worker to see why, or free memory"
            )

    def _nothing_usable(self) -> str:
        faults = list(self.faults.values())
        (reason, count), *_ = Counter(fault.reason for fault in faults).most_common(1)
        detail = next(fault.detail for fault in faults if fault.reason == reason)
        return (
            f"none of the {len(faults)} clips in {self.tree.root} can be used; "
            f"most frequent reason ({count} times), {reason}: {detail}"
        )


def _outcomes(
    job: _Job, tasks: Iterator[_Task], workers: int
) -> Iterator[tuple[_Task, ClipFeatures | _Fault | None]]:
    if workers > 1:
        return run_in_processes(partial(_work, job), tasks, workers=workers)
    return _here(job, tasks)


def _here(
    job: _Job, tasks: Iterator[_Task]
) -> Iterator[tuple[_Task, ClipFeatures | _Fault | None]]:
    try:
        for task in tasks:
            yield task, _work(job, task)
    finally:
        _tools.cache_clear()


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


@lru_cache(maxsize=1)
def _tools(make_tools: Callable[[str], Tools], backbone: str) -> Tools:
    return make_tools(backbone)


def _work(job: _Job, task: _Task) -> ClipFeatures | _Fault:
    """Extract one clip; a fault of the clip is an outcome, a fault of the tools is an error."""
    tools = _tools(job.make_tools, job.backbone)
    with _one_thread():
        return _extract(job, task.clip.path, tools)


def _extract(job: _Job, path: Path, tools: Tools) -> ClipFeatures | _Fault:
    try:
        return extract(path, *tools, every=job.every, max_frames=job.max_frames)
    except ClipError as error:
        return _Fault(error.reason.value, error.reason.sentence)
    except MienError:
        raise
    except Exception as error:  # noqa: BLE001 - one odd clip must not end a run of thousands
        return _Fault(FAILED, f"{type(error).__name__}: {error}")
