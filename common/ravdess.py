"""RAVDESS file names (Livingstone and Russo 2018, PLOS ONE 13(5):e0196391).

A name is seven two-digit fields joined by hyphens: modality, channel, expression, intensity,
statement, repetition, actor.
Modalities 01 (audio-video) and 02 (video-only) with otherwise equal fields are the same take.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from common.expressions import EXPRESSIONS

AUDIO_VIDEO: Final = 1
VIDEO_ONLY: Final = 2
AUDIO_ONLY: Final = 3
SPEECH: Final = 1
SONG: Final = 2

_PATTERN: Final = re.compile(r"[0-9]{2}(-[0-9]{2}){6}")
_FIELDS: Final = (
    ("modality", 3),
    ("channel", 2),
    ("expression", len(EXPRESSIONS)),
    ("intensity", 2),
    ("statement", 2),
    ("repetition", 2),
    ("actor", 24),
)


class Take(NamedTuple):
    """One recorded performance: all fields but the modality."""

    channel: int
    expression: int
    intensity: int
    statement: int
    repetition: int
    actor: int


@dataclass(frozen=True, order=True)
class ClipName:
    """The seven fields of a RAVDESS name, each from 1."""

    modality: int
    channel: int
    expression: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def label(self) -> int:
        """Index into `EXPRESSIONS`, 0..7."""
        return self.expression - 1

    @property
    def take(self) -> Take:
        """Key that is equal for the audio-video and the video-only file of one performance."""
        return Take(
            self.channel,
            self.expression,
            self.intensity,
            self.statement,
            self.repetition,
            self.actor,
        )

    def __str__(self) -> str:
        fields = (self.modality, *self.take)
        return "-".join(f"{field:02d}" for field in fields)


def parse_clip_name(name: str) -> ClipName:
    """Read a RAVDESS name without folder and extension.

    Raises:
        ValueError: the text is not a RAVDESS name; the message names the field that is wrong.

    >>> parse_clip_name("01-01-08-02-01-01-19").actor
    19
    """
    if not _PATTERN.fullmatch(name):
        raise ValueError(
            f"{name[:40]!r} is not a RAVDESS name (seven two-digit fields joined by '-', "
            "such as 01-01-03-02-01-01-12)"
        )
    values = [int(part) for part in name.split("-")]
    for (field, highest), value in zip(_FIELDS, values, strict=True):
        if not 1 <= value <= highest:
            raise ValueError(f"{name!r} has {field} {value:02d}, expected 01 to {highest:02d}")
    return ClipName(*values)
