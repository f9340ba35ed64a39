"""Which frames a walk through a clip takes, and what it holds meanwhile; clips are made up."""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.backbones.engines.base import Pending
from common.errors import UsageError
from common.video import Image
from common.video import extract as module
from common.video.decode import ClipError, Reason
from common.video.extract import FrameGrid, Row, Walk, extract
from common.video.faces import Face
from common.video.tracking import EveryFrame, FaceFinder, Tracker
from tests.common.video.fakes import BoxDetector, MeanBackbone, moved, upright_face
from tests.common.video.made_up import FACE, PATH, MadeUpClip, MadeUpPicture, finder, level


def walk(
    clip: MadeUpClip,
    grid: FrameGrid,
    *,
    backbone: MeanBackbone | None = None,
    faces: FaceFinder | None = None,
    max_frames: int | None = None,
    **options: int,
) -> list[Row]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pictures", clip.pictures)
        going = Walk(PATH, backbone or MeanBackbone(), faces or finder(), **options)  # type: ignore[arg-type]
        return going.through(grid, max_frames=max_frames)


def frames_of(rows: Sequence[Row]) -> list[int]:
    """The rows' frames, once their features are found to be those of these frames."""
    for row in rows:
        assert row.feature.tolist() == [level(row.frame)] * 128
        assert row.feature.base is None
    return [row.frame for row in rows]


def prefetching() -> bool:
    return any(thread.name == "mien-prefetch" for thread in threading.enumerate())


@given(
    count=st.integers(0, 40),
    step=st.integers(1, 6),
    offset=st.integers(0, 5),
    max_frames=st.none() | st.integers(1, 12),
    batch=st.integers(1, 9),
)
@settings(deadline=None, max_examples=60)
def test_grid_and_most_frames_say_what_is_taken(
    count: int, step: int, offset: int, max_frames: int | None, batch: int
) -> None:
    grid = FrameGrid(step, offset % step)
    rows = walk(MadeUpClip(count), grid, max_frames=max_frames, batch=batch)
    expected = list(range(offset % step, count, step))[:max_frames]
    assert frames_of(rows) == expected
    assert grid.looked_at() == len(expected)


def slow_thinning(
    count: int, every: int, most: int, faceless: frozenset[int]
) -> tuple[list[int], int]:
    """The frames with a face at the smallest of the steps every, 2 every, ... that gives few."""
    step = every
    while len(set(range(0, count, step)) - faceless) > most:
        step *= 2
    return sorted(set(range(0, count, step)) - faceless), len(range(0, count, step))


@given(
    count=st.integers(0, 130),
    every=st.integers(1, 3),
    most=st.integers(1, 40),
    batch=st.integers(1, 9),
    faceless=st.frozensets(st.integers(0, 129), max_size=60),
)
@example(count=65, every=1, most=1, batch=1, faceless=frozenset({1, 2, 32}))
def test_long_clip_is_thinned_evenly_and_no_more_than_needed(
    count: int, every: int, most: int, batch: int, faceless: frozenset[int]
) -> None:
    grid = FrameGrid(every)
    rows = walk(MadeUpClip(count, faceless), grid, most_frames=most, batch=batch)
    frames, looked_at = slow_thinning(count, every, most, faceless)
    assert frames_of(rows) == frames
    assert grid.looked_at() == looked_at
    assert grid.decoded == count


@given(count=st.integers(0, 200), step=st.integers(1, 9), offset=st.integers(0, 8))
def test_thinned_grid_takes_every_second_frame(count: int, step: int, offset: int) -> None:
    grid = FrameGrid(step, offset % step, decoded=count)
    before = [index for index in range(count) if grid.takes(index)]
    assert grid.looked_at() == len(before)
    grid.thin()
    assert set(filter(grid.takes, range(count))) <= set(before)
    assert grid.looked_at() in (len(before) // 2, len(before) // 2 + 1)


class _Slow:
    """Takes its time, another each time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def wait(self) -> None:
        time.sleep(self.random.choice([0, 0, 0.0005, 0.003]))


class SlowClip(MadeUpClip):
    slow = _Slow(1)

    def picture(self, index: int) -> MadeUpPicture:
        self.slow.wait()
        return super().picture(index)


class SlowDetector(BoxDetector):
    """Also remembers the levels of the frames that it was shown."""

    slow = _Slow(2)

    def __init__(self) -> None:
        super().__init__(FACE, dark=10)
        self.shown: list[int] = []

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        self.slow.wait()
        self.shown += [round(frame.mean()) for frame in frames]
        return super().detect(frames)

    def place(self, frame: Image, faces: Sequence[Face]) -> list[Face]:
        self.slow.wait()
        self.shown.append(round(frame.mean()))
        return [moved(face, 0, 0, 0.95 if frame.mean() > self.dark else 0.1) for face in faces]


class LateBackbone(MeanBackbone):
    """Its results are made in another thread, some time later."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = _Slow(3)
        self.under_way = self.most_under_way = 0

    def submit(self, crops: npt.NDArray[np.uint8]) -> Pending:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        return _Late(self, crops)


class _Late:
    def __init__(self, backbone: LateBackbone, crops: npt.NDArray[np.uint8]) -> None:
        self.backbone = backbone
        self.found: list[npt.NDArray[np.float32]] = []
        self.thread = threading.Thread(target=self.work, args=(crops,))
        self.thread.start()

    def work(self, crops: npt.NDArray[np.uint8]) -> None:
        self.backbone.slow.wait()
        self.found.append(self.backbone.features(crops))

    def result(self) -> npt.NDArray[np.float32]:
        self.thread.join()
        self.backbone.under_way -= 1
        return self.found[0]


@pytest.mark.parametrize("most", [20, 200])
@pytest.mark.parametrize("tracks", [False, True])
def test_what_comes_out_does_not_depend_on_who_is_slow(most: int, tracks: bool) -> None:
    faceless = frozenset(range(30, 37)) | frozenset(range(100, 150, 7))

    def through(
        clip: MadeUpClip, backbone: MeanBackbone
    ) -> tuple[list[tuple[int, int]], list[int]]:
        detector = SlowDetector()
        follower = Tracker(detector) if tracks else EveryFrame(detector)
        rows = walk(
            clip, FrameGrid(1), faces=follower, backbone=backbone, batch=4, most_frames=most
        )
        frames_of(rows)
        return [(row.frame, row.track) for row in rows], detector.shown

    kinds = [
        (kind(160, faceless), backbone())
        for kind in (MadeUpClip, SlowClip)
        for backbone in (MeanBackbone, LateBackbone)
    ]
    first, *others = (through(*kind) for kind in kinds)
    assert others == [first] * 3
    assert len(first[0]) > most / 2 - 10


def test_backbone_has_a_bounded_number_of_batches_under_way() -> None:
    backbone = LateBackbone()
    rows = walk(MadeUpClip(90), FrameGrid(1), backbone=backbone, batch=3)
    assert frames_of(rows) == list(range(90))
    assert 2 <= backbone.most_under_way <= 3
    assert backbone.calls == 30


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_only_so_many_images_are_alive_at_any_time(batch: int) -> None:
    alive: weakref.WeakSet[_Image] = weakref.WeakSet()
    most = 0

    class _Image(np.ndarray):  # type: ignore[type-arg]
        def __hash__(self) -> int:  # type: ignore[override]
            return id(self)

        def __eq__(self, other: object) -> bool:  # type: ignore[override]
            return self is other

    class Counted(MadeUpPicture):
        def image(self) -> Image:
            nonlocal most
            made = super().image().view(_Image)
            alive.add(made)
            most = max(most, len(alive))
            return made

    class Clip(MadeUpClip):
        def picture(self, index: int) -> MadeUpPicture:
            return Counted(index, level(index))

    class Patient(BoxDetector):
        """Waits until no more images come."""

        def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
            before = -1
            while before != len(alive):
                before = len(alive)
                time.sleep(0.02)
            return super().detect(frames)

    rows = walk(Clip(12 * batch), FrameGrid(1), faces=EveryFrame(Patient(FACE)), batch=batch)
    assert len(rows) == 12 * batch
    # two batches wait, one is being looked at and the last one not yet let go, one is in the making
    assert 3 * batch <= most <= 4 * batch + 2


@pytest.mark.parametrize("breaks", [0, 1, 8, 9, 29])
def test_clip_that_breaks_is_not_used_in_part(breaks: int) -> None:
    with pytest.raises(ClipError) as caught:
        walk(MadeUpClip(30, breaks=breaks), FrameGrid(1))
    assert caught.value.reason is Reason.TRUNCATED
    assert not prefetching()


def test_break_behind_the_last_frame_taken_is_not_noticed() -> None:
    clip = MadeUpClip(30, breaks=11)
    assert frames_of(walk(clip, FrameGrid(5), max_frames=3)) == [0, 5, 10]


def test_failing_finder_stops_the_decoder() -> None:
    class Failing(BoxDetector):
        def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
            raise ZeroDivisionError("by hand")

    with pytest.raises(ZeroDivisionError, match="by hand"):
        walk(MadeUpClip(10_000), FrameGrid(1), faces=EveryFrame(Failing(FACE)))
    assert not prefetching()


@pytest.mark.parametrize(("step", "max_frames"), [(0, None), (-1, None), (1, 0), (3, -1)])
def test_ranges_are_checked(step: int, max_frames: int | None) -> None:
    with pytest.raises(UsageError):
        walk(MadeUpClip(5), FrameGrid(step), max_frames=max_frames)


def test_at_least_one_frame_is_left() -> None:
    with pytest.raises(ValueError, match="most_frames"):
        walk(MadeUpClip(5), FrameGrid(1), most_frames=0)


def test_rows_of_whoever_stood_beside_the_subject_are_dropped() -> None:
    """The bystander is nearer than the subject for two frames."""
    far = upright_face(0, 0, 3, 3)

    class Two(BoxDetector):
        def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
            faces = {2: [far, FACE], 3: [FACE]}
            return [faces.get(round(image.mean()) - 50, [far]) for image in frames]

    rows = walk(MadeUpClip(40), FrameGrid(1), faces=EveryFrame(Two()), batch=4)
    assert frames_of(rows) == [0, 1, *range(4, 40)]
    assert not any(row.several for row in rows)


def test_walk_can_be_repeated_with_other_grids() -> None:
    going = Walk(PATH, MeanBackbone(), finder(), batch=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pictures", MadeUpClip(21).pictures)
        taken = [frames_of(going.through(FrameGrid(2, offset))) for offset in (0, 1, 0)]
    assert taken == [list(range(0, 21, 2)), list(range(1, 21, 2)), list(range(0, 21, 2))]


def test_extract_thins_at_the_stated_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pictures", MadeUpClip(2 * module.MOST_FRAMES + 1).pictures)
    found = extract(PATH, MeanBackbone(), finder())
    expected = range(0, 2 * module.MOST_FRAMES + 1, 4)
    assert found.decoded == found.with_face == len(expected)
    assert found.features[:, 0].tolist() == [level(index) for index in expected]
