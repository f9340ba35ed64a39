"""RGB pictures as PNG (ISO/IEC 15948), within bounds."""

from __future__ import annotations

import struct
from typing import Final

import cv2
import numpy as np

from common.errors import UsageError, WorkError
from common.video import Image

LARGEST_PNG: Final = 16 << 20
"""Bytes."""
LONGEST_SIDE: Final = 8192
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_SIZE_AT: Final = 16


def png_of(picture: Image) -> bytes:
    """An RGB picture, (height, width, 3) uint8, as PNG.

    Raises:
        WorkError: it can't be written as one.
    """
    try:
        done, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error:
        done = False
    if not done:
        raise WorkError(f"a picture of shape {picture.shape} can't be written as PNG")
    return content.tobytes()


def picture_of(content: bytes, what: str) -> Image:
    """An RGB picture, (height, width, 3) uint8, from PNG.

    Raises:
        UsageError: it is none, damaged or too large; names `what` it is.
    """
    if content[: len(_SIGNATURE)] != _SIGNATURE or len(content) < _SIZE_AT + 8:
        raise UsageError(f"{what}: this is no PNG picture")
    # Declared sizes are looked at before memory is given.
    width, height = struct.unpack_from(">II", content, _SIZE_AT)
    if len(content) > LARGEST_PNG or max(width, height) > LONGEST_SIDE:
        raise UsageError(
            f"{what}: a picture of {width} x {height} pixels and {len(content)} bytes is too "
            f"large; at most {LONGEST_SIDE} pixels a side and {LARGEST_PNG} bytes"
        )
    try:
        found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        found = None
    if found is None:
        raise UsageError(f"{what}: this PNG picture is damaged")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), dtype=np.uint8)
