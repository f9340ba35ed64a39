"""One name per expression, whatever a data set calls it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_SYNONYMS: Final = MappingProxyType(
    {
        "angry": "anger",
        "disgusted": "disgust",
        "fearful": "fear",
        "happy": "happiness",
        "sad": "sadness",
        "surprised": "surprise",
    }
)


def expression_name(name: str) -> str:
    """A folder's or a label's name in lower case, as the backbones' classifiers call it.

    >>> expression_name(" Happy"), expression_name("contempt")
    ('happiness', 'contempt')
    """
    plain = name.strip().lower()
    return _SYNONYMS.get(plain, plain)
