"""OpenVINO's one core of this process."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import openvino


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """The core that all networks are compiled by; it lives as long as its process.

    The last core that goes takes away the stack on which the kernel runs signal handlers, when
    another thread than the one that loaded OpenVINO's plugin lets go of it: the next signal with
    a handler of Python's (Ctrl-C, a child's end) then ends the process without a word.
    """
    return openvino.Core()
