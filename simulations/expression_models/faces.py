"""Faces with labels, read one at a time: what all data sets are turned into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image as pillow
from PIL import ImageOps

from common.errors import UsageError, WorkError
from common.randomness import generator

Image = npt.NDArray[np.uint8]
"""RGB, (height, width, 3) uint8."""
Labels = npt.NDArray[np.int64]

MOST_PIXELS: Final = 50_000_000
SMALLEST_SIDE: Final = 8
_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class DamagedImage(WorkError):
    """An image that is missing, can't be decoded, or is far too small or large."""


class ImageSource(Protocol):
    """Images by number, read on demand; sent to other processes, so it must be picklable."""

    def name(self, index: int) -> str:
        """What the image is called, for sentences."""
        ...

    def read(self, index: int) -> Image:
        """The image.

        Raises:
            DamagedImage: it can't be used.
        """
        ...


@dataclass(frozen=True)
class ImageFiles:
    """`ImageSource` of files; `root` is left out of their names."""

    paths: tuple[Path, ...]
    root: Path

    def name(self, index: int) -> str:
        """Its path within the data set."""
        return self.paths[index].relative_to(self.root).as_posix()

    def read(self, index: int) -> Image:
        """The image, upright, in RGB."""
        return read_image(self.paths[index], self.name(index))


@dataclass(frozen=True, eq=False)
class ImageArray:
    """`ImageSource` of pixels: (n, height, width, 3), or (n, height, width) for grey, uint8."""

    pixels: npt.NDArray[np.uint8]
    prefix: str = "image"

    def name(self, index: int) -> str:
        """Its number."""
        return f"{self.prefix} {index}"

    def read(self, index: int) -> Image:
        """The image; a grey one has three equal channels."""
        image = self.pixels[index]
        return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces of one part of a data set.

    Attributes:
        name: of the data set and the part.
        classes: names of the expressions, in label order.
        labels: (n,) int64, 0 to the number of classes - 1.
        source: of the images.
        rows: (n,) which image of the source each face is; by default all in their order.
        people: who each face is of, where that is known; n of them.
        synthetic: whether the faces are drawn.
    """

    name: str
    classes: tuple[str, ...]
    labels: Labels
    source: ImageSource
    rows: Labels | None = None
    people: tuple[str, ...] | None = None
    synthetic: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            UsageError: labels are outside the classes, or lengths differ.
        """
        count = len(self.labels)
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise UsageError(f"{self.name}: expected two or more classes, found {self.classes}")
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise UsageError(f"{self.name}: has labels outside 0..{len(self.classes) - 1}")
        for named in (self.rows, self.people):
            if named is not None and len(named) != count:
                raise UsageError(f"{self.name}: {count} labels, but {len(named)} rows or people")

    def __len__(self) -> int:
        return len(self.labels)

    def _row(self, index: int) -> int:
        return int(self.rows[index]) if self.rows is not None else index

    def image(self, index: int) -> Image:
        """Face `index`, RGB (height, width, 3) uint8.

        Raises:
            DamagedImage: it can't be used.
        """
        return self.source.read(self._row(index))

    def image_name(self, index: int) -> str:
        """What face `index` is called, for sentences."""
        return self.source.name(self._row(index))

    def counts(self) -> Labels:
        """(classes,) faces of each."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def part(self, indices: Iterable[int], name: str) -> FaceSet:
        """Some of the faces, in the order of `indices`."""
        chosen = np.fromiter(indices, dtype=np.int64)
        rows = self.rows[chosen] if self.rows is not None else chosen
        people = tuple(self.people[i] for i in chosen) if self.people is not None else None
        return replace(self, name=name, labels=self.labels[chosen], rows=rows, people=people)

    def digest(self) -> str:
        """Of names and labels, hexadecimal: tells whether a run goes on with the same faces."""
        told = hashlib.sha256("\x1f".join(self.classes).encode())
        for index, label in enumerate(self.labels):
            told.update(f"{self.image_name(index)}\x1f{label}\n".encode())
        return told.hexdigest()[:16]


@dataclass(frozen=True)
class FaceSplits:
    """A data set in three parts that share no face.

    Attributes:
        name: of the data set.
        train, validation, test: its parts; `test` is looked at once, after training, and is None
            where the data set has none.
        validation_is: where the validation part comes from, in words.
        left_out: what of the data set was passed over, and how much.
    """

    name: str
    train: FaceSet
    validation: FaceSet
    test: FaceSet | None
    validation_is: str
    left_out: dict[str, int] = field(default_factory=dict)

    def parts(self) -> dict[str, FaceSet]:
        """The parts that there are, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}


def split_off(
    faces: FaceSet, share: float, *, seed: int, purpose: str
) -> tuple[FaceSet, FaceSet, str]:
    """Take a share of each class (at least one face, never all), by chance and seed.

    Returns:
        What is left, what was taken off, and this in words.

    Raises:
        UsageError: the share is not between 0 and 0.9, or a class has fewer than two faces.
    """
    if not 0 < share <= 0.9:
        raise UsageError(f"the share of faces for {purpose} is {share:g}; give 0.01 to 0.9")
    taken: list[int] = []
    for label, name in enumerate(faces.classes):
        members = np.flatnonzero(faces.labels == label)
        if len(members) == 1:
            raise UsageError(
                f"{faces.name}: has one face of {name!r}, and {purpose} needs one too; "
                "add faces or leave the class out"
            )
        order = generator(seed, f"{purpose} split", user=name).permutation(len(members))
        count = min(max(1, round(share * len(members))), len(members) - 1) if len(members) else 0
        taken += members[order[:count]].tolist()
    off = np.zeros(len(faces), dtype=bool)
    off[taken] = True
    words = f"{share:.0%} of {faces.name}, of each class, drawn with seed {seed}"
    left = faces.part(np.flatnonzero(~off), faces.name)
    return left, faces.part(np.flatnonzero(off), f"{purpose} part of {faces.name}"), words


def read_image(path: Path, name: str) -> Image:
    """An image file, upright, RGB.

    Raises:
        DamagedImage: it can't be used; `name` stands in the sentence.
    """
    try:
        with pillow.open(path) as opened:
            if min(opened.size) < SMALLEST_SIDE or opened.width * opened.height > MOST_PIXELS:
                raise DamagedImage(f"{name}: is {opened.width} x {opened.height} pixels")
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise DamagedImage(f"{name}: can't be decoded ({type(error).__name__})") from error


def image_paths(folder: Path) -> list[Path]:
    """Image files in a folder, not in its subfolders, sorted by name; hidden ones left out.

    Raises:
        UsageError: the folder can't be read.
    """
    try:
        found = [path for path in folder.iterdir() if is_image(path)]
    except OSError as error:
        raise UsageError(f"{folder}: can't be read ({error.strerror})") from error
    return sorted(found)


def is_image(path: Path) -> bool:
    """Whether a name is that of an image file."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def face_files(
    name: str, classes: Sequence[str], found: Sequence[tuple[Path, int]], root: Path
) -> FaceSet:
    """Image files with their labels.

    Raises:
        UsageError: there are none.
    """
    if not found:
        raise UsageError(f"{name}: no faces were found in {root}; is it the right folder?")
    labels = np.array([label for _, label in found], dtype=np.int64)
    source = ImageFiles(tuple(path for path, _ in found), root)
    return FaceSet(name, tuple(classes), labels, source)
