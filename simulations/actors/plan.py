"""Which takes are drawn and how: a subset of RAVDESS's speech recordings."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.ravdess import AUDIO_VIDEO, SPEECH, VIDEO_ONLY, ClipName
from simulations.actors.face import MINIMUM_SIZE

_NORMAL = 1


@dataclass(frozen=True)
class ClipPlan:
    """The default is RAVDESS's speech part: 60 takes per actor, as neutral is never strong.

    `modality` is 1 or 2 and names the files only: synthetic clips have no sound in either.
    `frames` per clip, `size` in pixels, `fps` in frames per second, `noise` of the camera as
    standard deviation in grey levels.

    Raises:
        UsageError: a field is outside what RAVDESS names or the renderer allow.
    """

    statements: tuple[int, ...] = (1, 2)
    intensities: tuple[int, ...] = (1, 2)
    repetitions: tuple[int, ...] = (1, 2)
    frames: int = 14
    size: int = 240
    fps: int = 25
    noise: float = 2.5
    modality: int = AUDIO_VIDEO

    def __post_init__(self) -> None:
        for field in ("statements", "intensities", "repetitions"):
            _check_choice(field, getattr(self, field))
        if self.frames < 2 or self.fps < 1:
            raise UsageError(
                f"clips of {self.frames} frames at {self.fps} per second cannot be drawn: "
                "use at least 2 frames and 1 per second"
            )
        if self.size < MINIMUM_SIZE or self.size % 2:
            raise UsageError(
                f"frame size {self.size} cannot be encoded: use an even number from {MINIMUM_SIZE}"
            )
        if self.modality not in (AUDIO_VIDEO, VIDEO_ONLY):
            raise UsageError(
                f"modality {self.modality} is no video: use {AUDIO_VIDEO} or {VIDEO_ONLY}"
            )
        if not 0.0 <= self.noise <= 30.0:
            raise UsageError(f"camera noise {self.noise} is out of range: use 0 to 30 grey levels")

    def clips(self, actor: int) -> list[ClipName]:
        """The names of one actor's clips, in RAVDESS order."""
        return [
            ClipName(self.modality, SPEECH, expression, intensity, statement, repetition, actor)
            for expression in range(1, len(EXPRESSIONS) + 1)
            for intensity in self.intensities
            if expression > 1 or intensity == _NORMAL
            for statement in self.statements
            for repetition in self.repetitions
        ]


def _check_choice(field: str, values: tuple[int, ...]) -> None:
    if not values or not set(values) <= {1, 2} or len(set(values)) != len(values):
        raise UsageError(f"{field} are {values}: use (1,), (2,) or (1, 2)")
