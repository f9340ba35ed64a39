from __future__ import annotations

import os
import struct
import weakref
from contextlib import suppress
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import UsageError, WorkError
from common.video import Image
from common.video.decode import ClipError, Reason, batches, frames
from tests.common.video.clips import SIZE, flat_images, numbers, write_sound, write_video
from tests.support import shared_video

COUNT = 12
RAVDESS_CLIP = "01-01-08-02-01-01-19.mp4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", flat_images(COUNT))


@pytest.fixture(scope="module")
def web_clip(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (30, *SIZE, 3), dtype=np.uint8)
    return write_video(folder / "web.mp4", list(noise), index_first=True)


def reason_of(path: Path) -> Reason:
    with pytest.raises(ClipError) as caught:
        list(frames(path))
    assert caught.value.detail == str(path)
    return caught.value.reason


def test_frames_come_in_order_as_rgb(clip: Path) -> None:
    images = list(frames(clip))
    assert numbers(images) == list(range(COUNT))
    assert all(image.shape == (*SIZE, 3) and image.dtype == np.uint8 for image in images)


def test_red_is_the_first_channel(tmp_path: Path) -> None:
    red = np.zeros((*SIZE, 3), dtype=np.uint8)
    red[..., 0] = 220
    (image,) = frames(write_video(tmp_path / "red.mp4", [red]))
    assert np.abs(image.mean(axis=(0, 1)) - [220, 0, 0]).max() < 6


@given(every=st.integers(1, 15), most=st.none() | st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_every_and_max_frames_are_a_slice(clip: Path, every: int, most: int | None) -> None:
    taken = numbers(list(frames(clip, every=every, max_frames=most)))
    assert taken == list(range(0, COUNT, every))[:most]


@pytest.mark.parametrize(("every", "most"), [(0, None), (-1, None), (1, 0), (1, -3)])
def test_bad_options_are_refused_at_once(clip: Path, every: int, most: int | None) -> None:
    with pytest.raises(UsageError, match=r"at least 1|every frame"):
        frames(clip, every=every, max_frames=most)


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", flat_images(4), codec="mpeg4")
    assert numbers(list(frames(path))) == [0, 1, 2, 3]


def test_phone_held_upright_is_turned(tmp_path: Path) -> None:
    """MP4's matrix (0 1; -1 0) sends the stored top left corner to the shown top right one."""
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    image[:24, :32] = 250
    path = write_video(tmp_path / "phone.mp4", [image])
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = struct.pack(
        ">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30
    )
    path.write_bytes(content)
    (shown,) = frames(path)
    assert shown.shape == (64, 48, 3)
    assert shown[:30, 26:].mean() > 200
    assert shown[:30, :22].mean() < 50
    assert shown[34:].mean() < 50


def test_only_the_current_frame_is_kept(web_clip: Path) -> None:
    references = []
    for image in frames(web_clip):
        references.append(weakref.ref(image))
        assert sum(reference() is not None for reference in references) <= 2
    assert len(references) == 30


def test_unusable_files_are_named(tmp_path: Path) -> None:
    made = {name: tmp_path / f"{name}.mp4" for name in ("empty", "text", "subtitle", "picture")}
    made["empty"].touch()
    made["text"].write_text("not a video\n" * 50)
    made["subtitle"].write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n")
    made["picture"].write_bytes(cv2.imencode(".png", flat_images(1)[0])[1].tobytes())
    os.mkfifo(tmp_path / "pipe.mp4")
    assert reason_of(tmp_path / "absent.mp4") is Reason.MISSING
    assert reason_of(tmp_path) is Reason.NOT_A_FILE
    assert reason_of(tmp_path / "pipe.mp4") is Reason.NOT_A_FILE
    assert reason_of(made["empty"]) is Reason.EMPTY_FILE
    assert {reason_of(made[name]) for name in ("text", "subtitle", "picture")} == {
        Reason.NOT_A_VIDEO
    }


def test_playlist_never_opens_the_network(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    assert reason_of(path) is Reason.NOT_A_VIDEO


def test_path_is_never_taken_for_a_protocol(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    Path("concat:clip.mp4|clip.mp4").write_bytes(clip.read_bytes())
    assert len(list(frames(Path("concat:clip.mp4|clip.mp4")))) == COUNT


def test_unreadable_file(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert reason_of(clip) is Reason.UNREADABLE


def test_sound_only(tmp_path: Path) -> None:
    assert reason_of(write_sound(tmp_path / "sound.mp4")) is Reason.NO_VIDEO_STREAM


def test_video_without_frames(tmp_path: Path) -> None:
    assert reason_of(write_video(tmp_path / "none.avi", [], codec="mpeg4")) is Reason.NO_FRAMES


def test_unknown_codec(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", flat_images(3))
    content = path.read_bytes()
    assert b"V_MPEG4/ISO/AVC" in content
    path.write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_MYSTERY/0/AVC"))
    assert reason_of(path) is Reason.UNDECODABLE


def test_cut_before_the_index_is_truncated(clip: Path, tmp_path: Path) -> None:
    content = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        assert reason_of(path) is Reason.TRUNCATED


@given(data=st.data())
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_cut_behind_the_index_gives_frames_then_truncated(
    web_clip: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = web_clip.read_bytes()
    start = content.index(b"mdat") + 4
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: data.draw(st.integers(start, len(content) - 1))])
    images = []
    with pytest.raises(ClipError) as caught:
        images.extend(frames(path))
    assert caught.value.reason is Reason.TRUNCATED


def test_frames_before_the_break_can_be_had(web_clip: Path, tmp_path: Path) -> None:
    content = web_clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: int(len(content) * 0.7)])
    whole = list(frames(web_clip, max_frames=5))
    assert np.array_equal(np.stack(list(frames(path, max_frames=5))), np.stack(whole))


@given(
    end=st.integers(0, 40_000),
    flips=st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 255)), max_size=6),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damage_ends_in_frames_or_a_reason(
    clip: Path, tmp_path: Path, end: int, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(clip.read_bytes())
    for place, change in flips:
        content[place % len(content)] ^= change
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content[: end if end % 3 == 0 else None])
    images: list[Image] = []
    with suppress(ClipError):
        images.extend(frames(path, max_frames=50))
        assert 1 <= len(images) <= 50


def test_ffmpeg_prints_nothing(
    web_clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(web_clip.read_bytes()[:-5000])
    reason_of(path)
    text = tmp_path / "text.mp4"
    text.write_text("hello")
    reason_of(text)
    assert capfd.readouterr() == ("", "")


def test_error_is_a_sentence_with_the_path() -> None:
    for reason in Reason:
        error = ClipError(reason, "some/clip.mp4")
        assert isinstance(error, WorkError)
        assert str(error) == f"some/clip.mp4: {reason.sentence}"
        assert len(reason.sentence) > 20


def test_batches_hold_what_they_are_given() -> None:
    assert [numbers(batch) for batch in batches(flat_images(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(batches([], 3)) == []
    with pytest.raises(ValueError, match="at least one"):
        next(batches(flat_images(2), 0))


def test_real_clip() -> None:
    images = list(frames(shared_video(RAVDESS_CLIP)))
    assert len(images) == 122
    assert images[0].shape == (720, 720, 3)


@pytest.mark.parametrize("end", [1, 30, 1000, 300_000, 1_198_100, 1_199_412])
def test_real_clip_cut_short(tmp_path: Path, end: int) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(shared_video(RAVDESS_CLIP).read_bytes()[:end])
    assert reason_of(path) is (Reason.NOT_A_VIDEO if end == 1 else Reason.TRUNCATED)


def test_cut_anywhere_in_the_index_is_truncated(clip: Path, tmp_path: Path) -> None:
    content = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    for end in range(content.index(b"moov") - 4, len(content), 7):
        path.write_bytes(content[:end])
        assert reason_of(path) is Reason.TRUNCATED


def test_bytes_missing_behind_the_frames_are_no_fault(web_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "trailer.mp4"
    path.write_bytes(web_clip.read_bytes() + struct.pack(">I4s", 1000, b"free"))
    assert len(list(frames(path))) == 30


def test_real_clip_with_index_first_cut_between_frames(tmp_path: Path) -> None:
    """Here FFmpeg reports the end of the file and no error: only the count tells."""
    path = tmp_path / "cut.mp4"
    path.write_bytes(shared_video("WolfgangLanger_Pexels.mp4").read_bytes()[:816_146])
    assert len(list(islice(frames(path), 100))) == 100
    assert reason_of(path) is Reason.TRUNCATED
