"""Weights out of files, by readers that run nothing of what is in them.

Three kinds of tensor files are told apart by their first bytes: safetensors, and `torch.save` of
a state dict or of a whole network, in torch's zip archive or its older format.  Keras's HDF5 has
a reader of its own.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from common.errors import WorkError
from common.weights.archives import PICKLE_MAGIC, ZIP_MAGIC, Archive, LegacyArchive, ZipArchive
from common.weights.files import open_regular
from common.weights.keras import read_keras_h5
from common.weights.pickles import Function, PickleReader, Record, Refused, StandIn, shortened
from common.weights.stand_ins import STAND_INS

__all__ = ["read_keras_h5", "read_state_dict"]

_Kind = TypeVar("_Kind")

_DEPTH: Final = 64
_MEMBERS: Final = 100_000
_NAME_LENGTH: Final = 200
_DIMENSIONS: Final = 8
_STORAGES: Final = {
    ("torch", f"{name}Storage"): dtype
    for name, dtype in {
        "Float": torch.float32,
        "Double": torch.float64,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Name to tensor, on the CPU, of a weights file; of a whole network, its state dict.

    Names are those of torch's `state_dict()`, in its order but for safetensors. No code of the
    file or of the classes that it names is run or imported.

    Raises:
        WorkError: it can't be read, is damaged, or holds something else than weights.
    """
    try:
        with open_regular(path) as file:
            return _read(file, path)
    except OSError as error:
        raise WorkError(f"{path}: can't be read ({error.strerror})") from error
    except (Refused, SafetensorError) as error:
        raise WorkError(f"{path}: not read, since {error}; get the genuine file") from error


def _read(file: BinaryIO, path: Path) -> dict[str, Tensor]:
    size = os.fstat(file.fileno()).st_size
    start = file.read(9)
    file.seek(0)
    if start.startswith(ZIP_MAGIC):
        return _state(_Tensors(ZipArchive(file, size)).read())
    if start.startswith(PICKLE_MAGIC):
        return _state(_Tensors(LegacyArchive(file, size)).read())
    if start[8:9] == b"{":
        return dict(load_file(path))
    raise Refused("it is neither a safetensors file nor one of torch.save")


def _state(saved: object) -> dict[str, Tensor]:
    if isinstance(saved, Record):
        found: dict[str, Tensor] = {}
        _Collector(found).add(saved, "", 0)
        return found
    if not isinstance(saved, dict):
        raise Refused(f"it holds a {type(saved).__name__}, expected a state dict or a network")
    for name, value in saved.items():
        if not isinstance(value, Tensor):
            raise Refused(
                f"its entry {shortened(name)} is a {type(value).__name__}, expected a tensor"
            )
    return saved


class _Collector:
    """Walks a network's records; ends where one contains itself, or another a million times."""

    def __init__(self, found: dict[str, Tensor]) -> None:
        self._found = found
        self._left = _MEMBERS

    def add(self, module: Record, prefix: str, depth: int) -> None:
        if depth > _DEPTH:
            raise Refused(f"its network is more than {_DEPTH} layers deep")
        transient = module.state.get("_non_persistent_buffers_set")
        left_out = transient if isinstance(transient, set) else set()
        for name, value in self._members(module, "_parameters", Tensor):
            self._found[prefix + name] = value
        for name, value in self._members(module, "_buffers", Tensor):
            if name not in left_out:
                self._found[prefix + name] = value
        for name, child in self._members(module, "_modules", Record):
            self.add(child, f"{prefix}{name}.", depth + 1)

    def _members(self, module: Record, part: str, kind: type[_Kind]) -> list[tuple[str, _Kind]]:
        """What a layer has of a kind, without the places that it left empty."""
        members = module.state.get(part)
        if not isinstance(members, dict):
            raise Refused(f"its {module.kind.name} has no {part}")
        self._left -= 1 + len(members)
        if self._left < 0:
            raise Refused(f"its network has more than {_MEMBERS} parts")
        if not all(len(name) <= _NAME_LENGTH for name in members):
            raise Refused(f"its {module.kind.name} has a name of more than {_NAME_LENGTH} letters")
        present = [(name, value) for name, value in members.items() if value is not None]
        if not all(isinstance(value, kind) for _, value in present):
            raise Refused(f"its {module.kind.name} has a wrong kind of object in {part}")
        return present


class _Tensors:
    """Puts the tensors of one archive together."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: dict[str, Tensor] = {}

    def read(self) -> object:
        reader = PickleReader(_resolve, self._persistent)
        saved = reader.read(self._archive.pickle())
        self._archive.finish()
        return saved

    def _persistent(self, reference: object) -> object:
        """A storage; in the older format also a class, beside its source text."""
        match reference:
            case ("module", StandIn() as kind, _, _):
                return kind
            case ("storage", torch.dtype() as dtype, str(key), str(), int(count)):
                return self._storage(dtype, key, count)
            case ("storage", torch.dtype() as dtype, str(key), str(), int(count), None):
                return self._storage(dtype, key, count)
        raise Refused("its pickle refers to content in an unknown way")

    def _storage(self, dtype: torch.dtype, key: str, count: int) -> Tensor:
        if count < 0:
            raise Refused("it has a storage of less than no elements")
        if key not in self._known:
            content = self._archive.storage(key, count * dtype.itemsize)
            empty = torch.empty(0, dtype=dtype)
            self._known[key] = torch.frombuffer(content, dtype=dtype) if content else empty
        found = self._known[key]
        if found.dtype != dtype or len(found) != count:
            raise Refused(f"its storage {shortened(key)} is declared in two ways")
        return found


def _resolve(module: str, name: str) -> object:
    """What stands for a global of a pickle."""
    if (module, name) in STAND_INS:
        return StandIn(f"{module}.{name}")
    known = _STORAGES.get((module, name)) or _FUNCTIONS.get((module, name))
    if known is None:
        wanted = shortened(f"{module}.{name}")
        raise Refused(f"its pickle asks for {wanted}, which no weights file needs")
    return known


def _rebuilt_tensor(arguments: tuple[object, ...]) -> Tensor:
    """A view of a storage: (storage, offset, size, stride, ...), all in elements."""
    match arguments:
        case (Tensor() as storage, int(offset), tuple(size), tuple(stride), *_):
            pass
        case _:
            raise Refused("its pickle has a tensor with unknown parts")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > _DIMENSIONS or not all(map(_is_count, numbers)):
        raise Refused("its pickle has a tensor with an impossible size or stride")
    reach = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    elements = math.prod(size)
    # Without the first rule, a stride of 0 would make terabytes out of one number.
    if elements > len(storage) or offset + (reach if elements else -1) >= len(storage):
        raise Refused(f"its pickle has a tensor of size {size} that leaves its storage")
    return storage.as_strided(size, stride, offset)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _rebuilt_parameter(arguments: tuple[object, ...]) -> Tensor:
    """A parameter is its tensor: (tensor, needs gradient, hooks)."""
    match arguments:
        case (Tensor() as tensor, bool(), dict(hooks)) if not hooks:
            return tensor
    raise Refused("its pickle has a parameter with unknown parts")


def _dictionary(arguments: tuple[object, ...]) -> dict[str, object]:
    if arguments:
        raise Refused("its pickle fills an ordered dictionary in an unknown way")
    return {}


def _set(arguments: tuple[object, ...]) -> set[object]:
    match arguments:
        case (list(items),) if all(isinstance(item, str) for item in items):
            return set(items)
    raise Refused("its pickle has a set of something else than names")


def _size(arguments: tuple[object, ...]) -> tuple[object, ...]:
    match arguments:
        case (tuple(lengths),):
            return lengths
    raise Refused("its pickle has a size with unknown parts")


_FUNCTIONS: Final = {
    (module, name): Function(f"{module}.{name}", run)
    for module, name, run in (
        ("torch._utils", "_rebuild_tensor", _rebuilt_tensor),
        ("torch._utils", "_rebuild_tensor_v2", _rebuilt_tensor),
        ("torch._utils", "_rebuild_parameter", _rebuilt_parameter),
        ("collections", "OrderedDict", _dictionary),
        ("__builtin__", "set", _set),
        ("builtins", "set", _set),
        ("torch", "Size", _size),
    )
}
