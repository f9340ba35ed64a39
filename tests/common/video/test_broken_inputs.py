"""Odd and broken inputs: each ends in frames or in a named reason, soon and in bounded memory.

Where damage is random (its seed is in the case's name), any of several reasons may be right; that
it is one of them is what counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.video import Image
from common.video.decode import ClipError, Reason, frames, pictures
from tests.common.video import broken
from tests.common.video.broken import COUNT, Build, cut, damaged, holds, kind, named, picture

SIZE = (48, 64)
TALL = (64, 48)
ODD = (121, 161)

DAMAGE = {
    Reason.TRUNCATED,
    Reason.NOT_A_VIDEO,
    Reason.NO_FRAMES,
    Reason.NO_VIDEO_STREAM,
    Reason.UNDECODABLE,
    Reason.TOO_LARGE,
}

GOOD: dict[str, tuple[Build, int, tuple[int, int]]] = {
    "h264": (broken.whole, COUNT, SIZE),
    "h264, index first": (broken.index_first, COUNT, SIZE),
    "trimmed at the end": (broken.trimmed(0, 4), 4, SIZE),
    "trimmed at both ends": (broken.trimmed(2, 4), 4, SIZE),
    "stream copied from within": (broken.stream_copied, COUNT - 5, SIZE),
    "fragmented mp4": (broken.fragmented, COUNT, SIZE),
    "turned by 90": (broken.turned(90), COUNT, TALL),
    "turned by 180": (broken.turned(180), COUNT, SIZE),
    "turned by 270": (broken.turned(270), COUNT, TALL),
    "odd size": (kind("libx264", "yuv444p", ".mp4", *ODD), COUNT, ODD),
    "odd size, vp9": (kind("libvpx-vp9", "yuv420p", ".webm", *ODD), COUNT, ODD),
    "2 x 2": (kind("libx264", "yuv420p", ".mp4", 2, 2), COUNT, (2, 2)),
    "one frame": (broken.few(1), 1, SIZE),
    "120 frames a second": (broken.fast, COUNT, SIZE),
    "uneven frame rate": (broken.uneven, COUNT, SIZE),
    "hevc": (kind("libx265", "yuv420p", ".mp4"), COUNT, SIZE),
    "hevc, 10 bits": (kind("libx265", "yuv420p10le", ".mp4"), COUNT, SIZE),
    "h264, 10 bits": (kind("libx264", "yuv420p10le", ".mp4"), COUNT, SIZE),
    "h264, grey": (kind("libx264", "gray", ".mp4"), COUNT, SIZE),
    "vp8": (kind("libvpx", "yuv420p", ".webm"), COUNT, SIZE),
    "vp9": (kind("libvpx-vp9", "yuv420p", ".webm"), COUNT, SIZE),
    "vp9 with alpha": (kind("libvpx-vp9", "yuva420p", ".webm"), COUNT, SIZE),
    "av1": (kind("libsvtav1", "yuv420p", ".mp4", 64, 64), COUNT, (64, 64)),
    "mpeg-4 part 2": (kind("mpeg4", "yuv420p", ".avi"), COUNT, SIZE),
    "motion jpeg": (kind("mjpeg", "yuvj420p", ".avi"), COUNT, SIZE),
    "ffv1": (kind("ffv1", "yuv420p", ".mkv"), COUNT, SIZE),
    "prores with alpha": (kind("prores_ks", "yuva444p10le", ".mov"), COUNT, SIZE),
    "animation with alpha": (kind("qtrle", "argb", ".mov"), COUNT, SIZE),
    "uncompressed": (kind("rawvideo", "rgb24", ".avi"), COUNT, SIZE),
    "mp4 named avi": (named(broken.whole, "clip.avi"), COUNT, SIZE),
    "mp4 named txt": (named(broken.whole, "clip.txt"), COUNT, SIZE),
    "webm named mp4": (named(kind("libvpx", "yuv420p", ".webm"), "clip.mp4"), COUNT, SIZE),
    "garbage behind the end": (broken.appended(broken.whole, b"\x00garbage" * 500), COUNT, SIZE),
    "two video streams": (broken.two_streams, COUNT, SIZE),
    "container says 60000 x 60000": (broken.huge_container, COUNT, SIZE),
    "8192 wide": (broken.just_not_too_large, 1, (16, 8192)),
}

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"
SUBTITLE = "1\n00:00:01,000 --> 00:00:02,000\nhello\n\n"
CONCAT = "ffconcat version 1.0\nfile '/etc/passwd'\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"
TRANSPORT = kind("mpeg2video", "yuv420p", ".ts")

BAD: dict[str, tuple[Build, Reason]] = {
    "0 bytes": (holds(b""), Reason.EMPTY_FILE),
    "1 byte": (holds(b"\x00"), Reason.NOT_A_VIDEO),
    "zeros": (holds(bytes(100_000)), Reason.NOT_A_VIDEO),
    "noise": (holds(np.random.default_rng(3).bytes(100_000)), Reason.NOT_A_VIDEO),
    "text": (holds("not a video\n" * 50), Reason.NOT_A_VIDEO),
    "playlist": (holds(PLAYLIST), Reason.NOT_A_VIDEO),
    "list of files": (holds(CONCAT), Reason.NOT_A_VIDEO),
    "session description": (holds(SDP), Reason.NOT_A_VIDEO),
    "subtitle": (holds(SUBTITLE), Reason.NOT_A_VIDEO),
    "page": (holds("<!DOCTYPE html><html><video src='x.mp4'></html>"), Reason.NOT_A_VIDEO),
    "png": (picture(".png"), Reason.NOT_A_VIDEO),
    "jpg": (picture(".jpg"), Reason.NOT_A_VIDEO),
    "gif": (holds(b"GIF89a" + bytes(99)), Reason.NOT_A_VIDEO),
    "zip": (broken.zipped, Reason.NOT_A_VIDEO),
    "transport stream": (named(TRANSPORT, "clip.mp4"), Reason.NOT_A_VIDEO),
    "sound only": (broken.sound, Reason.NO_VIDEO_STREAM),
    "song with cover": (broken.cover_only, Reason.NO_VIDEO_STREAM),
    "empty index": (broken.empty_index, Reason.NO_VIDEO_STREAM),
    "index without tracks": (broken.no_track, Reason.NO_VIDEO_STREAM),
    "type and no more": (holds(b"\x00\x00\x00\x0cftypisom"), Reason.TRUNCATED),
    "damaged head": (damaged(broken.whole, 0, 0.01, 1), Reason.NOT_A_VIDEO),
    "damaged middle": (damaged(broken.whole, 0.4, 0.5, 1), Reason.TRUNCATED),
    "folder": (broken.folder_of_that_name, Reason.NOT_A_FILE),
    "pipe": (broken.pipe, Reason.NOT_A_FILE),
    "device": (broken.link_to("/dev/zero"), Reason.NOT_A_FILE),
    "link to itself": (broken.link_to("clip.mp4"), Reason.MISSING),
    "link to nothing": (broken.link_to("gone"), Reason.MISSING),
    "8208 wide": (broken.really_large, Reason.TOO_LARGE),
    "16000 x 16000, avi": (broken.huge_jpeg(".avi", 16000), Reason.TOO_LARGE),
    # Here only the stream says so, and a decoder that refuses does not tell why.
    "16000 x 16000 inside 64 x 48": (broken.huge_vp8, Reason.TRUNCATED),
    # More than FFmpeg itself counts to: it forgets the size.
    "60000 x 60000, avi": (broken.huge_jpeg(".avi", 60000), Reason.TRUNCATED),
}

MKV = kind("libx264", "yuv420p", ".mkv")
AVI = kind("mpeg4", "yuv420p", ".avi")
TRIMMED = broken.trimmed(2, 4)
WHOLE = {
    "mp4": broken.whole,
    "mp4, trimmed": TRIMMED,
    "mp4, index first": broken.index_first,
    "mkv": MKV,
    "avi": AVI,
}
CUT = {f"{name} cut, seed {i}": cut(build, i) for name, build in WHOLE.items() for i in range(4)}
SPOILT = {
    f"{name} spoilt at {share:.0%}": damaged(build, share, share + 0.05, i)
    for name, build in WHOLE.items()
    for i, share in enumerate((0.002, 0.3, 0.6, 0.95))
}


def outcome(path: Path) -> list[Image] | Reason:
    try:
        return list(frames(path))
    except ClipError as error:
        return error.reason


def test_there_are_enough_kinds() -> None:
    assert len(GOOD) + len(BAD) + len(CUT) + len(SPOILT) > 90


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("build", "count", "size"), GOOD.values(), ids=list(GOOD))
def test_an_odd_input_gives_its_frames(
    tmp_path: Path, build: Build, count: int, size: tuple[int, int]
) -> None:
    images = outcome(build(tmp_path))
    assert not isinstance(images, Reason), images
    assert [image.shape for image in images] == [(*size, 3)] * count


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("build", "reason"), BAD.values(), ids=list(BAD))
def test_a_broken_input_has_a_reason(tmp_path: Path, build: Build, reason: Reason) -> None:
    assert outcome(build(tmp_path)) is reason


@pytest.mark.timeout(20)
@pytest.mark.parametrize("build", CUT.values(), ids=list(CUT))
def test_a_file_cut_anywhere_is_never_used_in_part(tmp_path: Path, build: Build) -> None:
    assert outcome(build(tmp_path)) in (Reason.TRUNCATED, Reason.NOT_A_VIDEO)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("build", SPOILT.values(), ids=list(SPOILT))
def test_a_spoilt_file_ends_in_frames_or_a_reason(tmp_path: Path, build: Build) -> None:
    found = outcome(build(tmp_path))
    assert found in DAMAGE if isinstance(found, Reason) else 1 <= len(found) <= COUNT


def test_pictures_that_change_their_size_keep_it(tmp_path: Path) -> None:
    path = broken.other_size_midway(tmp_path)
    shapes = [image.shape[:2] for image in frames(path)]
    assert shapes == [(48, 64)] * 4 + [(96, 128)] * 4
    reduced = [picture.reduced(32).shape[:2] for picture in pictures(path)]
    assert reduced == [(24, 32)] * COUNT


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = broken.whole(tmp_path)
    path.chmod(0)
    assert outcome(path) is Reason.UNREADABLE


MEASURE = """
import resource, sys
from pathlib import Path
from common.video.decode import ClipError, frames
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    try:
        print(name, sum(1 for _ in frames(Path(name))))
    except ClipError as error:
        print(name, error.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_huge_promises_take_no_memory(tmp_path: Path) -> None:
    """Each would take 0.4 GB or more if it were believed."""
    paths = []
    for name in ("16000 x 16000, avi", "16000 x 16000 inside 64 x 48", "60000 x 60000, avi"):
        folder = tmp_path / name
        folder.mkdir()
        paths.append(str(BAD[name][0](folder)))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *paths],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.split()[-1]) < 60_000  # kilobytes
