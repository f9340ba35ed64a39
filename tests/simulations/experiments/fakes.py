"""Inputs that are made up: RAVDESS's names, a few actors, both modalities of each take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.clips import ClipSet
from common.ravdess import AUDIO_VIDEO, VIDEO_ONLY, ClipName
from simulations.experiments.inputs import Input
from tests.simulations.people import clips_named, own_clips, ravdess_names

BOTH = (AUDIO_VIDEO, VIDEO_ONLY)


def made_up_input(
    actors: Sequence[int] = (1, 2, 8, 9), *, modalities: Sequence[int] = BOTH, expressions: int = 3
) -> Input:
    names = ravdess_names(actors, expressions=expressions, modalities=modalities)
    return input_of(clips_named(names), names)


def input_of(clips: ClipSet, names: Sequence[ClipName] | None) -> Input:
    return Input("made-up", clips, tuple(names) if names else None, "table/0", "made up", False, 0)


def nameless_input() -> Input:
    """Users without RAVDESS names."""
    return input_of(own_clips("abcd"), None)


def write_ravdess_table(path: Path, actors: Sequence[int] = (1, 2, 8, 9)) -> Path:
    """A feature table of actors with twins, as `mien extract` would name its clips."""
    names = ravdess_names(actors, expressions=3, modalities=BOTH)
    clips = clips_named(names)
    lines = ["clip," + ",".join(f"f{n}" for n in range(clips.dimension))]
    for name, row in zip(clips.names, clips.frames, strict=True):
        lines.append(",".join([name, *(f"{value:.5f}" for value in row)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
