"""Clips and pictures of known people, a folder per person, as embeddings."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from client.recognition.error_rates import KnownFace
from client.recognition.recogniser import Recogniser
from client.vault.records import Floats
from common.errors import UsageError
from common.video import Image
from common.video.decode import ClipError, Reason
from common.video.faults import LONGEST_SIDE, MOST_PIXELS

VIDEOS: Final = frozenset({".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"})
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})
_MOST_BYTES: Final = 64 << 20

_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

Progress = Callable[[int, int], None]
"""Called with the number of files read and the number of all files."""


class LeftOut(NamedTuple):
    """A file that could not be used, and why."""

    name: str
    reason: str


class Faces(NamedTuple):
    """What was found, and what was left out."""

    known: tuple[KnownFace, ...]
    left_out: tuple[LeftOut, ...]


def known_faces(folder: Path, recogniser: Recogniser, *, progress: Progress | None = None) -> Faces:
    """Embeddings of all clips and pictures in `folder/PERSON/`, in the order of their names.

    A clip that shows several people at once or in turn is left out: whose it is would not be known.

    Raises:
        UsageError: it is no folder, or holds no folder with clips or pictures.
    """
    files = face_files(folder)
    known: list[KnownFace] = []
    left_out: list[LeftOut] = []
    for place, path in enumerate(files, start=1):
        name = f"{path.parent.name}/{path.name}"
        try:
            known.append(KnownFace(path.parent.name, name, _embeddings(path, name, recogniser)))
        except ClipError as error:
            left_out.append(LeftOut(name, error.reason.sentence))
        except _SeveralError as error:
            left_out.append(LeftOut(name, str(error)))
        if progress is not None:
            progress(place, len(files))
    return Faces(tuple(known), tuple(left_out))


def face_files(folder: Path) -> list[Path]:
    """Clips and pictures in a folder's folders, hidden ones left out.

    Raises:
        UsageError: there is none.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: this is no folder; give one that holds a folder per person")
    found = [
        path
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in VIDEOS | PICTURES
        and path.is_file()
        and not path.name.startswith(".")
        and not path.parent.name.startswith(".")
    ]
    if not found:
        raise UsageError(
            f"{folder}: holds no folder with clips or pictures; make one folder per person in it"
        )
    return found


class _SeveralError(Exception):
    """A clip of several people."""


def _embeddings(path: Path, name: str, recogniser: Recogniser) -> Floats:
    if path.suffix.lower() in PICTURES:
        return recogniser.look_at(read_picture(path, name), name=name)
    look = recogniser.look(path, name=name)
    if look.faces_at_once > 1 or look.persons > 1:
        raise _SeveralError("several people can be seen; whose clip it is can't be known")
    return look.embeddings


def read_picture(path: Path, name: str) -> Image:
    """A JPEG or PNG file as RGB, (height, width, 3) uint8.

    Raises:
        ClipError: it cannot be read, is no picture, or is too large.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ClipError(Reason.TOO_LARGE, name)
        content = path.read_bytes()
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, name) from error
    size = _declared_size(content)
    if size is None:
        raise ClipError(Reason.UNDECODABLE, name)
    if max(size) > LONGEST_SIDE or size[0] * size[1] > MOST_PIXELS:
        raise ClipError(Reason.TOO_LARGE, name)
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ClipError(Reason.UNDECODABLE, name) from error
    if decoded is None:
        raise ClipError(Reason.UNDECODABLE, name)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _declared_size(content: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG (ITU-T T.81, B.2) or PNG declares, before memory is given."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return width, height
    place = 2 if content[:2] == b"\xff\xd8" else len(content)
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = struct.unpack_from(">xBH", content, place)
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return width, height
        place += 2 + length
    return None
