"""Pictures in files: JPEG and PNG."""

from __future__ import annotations

from pathlib import Path

from client.recognition.known_faces import read_picture
from common.errors import UsageError
from common.video import Image
from common.video.decode import ClipError, Reason


def picture_in(path: Path, name: str = "") -> Image:
    """A picture as RGB, (height, width, 3) uint8.

    Args:
        path: of a JPEG or PNG file.
        name: for sentences about it; its path by default.

    Raises:
        UsageError: it is missing, no such picture, damaged or too large.
    """
    told = name or str(path)
    try:
        return read_picture(path, told)
    except ClipError as error:
        if error.reason is Reason.UNREADABLE:
            raise UsageError(f"{told}: can't be read; check the path") from error
        if error.reason is Reason.TOO_LARGE:
            raise UsageError(f"{told}: the picture is too large; make it smaller") from error
        raise UsageError(f"{told}: is no picture that can be read; give a JPEG or PNG") from error
