"""From a video file to frame features: decode, find the face, align it, run a backbone."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""RGB picture, (height, width, 3) uint8."""

PREPROCESSING_VERSION: Final = 2
"""Raised by whoever changes what a backbone sees: decoding, detection, choice of face or crop."""
