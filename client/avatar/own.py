"""A head for avatars: of one user's own drawn avatar, or of many people's labelled ones.

A device has its user's drawn avatar with the expression of each picture; nobody else's avatar looks
like it, and nothing has to be labelled.  The correction is fitted as a user's own head is
(`maximum_a_posteriori`), on the backbone's own logits and features in the avatars' own units, and
stays away where it does not help.  Fitting needs torch; reading does not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from client.avatar.check import AVATAR, Checker
from client.avatar.sources.sheet import LEVELS, AvatarSheet
from client.vault.records import Floats
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.files import write_atomically
from common.heads.standardise import Rows, own_scale, own_units, power
from common.video import Image

CLASSES: Final = len(EXPRESSIONS)
_TURNS: Final = ((0.0, 1.0), (4.0, 0.95), (-4.0, 1.05))
"""Degrees and scales in which a sheet's pictures are read."""
REASON: Final = "read by what the device's own drawings of this avatar show"


@dataclass(frozen=True, eq=False)
class OwnAvatar:
    """`Reader` of one drawn avatar.

    Attributes:
        spec: of the features that it reads.
        weight: (8, dimension), of the correction.
        bias: (8,).
        times: what the backbone's own logits are multiplied by.
        mean: (dimension,) of the sheet's features.
        spread: (dimension,), above 0.

    Raises:
        WorkError: the shapes don't fit, or numbers are not finite.
    """

    spec: str
    weight: Rows
    bias: Rows
    times: float
    mean: Rows
    spread: Rows

    def __post_init__(self) -> None:
        width = self.mean.shape
        fits = self.weight.shape == (CLASSES, *width) and len(width) == 1
        fits = fits and self.spread.shape == width and self.bias.shape == (CLASSES,)
        if not fits or not all(np.isfinite(each).all() for each in self.arrays().values()):
            raise WorkError("the avatar's own head is not whole; make the avatar anew")

    @property
    def kind(self) -> str:
        """`AVATAR`."""
        return AVATAR

    @property
    def reason(self) -> str:
        """Why this head, one sentence."""
        return REASON

    def logits(self, features: Floats, own: Floats | None) -> Floats:
        """See `client.recognition.readers.Reader`.

        Raises:
            WorkError: the features are of another length.
        """
        if features.shape[1:] != self.mean.shape:
            raise WorkError(
                f"features have {features.shape[1]} numbers, the avatar's own head reads "
                f"{len(self.mean)}; make the avatar anew with `mien avatar new`"
            )
        universal = np.zeros(CLASSES) if own is None else np.asarray(own, np.float64)
        row = own_units(power(features.max(axis=0, keepdims=True)), (self.mean, self.spread))[0]
        return np.asarray(self.times * universal + self.weight @ row + self.bias, np.float32)

    def arrays(self) -> dict[str, Rows]:
        """Its numbers by name."""
        return {
            "weight": self.weight,
            "bias": self.bias,
            "times": np.array([self.times]),
            "mean": self.mean,
            "spread": self.spread,
        }


def own_avatar_from(spec: str, arrays: Mapping[str, Any]) -> OwnAvatar:
    """Inverse of `OwnAvatar.arrays`.

    Raises:
        WorkError: an array is missing or does not fit.
    """
    try:
        told = {name: np.asarray(arrays[name], np.float64) for name in _NAMES}
        times = float(told.pop("times")[0])
    except (KeyError, IndexError) as error:
        raise WorkError("the avatar's own head is not whole; make the avatar anew") from error
    return OwnAvatar(spec=spec, times=times, **told)


_NAMES: Final = ("weight", "bias", "times", "mean", "spread")


def fit_own_avatar(checker: Checker, sheet: AvatarSheet) -> OwnAvatar:
    """The head for a sheet's avatar: reads all its pictures, some milliseconds each.

    Mirrored and turned ones are read too, so that other poses and strengths than the sheet's are
    known again.

    Raises:
        WorkError: the backbone can't read them.
    """
    labels = np.repeat(np.tile(np.arange(CLASSES), LEVELS), 2 * len(_TURNS))
    pictures = (each for row in sheet.pictures for picture in row for each in _varied(picture))
    return fit_avatar_head(checker, pictures, labels)


def _varied(picture: Image) -> Iterator[Image]:
    import cv2

    middle = (picture.shape[1] / 2, picture.shape[0] / 2)
    for degrees, scale in _TURNS:
        turn = cv2.getRotationMatrix2D(middle, degrees, scale)
        size = picture.shape[1::-1]
        moved = cv2.warpAffine(picture, turn, size, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)
        yield np.ascontiguousarray(moved[:, ::-1]).astype(np.uint8)


def fit_avatar_head(
    checker: Checker,
    pictures: Iterable[Image],
    labels: Sequence[int] | npt.NDArray[np.int64],
    *,
    strength: float | None = None,
) -> OwnAvatar:
    """A head for avatars from pictures whose expressions are known.

    Args:
        checker: reads them.
        pictures: RGB, at least one; looked at one at a time.
        labels: of them, indices into `EXPRESSIONS`.
        strength: precision of the prior on the correction; None chooses it by evidence, no
            correction included.

    Raises:
        WorkError: the backbone can't read them.
    """
    from client.personalisation.heads import PersonalSettings
    from client.personalisation.maximum_a_posteriori import Prior, choose_personal, fit_personal

    reads = [checker.read_avatar(picture) for picture in pictures]
    features = power(np.concatenate([each.features for each in reads]))
    nothing = np.zeros(CLASSES)
    logits = np.array([nothing if each.own is None else each.own for each in reads], np.float64)
    mean, spread = own_scale(features)
    units = own_units(features, (mean, spread))
    known = np.asarray(labels, np.int64)
    if strength is None:
        head = choose_personal(logits, units, known, Prior()).head
    else:
        head = fit_personal(logits, units, known, PersonalSettings(strength=strength))
    return OwnAvatar(checker.spec, head.weight, head.bias, head.scale, mean, spread)


def save_avatar_head(path: Path, head: OwnAvatar) -> None:
    """Write a head for avatars as safetensors, wholly or not at all.

    Raises:
        UsageError: it can't be written there.
    """
    arrays = {name: np.ascontiguousarray(value) for name, value in head.arrays().items()}
    try:
        write_atomically(path, save(arrays, {_SPEC: head.spec}))
    except OSError as error:
        raise UsageError(f"{path}: can't be written ({error.strerror})") from error


def load_avatar_head(path: Path) -> OwnAvatar:
    """Inverse of `save_avatar_head`.

    Raises:
        WorkError: it is missing, damaged or no such head.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            spec = (file.metadata() or {}).get(_SPEC, "")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, struct.error) as error:
        raise WorkError(f"{path}: is no readable head for avatars ({error})") from error
    return own_avatar_from(spec, arrays)


_SPEC: Final = "mien-avatar-head/1"
