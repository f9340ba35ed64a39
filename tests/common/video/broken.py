"""One function per odd or broken video file: it writes the file and returns its path."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import cv2
import numpy as np

from common.video import Image
from tests.common.video.clips import flat_images, write_sound, write_video
from tests.common.video.files import encode, rotated

Build = Callable[[Path], Path]
COUNT = 8
"""Frames of a whole clip."""
SHORT_GROUPS = {"g": "4", "bf": "0"}
"""Key frames so close that a trimmed clip has groups that FFmpeg never reads."""


def noise(count: int, height: int = 48, width: int = 64) -> list[Image]:
    """Frames that do not compress, so that their bytes are most of the file."""
    random = np.random.default_rng(7)
    return list(random.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def whole(folder: Path) -> Path:
    return encode(folder / "clip.mp4", noise(COUNT))


def index_first(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", noise(COUNT), index_first=True)


@contextmanager
def same_priority() -> Iterator[None]:
    """SVT-AV1 gives a root's process real-time priority for good: threads that wait by spinning
    would then keep all others from the cores, in whatever test comes next."""
    if not hasattr(os, "sched_getscheduler"):  # not Linux
        yield
        return
    before = os.sched_getscheduler(0)
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it has ended
                os.sched_setscheduler(int(thread.name), before, os.sched_param(0))


def kind(codec: str, pixels: str, suffix: str, height: int = 48, width: int = 64) -> Build:
    """A clip of a codec and pixel format."""

    def build(folder: Path) -> Path:
        options = {"preset": "12", "svtav1-params": "lp=1"} if codec == "libsvtav1" else {}
        images = noise(COUNT, height, width)
        path = folder / f"clip{suffix}"
        with same_priority():
            return encode(path, images, codec=codec, pixels=pixels, options=options)

    return build


def turned(degrees: int) -> Build:
    return lambda folder: rotated(whole(folder), degrees)


def few(count: int) -> Build:
    return lambda folder: encode(folder / "clip.mp4", noise(count))


def fast(folder: Path) -> Path:
    return encode(folder / "clip.mp4", noise(COUNT), rate=120)


def uneven(folder: Path) -> Path:
    return encode(folder / "clip.mp4", noise(COUNT), times=[0, 1, 2, 10, 11, 40, 41, 100])


def fragmented(folder: Path) -> Path:
    path = folder / "clip.mp4"
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in noise(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def trimmed(first: int, shown: int) -> Build:
    """A clip whose edit list shows some of its frames, as telephones trim."""

    def build(folder: Path) -> Path:
        path = encode(folder / "clip.mp4", noise(COUNT), options=SHORT_GROUPS)
        content = bytearray(path.read_bytes())
        place = content.index(b"elst") + 12
        duration, start = struct.unpack_from(">Ii", content, place)  # times: movie's, track's
        rate = struct.unpack_from(">I", content, content.index(b"mdhd") + 16)[0] // 25
        edit = (duration * shown // COUNT, start + first * rate)
        struct.pack_into(">Ii", content, place, *edit)
        path.write_bytes(content)
        return path

    return build


def stream_copied(folder: Path) -> Path:
    """Copied without decoding, shown from the sixth frame on: the key frame before is the fifth."""
    source = encode(folder / "whole.mp4", noise(COUNT), options=SHORT_GROUPS)
    path = folder / "clip.mp4"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            frame = int(1 / 25 / packet.time_base)
            packet.pts, packet.dts = packet.pts - 5 * frame, packet.dts - 5 * frame
            packet.stream = copy
            new.mux(packet)
    return path


def two_streams(folder: Path) -> Path:
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream, width in zip(streams, (64, 32), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
        container.start_encoding()
        for image in noise(COUNT):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def other_size_midway(folder: Path) -> Path:
    """Pictures of Motion JPEG stand for themselves, so they may differ in size."""
    path = folder / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()
        for index in range(COUNT):
            height, width = (48, 64) if index < COUNT // 2 else (96, 128)
            picture = cv2.imencode(".jpg", noise(1, height, width)[0])[1].tobytes()
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base, packet.is_keyframe = stream.codec_context.time_base, True
            container.mux(packet)
    return path


def cover_only(folder: Path) -> Path:
    """A song with a picture of its album."""
    path = write_sound(folder / "song.m4a")
    picture = cv2.imencode(".png", flat_images(1)[0])[1].tobytes()
    data = _box(b"data", struct.pack(">II", 14, 0) + picture)
    items = _box(b"ilst", _box(b"covr", data))
    handler = _box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    about = _box(b"udta", _box(b"meta", bytes(4) + handler + items))
    content = path.read_bytes()
    place = content.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", content, place)
    index = _box(b"moov", content[place + 8 : place + size] + about)
    target = folder / "song.mp4"
    target.write_bytes(content[:place] + index + content[place + size :])
    return target


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def sound(folder: Path) -> Path:
    return write_sound(folder / "sound.mp4")


def empty_index(folder: Path) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(_box(b"ftyp", b"isom" + bytes(4) + b"isom") + _box(b"moov", b""))
    return path


def no_track(folder: Path) -> Path:
    path = folder / "clip.mp4"
    header = _box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 0) + bytes(80))
    path.write_bytes(_box(b"ftyp", b"isom" + bytes(4) + b"isom") + _box(b"moov", header))
    return path


def holds(content: bytes | str, name: str = "clip.mp4") -> Build:
    """A file of these bytes."""

    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return build


def picture(ending: str) -> Build:
    return lambda folder: holds(cv2.imencode(ending, noise(1)[0])[1].tobytes())(folder)


def zipped(folder: Path) -> Path:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("clip.mp4", whole(folder).read_bytes())
    return holds(target.getvalue())(folder)


def named(build: Build, name: str) -> Build:
    """The file under another name."""
    return lambda folder: build(folder).rename(folder / name)


def appended(build: Build, content: bytes) -> Build:
    def build_more(folder: Path) -> Path:
        path = build(folder)
        path.write_bytes(path.read_bytes() + content)
        return path

    return build_more


def cut(build: Build, seed: int) -> Build:
    """The file without what follows a random byte."""

    def build_less(folder: Path) -> Path:
        path = build(folder)
        content = path.read_bytes()
        end = int(np.random.default_rng(seed).integers(1, len(content)))
        path.write_bytes(content[:end])
        return path

    return build_less


def damaged(build: Build, first: float, last: float, seed: int) -> Build:
    """The file with noise between two shares of its length."""

    def build_damaged(folder: Path) -> Path:
        path = build(folder)
        content = bytearray(path.read_bytes())
        start, end = int(len(content) * first), int(len(content) * last)
        content[start:end] = np.random.default_rng(seed).bytes(end - start)
        path.write_bytes(content)
        return path

    return build_damaged


def folder_of_that_name(folder: Path) -> Path:
    (folder / "clip.mp4").mkdir()
    return folder / "clip.mp4"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "clip.mp4")
    return folder / "clip.mp4"


def link_to(target: str) -> Build:
    def build(folder: Path) -> Path:
        (folder / "clip.mp4").symlink_to(target)
        return folder / "clip.mp4"

    return build


def huge_jpeg(suffix: str, side: int) -> Build:
    """A few bytes of Motion JPEG that promise square pictures of that side, as does the file."""

    def build(folder: Path) -> Path:
        path = encode(folder / f"clip{suffix}", noise(1), codec="mjpeg", pixels="yuvj420p")
        content = path.read_bytes()
        place = content.index(b"\xff\xc0") + 5  # SOF0: length, precision, height, width
        content = content[:place] + struct.pack(">HH", side, side) + content[place + 4 :]
        content = content.replace(struct.pack("<II", 64, 48), struct.pack("<II", side, side))
        path.write_bytes(content)
        return path

    return build


def huge_vp8(folder: Path) -> Path:
    """The stream says 16000 x 16000, the container 64 x 48."""
    path = encode(folder / "clip.webm", noise(1), codec="libvpx")
    content = path.read_bytes()
    place = content.index(b"\x9d\x01\x2a") + 3  # start code, width, height
    path.write_bytes(content[:place] + struct.pack("<HH", 16000, 16000) + content[place + 4 :])
    return path


def huge_container(folder: Path) -> Path:
    """The container says 60000 x 60000, the stream in it 64 x 48."""
    path = whole(folder)
    content = path.read_bytes()
    place = content.index(b"avc1") + 4 + 24
    content = content[:place] + struct.pack(">HH", 60000, 60000) + content[place + 4 :]
    path.write_bytes(content)
    return path


def really_large(folder: Path) -> Path:
    """All black and true: 8208 pixels wide, a few hundred bytes long."""
    return encode(folder / "clip.mkv", [np.zeros((16, 8208, 3), np.uint8)])


def just_not_too_large(folder: Path) -> Path:
    return encode(folder / "clip.mkv", [np.zeros((16, 8192, 3), np.uint8)])
