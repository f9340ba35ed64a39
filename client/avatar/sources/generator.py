"""Avatars by any image-to-image network, with the weights S and C where it has them.

DualStyleGAN (Yang et al., CVPR 2022) mixes a face's own style with that of a portrait: S says how
much of the portrait's structure is taken, C how much of its colours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from client.avatar.sources.description import (
    COLOUR,
    IMAGE,
    STRUCTURE,
    STYLE,
    Description,
    Input,
    read_description,
)
from client.avatar.sources.interface import Probabilities, check_picture, check_probabilities
from client.avatar.sources.networks import Floats, Run, open_network, pinned_content
from common.errors import UsageError, WorkError
from common.video import Image

_LARGEST_STYLE: Final = 64 << 20
_LEVELS: Final = 255.0


@dataclass(frozen=True, eq=False)
class Generator:
    """`AvatarSource` by a network; make it with `load_generator`.

    Attributes:
        about: how it is run.
        structure: weight S in use; None where it has none.
        colour: weight C likewise.
    """

    about: Description
    structure: float | None
    colour: float | None
    _run: Run = field(repr=False)
    _encode: Run | None = field(repr=False)
    _styles: Mapping[str, Floats] = field(repr=False)

    @property
    def name(self) -> str:
        """What its description calls it, with the weights in use."""
        weights = (("S", self.structure), ("C", self.colour))
        told = ", ".join(f"{name} = {value:g}" for name, value in weights if value is not None)
        return f"{self.about.name} ({told})" if told else self.about.name

    @property
    def digest(self) -> str:
        """SHA-256 of the files' digests, the weights and how they are run."""
        return hashlib.sha256(repr((self.about, self.structure, self.colour)).encode()).hexdigest()

    def weighted(self, *, structure: float | None = None, colour: float | None = None) -> Generator:
        """The same network with other weights; None leaves one as it is.

        Raises:
            UsageError: it has no such weight, or it is not between 0 and 1.
        """
        _check_weight(self.about, STRUCTURE, self.structure, structure)
        _check_weight(self.about, COLOUR, self.colour, colour)
        return replace(
            self,
            structure=self.structure if structure is None else structure,
            colour=self.colour if colour is None else colour,
        )

    def draw(self, face: Image, probabilities: Probabilities) -> Image:
        """The face by the network; see `AvatarSource`. The expression is the face's own."""
        check_probabilities(probabilities)
        return self.picture(face)

    def picture(self, face: Image) -> Image:
        """As `draw`, without probabilities: the network sees the expression itself.

        Args:
            face: RGB, any size; made square by `squared`.

        Raises:
            UsageError: it is no picture.
            WorkError: the network fails, or answers with no picture.
        """
        image = to_levels(squared(check_picture(face, "the face"), self.about.size), self.about)
        if self._encode is not None:
            image = self._encode({self._input(IMAGE).name: image})
        return self._picture(self._run(self._inputs(image)))

    def _input(self, gives: str) -> Input:
        return next(each for each in self.about.inputs if each.gives == gives)

    def _inputs(self, image: Floats) -> dict[str, Floats]:
        """In the description's order, by which TorchScript goes."""
        return {each.name: self._value(each, image) for each in self.about.inputs}

    def _value(self, input: Input, image: Floats) -> Floats:
        if input.gives == IMAGE:
            return image
        if input.gives == STYLE:
            return self._styles[input.name]
        weights = [self.structure or 0.0] * input.counts[0] + [self.colour or 0.0] * input.counts[1]
        return np.array(weights, dtype=np.float32).reshape(input.shape)

    def _picture(self, found: Floats) -> Image:
        if found.ndim != 4 or found.shape[:2] != (1, 3) or not found.size:
            raise WorkError(
                f"{self.about.file.path}: gives {list(found.shape)}, expected one RGB picture, "
                "[1, 3, height, width]"
            )
        if not np.isfinite(found).all():
            raise WorkError(f"{self.about.file.path}: gives a picture that is not finite")
        low, high = self.about.output_range
        levels = (found[0].transpose(1, 2, 0) - low) * (_LEVELS / (high - low))
        return np.ascontiguousarray(np.clip(np.rint(levels), 0, _LEVELS).astype(np.uint8))


def load_generator(
    path: Path,
    *,
    trust: str = "",
    structure: float | None = None,
    colour: float | None = None,
    threads: int = 2,
) -> Generator:
    """Load a generator with its description, its style and its encoder.

    Args:
        path: of the network; the description stands beside it.
        trust: see `networks.open_network`.
        structure: weight S in place of the description's.
        colour: weight C likewise.
        threads: of ONNX Runtime.

    Raises:
        UsageError: a file is missing or another than described, TorchScript is not trusted, or a
            weight is out of range.
        WorkError: a file is not what it should be.
    """
    about = read_description(path)
    run = open_network(about.file, output=about.output, trust=trust, threads=threads)
    encode = None
    if about.encoder is not None:
        encode = open_network(about.encoder, trust=trust, threads=threads)
    styles = {each.name: _style(each) for each in about.inputs if each.style is not None}
    made = Generator(about, about.structure, about.colour, run, encode, styles)
    return made.weighted(structure=structure, colour=colour)


def _style(input: Input) -> Floats:
    if input.style is None:
        raise WorkError(f"input {input.name!r} has no style's file")
    try:
        arrays = load(pinned_content(input.style, _LARGEST_STYLE))
    except SafetensorError as error:
        raise WorkError(f"{input.style.path}: is no safetensors file ({error})") from error
    if input.tensor not in arrays:
        raise WorkError(
            f"{input.style.path}: has no array {input.tensor!r}; it has {', '.join(sorted(arrays))}"
        )
    style = arrays[input.tensor].astype(np.float32)
    if not np.isfinite(style).all():
        raise WorkError(f"{input.style.path}: its array {input.tensor!r} is not finite")
    return style


def _check_weight(about: Description, name: str, has: float | None, wanted: float | None) -> None:
    if wanted is None:
        return
    if has is None:
        raise UsageError(f"{about.file.path}: this generator has no {name} weight; leave it out")
    if not 0 <= wanted <= 1:
        raise UsageError(f"the {name} weight is {wanted:g}, expected 0 to 1")


def squared(picture: Image, size: int) -> Image:
    """The middle square of a picture, (size, size, 3), averaged where it gets smaller."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    how = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), dtype=np.uint8)


def to_levels(picture: Image, about: Description) -> Floats:
    """(1, 3, size, size) in the network's range."""
    low, high = about.range
    planes = picture.transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray(planes * np.float32((high - low) / _LEVELS) + np.float32(low))
