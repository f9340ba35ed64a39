"""The eight expressions, in RAVDESS order (code 01 is index 0)."""

from __future__ import annotations

from typing import Final

EXPRESSIONS: Final = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
)
"""Names in label order; label `i` is RAVDESS expression code `i + 1`."""

_INDEX: Final = {name: index for index, name in enumerate(EXPRESSIONS)}


def expression_index(name: str) -> int:
    """Label 0..7 of an expression's name.

    Raises:
        KeyError: the name is none of `EXPRESSIONS`.

    >>> expression_index("happy")
    2
    """
    return _INDEX[name]
