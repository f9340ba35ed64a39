"""Universal heads as files: how a head that a federation made comes to a device.

A safetensors file: the arrays by name, and as JSON in its metadata the head's specification and
whatever its receiver should know (`about`).  Nothing in it is code, and nothing is believed: names,
shapes, types and values are checked against the specification.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import UsageError, WorkError
from common.files import write_atomically
from common.heads.specification import DTYPE, HeadSpecification

if TYPE_CHECKING:  # torch comes with it
    from common.heads.universal import UniversalHead

_SPECIFICATION: Final = "specification"
_ABOUT: Final = "about"
_READABLE: Final = 0o644
_STORED_DTYPE: Final = "F32"
_ADVICE: Final = "export it again with `mien simulate --save-head FILE`"


class StoredUniversal(NamedTuple):
    """What a head's file holds, read without torch."""

    specification: HeadSpecification
    arrays: dict[str, npt.NDArray[np.float32]]
    about: dict[str, Any]


def save_head(path: Path, head: UniversalHead, about: Mapping[str, Any] | None = None) -> None:
    """Write a universal head, wholly or not at all; readable by everybody, as it is no secret.

    Args:
        path: the new file.
        head: its arrays are `DTYPE`, as they travel.
        about: JSON values for the receiver: source of the data, rounds, seed, ...

    Raises:
        OSError: the file can't be written.
        ValueError: the arrays are not the specification's, or `about` is no JSON.
    """
    shapes = {name: (array.shape, array.dtype.name) for name, array in head.arrays.items()}
    expected = {name: (shape, DTYPE) for name, shape in head.specification.all_shapes().items()}
    if shapes != expected:
        raise ValueError("the head's arrays are not those of its specification")
    tensors = {name: np.ascontiguousarray(array) for name, array in head.arrays.items()}
    told = json.dumps(dict(about or {}), sort_keys=True, allow_nan=False)
    metadata = {_SPECIFICATION: head.specification.to_json(), _ABOUT: told}
    write_atomically(path, save(tensors, metadata), mode=_READABLE)


def load_head(path: Path) -> tuple[UniversalHead, dict[str, Any]]:
    """Read what `save_head` wrote: the head, and what is told about it.

    Raises:
        WorkError: the file is missing, damaged or not a universal head.
    """
    from common.heads.universal import UniversalHead

    stored = read_head(path)
    return UniversalHead(stored.specification, stored.arrays), stored.about


def read_head(path: Path) -> StoredUniversal:
    """As `load_head`, without torch.

    Raises:
        WorkError: the file is missing, damaged or not a universal head.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            specification, about = _metadata(path, file.metadata() or {})
            _check_names(path, set(file.keys()), specification)
            arrays = {
                name: _array(path, file, name, shape)
                for name, shape in specification.all_shapes().items()
            }
    except FileNotFoundError as error:
        raise WorkError(f"{path}: there is no such file; check the path of the head") from error
    except (OSError, SafetensorError, struct.error) as error:
        raise WorkError(f"{path}: this is no readable head file ({error}); {_ADVICE}") from error
    return StoredUniversal(specification, arrays, about)


def _metadata(path: Path, told: Mapping[str, str]) -> tuple[HeadSpecification, dict[str, Any]]:
    if _SPECIFICATION not in told:
        raise WorkError(f"{path}: this file holds no universal head of Mien; {_ADVICE}")
    try:
        about = json.loads(told.get(_ABOUT, "{}"))
        specification = HeadSpecification.from_json(told[_SPECIFICATION])
    except (UsageError, ValueError, RecursionError) as error:
        raise WorkError(f"{path}: what the head says of itself can't be read ({error})") from error
    if not isinstance(about, dict):
        raise WorkError(f"{path}: what is told about the head is no JSON object; {_ADVICE}")
    return specification, about


def _check_names(path: Path, found: set[str], specification: HeadSpecification) -> None:
    odd = sorted(found ^ set(specification.all_shapes()))
    if odd:
        state = "unknown" if odd[0] in found else "missing"
        raise WorkError(f"{path}: the head's array {odd[0]!r} is {state}; {_ADVICE}")


def _array(path: Path, file: Any, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    declared = file.get_slice(name)
    found = tuple(declared.get_shape()), declared.get_dtype()
    if found != (shape, _STORED_DTYPE):
        raise WorkError(
            f"{path}: the head's array {name!r} is {found[1]} {list(found[0])}, expected "
            f"{_STORED_DTYPE} {list(shape)}; {_ADVICE}"
        )
    array = np.asarray(file.get_tensor(name), dtype=np.float32)
    if not np.isfinite(array).all():
        raise WorkError(f"{path}: the head's array {name!r} is not finite; {_ADVICE}")
    return array
