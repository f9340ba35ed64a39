"""The JSON file that stands beside a generator and says how it is run.

    {
     "format": "mien-avatar-generator/1",
     "name": "DualStyleGAN, Pixar",
     "sha256": "of the generator's file, 64 hexadecimal digits",
     "size": 256,
     "range": [-1, 1],
     "margin": 0.3,
     "inputs": [
      {"name": "image", "gives": "image"},
      {"name": "exstyle", "gives": "style", "file": "pixar.safetensors", "tensor": "exstyle",
       "sha256": "of that file"},
      {"name": "weights", "gives": "weights", "structure": 7, "colour": 11, "shape": [18]}
     ],
     "output": {"name": "avatar", "range": [-1, 1]},
     "structure": 0.225,
     "colour": 0.1
    }

`inputs` stand in the generator's own order (TorchScript has no names).  What an input `gives`:
`image`, the face; `style`, an array from a safetensors file; `structure` and `colour`, the weights
S and C, each a number repeated to `shape`; `weights`, both in one vector, S as often as `structure`
says and then C as often as `colour` says (DualStyleGAN mixes 18 layers: 7 of structure, 11 of
colour).  `encoder` may name another file with its SHA-256: its only output then takes the image's
place (DualStyleGAN's W+ encoder).  Generators without weights (AnimeGAN) leave S and C out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from common.errors import UsageError

FORMAT: Final = "mien-avatar-generator/1"
IMAGE, STYLE, STRUCTURE, COLOUR, WEIGHTS = GIVES = (
    *("image", "style", "structure", "colour", "weights"),
)
SMALLEST, LARGEST = 16, 2048
MOST_WEIGHTS: Final = 1024
_LARGEST_FILE: Final = 64 * 1024
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_PLAIN_NAME: Final = re.compile(r"[^/\\\0]{1,255}")
_KEYS: Final = {
    *("format", "name", "sha256", "size", "range", "margin", "inputs", "output"),
    *("structure", "colour", "encoder"),
}
_INPUT_KEYS: Final = {
    IMAGE: set[str](),
    STYLE: {"file", "sha256", "tensor"},
    STRUCTURE: {"shape"},
    COLOUR: {"shape"},
    WEIGHTS: {"shape", "structure", "colour"},
}

Range = tuple[float, float]


@dataclass(frozen=True)
class PinnedFile:
    """A file beside the description, and the SHA-256 that it must have."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Input:
    """One of a generator's inputs.

    Attributes:
        name: of it.
        gives: one of `GIVES`.
        shape: of weights.
        counts: how often S and C stand in it, one after the other; (0, 0) for others.
        style: file of a style.
        tensor: name of the array in that file.
    """

    name: str
    gives: str
    shape: tuple[int, ...] = ()
    counts: tuple[int, int] = (0, 0)
    style: PinnedFile | None = None
    tensor: str = ""


@dataclass(frozen=True, kw_only=True)
class Description:
    """How a generator is run; see the module.

    Attributes:
        name: for people.
        file: the generator.
        encoder: run before it, on the image.
        size: side of the square picture it takes, pixels.
        range: of the levels 0 and 255 on the way in.
        output_range: of the levels 0 and 255 on the way out.
        output: name of its output; empty for its only one.
        margin: of the crop about the face, share of its side.
        inputs: in order.
        structure: weight S that it is used with; None where it has none.
        colour: weight C likewise.
    """

    name: str
    file: PinnedFile
    encoder: PinnedFile | None
    size: int
    range: Range
    output_range: Range
    output: str
    margin: float
    inputs: tuple[Input, ...]
    structure: float | None
    colour: float | None


def description_path(generator: Path) -> Path:
    """Where a generator's description is: the same name with the ending .json."""
    return generator.with_suffix(".json")


def read_description(generator: Path) -> Description:
    """What stands beside a generator's file.

    Raises:
        UsageError: it is missing, no description, or says what can't be.
    """
    path = description_path(generator)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: a generator needs this description beside it ({error.strerror}); "
            "docs/avatars.md says what stands in it"
        ) from error
    try:
        told = json.loads(content[:_LARGEST_FILE])
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is no JSON ({error})") from error
    try:
        return _description(generator, told)
    except _WrongError as error:
        raise UsageError(f"{path}: {error}") from error


class _WrongError(Exception):
    """What is wrong, without the file's name."""


def _description(generator: Path, told: Any) -> Description:
    _check(isinstance(told, dict), f"is {type(told).__name__}, expected a JSON object")
    _check(told.get("format") == FORMAT, f"format is {told.get('format')!r:.60}, not {FORMAT!r}")
    _only(told, _KEYS, "the description")
    folder = generator.parent
    inputs = tuple(_input(folder, each) for each in _list(told.get("inputs"), "inputs"))
    gives = [each.gives for each in inputs]
    _check(gives.count(IMAGE) == 1, "inputs need exactly one that gives the image")
    size = told.get("size")
    sized = type(size) is int and SMALLEST <= size <= LARGEST
    _check(sized, f"size is {size!r:.40}, expected {SMALLEST} to {LARGEST} pixels")
    output = told.get("output", {})
    _check(isinstance(output, dict), "output is no JSON object")
    _only(output, {"name", "range"}, "output")
    encoder = told.get("encoder")
    return Description(
        name=_text(told.get("name"), "name"),
        file=PinnedFile(generator, _digest(told.get("sha256"), "sha256")),
        encoder=None if encoder is None else _pinned(folder, encoder, "encoder"),
        size=int(size or 0),
        range=_range(told.get("range", (-1, 1)), "range"),
        output_range=_range(output.get("range", (-1, 1)), "output's range"),
        output=_text(output["name"], "output's name") if "name" in output else "",
        margin=_number(told.get("margin", 0.3), "margin", 0.0, 2.0),
        inputs=inputs,
        structure=_weight(told, STRUCTURE, gives),
        colour=_weight(told, COLOUR, gives),
    )


def _input(folder: Path, told: Any) -> Input:
    _check(isinstance(told, dict), "an input is no JSON object")
    name, gives = _text(told.get("name"), "an input's name"), told.get("gives")
    known = isinstance(gives, str) and gives in GIVES
    _check(known, f"input {name!r} gives {gives!r:.40}, expected one of {', '.join(GIVES)}")
    _only(told, {"name", "gives"} | _INPUT_KEYS[str(gives)], f"input {name!r}")
    if gives == IMAGE:
        return Input(name=name, gives=IMAGE)
    if gives == STYLE:
        pinned = _pinned(folder, told, f"input {name!r}")
        tensor = _text(told.get("tensor"), f"tensor of input {name!r}")
        return Input(name=name, gives=STYLE, style=pinned, tensor=tensor)
    return _weights(name, str(gives), told)


def _weights(name: str, gives: str, told: Mapping[str, Any]) -> Input:
    if gives == WEIGHTS:
        counts = (_count(told, STRUCTURE, name), _count(told, COLOUR, name))
        shape = _shape(told.get("shape", [sum(counts)]), name)
        fits = math.prod(shape) == sum(counts)
        _check(fits, f"shape {list(shape)} of input {name!r} does not hold {sum(counts)} weights")
    else:
        shape = _shape(told.get("shape", [1]), name)
        count = math.prod(shape)
        counts = (count, 0) if gives == STRUCTURE else (0, count)
    return Input(name=name, gives=gives, shape=shape, counts=counts)


def _weight(told: Mapping[str, Any], name: str, gives: list[str]) -> float | None:
    takes = name in gives or WEIGHTS in gives
    if not takes:
        _check(name not in told, f"{name} is given, but no input takes it")
        return None
    _check(name in told, f"{name} is missing: the weight that this generator is used with")
    return _number(told[name], name, 0.0, 1.0)


def _pinned(folder: Path, told: Any, what: str) -> PinnedFile:
    _check(isinstance(told, dict), f"{what} is no JSON object")
    if what == "encoder":
        _only(told, {"file", "sha256"}, what)
    name = told.get("file")
    plain = isinstance(name, str) and _PLAIN_NAME.fullmatch(name) and name not in (".", "..")
    _check(bool(plain), f"file of {what} is {name!r:.80}, expected the name of a file beside it")
    return PinnedFile(folder / str(name), _digest(told.get("sha256"), f"sha256 of {what}"))


def _shape(told: Any, name: str) -> tuple[int, ...]:
    good = isinstance(told, list | tuple) and len(told) <= 4
    good = good and all(type(each) is int and 0 < each <= MOST_WEIGHTS for each in told)
    good = good and math.prod(told) <= MOST_WEIGHTS
    _check(
        good, f"shape of input {name!r} is {told!r:.60}, expected at most {MOST_WEIGHTS} numbers"
    )
    return tuple(told)


def _count(told: Mapping[str, Any], key: str, name: str) -> int:
    count = told.get(key)
    good = type(count) is int and 0 <= count <= MOST_WEIGHTS
    _check(good, f"{key} of input {name!r} is {count!r:.40}, expected how often it stands there")
    return int(count or 0)


def _digest(told: Any, what: str) -> str:
    good = isinstance(told, str) and _DIGEST.fullmatch(told)
    _check(bool(good), f"{what} is {told!r:.80}, expected 64 hexadecimal digits (sha256sum FILE)")
    return str(told)


def _range(told: Any, what: str) -> Range:
    good = isinstance(told, list | tuple) and len(told) == 2
    good = good and all(type(each) in (int, float) and math.isfinite(each) for each in told)
    good = good and told[0] < told[1]
    _check(good, f"{what} is {told!r:.60}, expected two numbers, the smaller first")
    return float(told[0]), float(told[1])


def _number(told: Any, what: str, low: float, high: float) -> float:
    good = type(told) in (int, float) and math.isfinite(told) and low <= told <= high
    _check(good, f"{what} is {told!r:.40}, expected {low:g} to {high:g}")
    return float(told)


def _text(told: Any, what: str) -> str:
    good = isinstance(told, str) and 0 < len(told) <= 200 and told.isprintable()
    _check(good, f"{what} is {told!r:.80}, expected printable text")
    return str(told)


def _list(told: Any, what: str) -> list[Any]:
    _check(isinstance(told, list) and 0 < len(told) <= 8, f"{what} are no list of 1 to 8 inputs")
    return list(told)


def _only(told: Mapping[str, Any], known: set[str], what: str) -> None:
    odd = sorted(set(told) - known)
    _check(not odd, f"{what} has {odd[:1]}, which is not understood" if odd else "")


def _check(good: bool, text: str) -> None:
    if not good:
        raise _WrongError(text)
