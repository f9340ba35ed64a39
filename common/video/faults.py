"""Why a clip cannot be used."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from common.errors import WorkError

LONGEST_SIDE: Final = 8192
"""Pixels; 8K video has 7680 or 8192."""
MOST_PIXELS: Final = 40_000_000
"""Of one picture; 8K video has 35.4 million."""


class Reason(StrEnum):
    """Why a clip cannot be used: a short stable name (the value) and a sentence."""

    MISSING = "missing"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"
    EMPTY_FILE = "empty_file"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    TOO_MUCH = "too_much"
    NO_FRAMES = "no_frames"
    NO_FACE = "no_face"

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, in plain words."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Reason.MISSING: "there is no such file; check the path",
    Reason.NOT_A_FILE: "this is a folder or a device, not a file; give the video file itself",
    Reason.UNREADABLE: "the file cannot be read; check its permissions",
    Reason.EMPTY_FILE: "the file is empty (0 bytes); copy it again",
    Reason.NOT_A_VIDEO: "this is no MP4, MOV, WebM, MKV or AVI video, whatever its name says",
    Reason.NO_VIDEO_STREAM: "the file holds no picture (only sound?); give a video with a picture",
    Reason.TRUNCATED: "the video breaks off before its end (cut short or damaged); copy it again",
    Reason.UNDECODABLE: "the video's format is not supported; convert it to H.264",
    Reason.TOO_LARGE: (
        f"the pictures are larger than {LONGEST_SIDE} pixels on a side or "
        f"{MOST_PIXELS // 1_000_000} megapixels; reduce the video first"
    ),
    Reason.TOO_MUCH: (
        "the recording is too long to be taken in before it is read, as its format asks for; "
        "give it as a file, or record WebM"
    ),
    Reason.NO_FRAMES: "the video has no frame; record it again",
    Reason.NO_FACE: "no face was found in any frame; show the face from the front in good light",
}


class ClipError(WorkError):
    """A clip that cannot be used.

    Attributes:
        reason: what kind of fault it is.
        detail: what it was found in, the path as the caller gave it.
    """

    def __init__(self, reason: Reason, detail: str | Path) -> None:
        super().__init__(reason, str(detail))
        self.reason = reason
        self.detail = str(detail)

    def __str__(self) -> str:
        return f"{self.detail}: {self.reason.sentence}"
