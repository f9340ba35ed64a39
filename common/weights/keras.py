"""Arrays out of Keras 2's HDF5 files: of a whole model (group `model_weights`) or weights only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from common.errors import WorkError
from common.weights.files import open_regular

Arrays = dict[str, npt.NDArray[np.generic]]

_OBJECTS: Final = 100_000
_DEPTH: Final = 16


def read_keras_h5(path: Path) -> dict[str, Arrays]:
    """Layer to its arrays, those named by their path below the layer, as `conv/kernel:0`.

    Layers without arrays are left out; the order is by name. A nested model is one layer. What
    leads out of the file (links, virtual and external data) is refused, and so is what would be
    more than the file's bytes once in memory.

    Raises:
        WorkError: it can't be read, is damaged, or holds something else than weights.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            with h5py.File(file, "r") as content:
                return _Reader(path, size).layers(content)
    # h5py turns errors of the HDF5 library into these.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WorkError(f"{path}: not a readable HDF5 file ({error})") from error


class _Reader:
    """One walk through one file, with what is left of what it may take."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._bytes = size
        self._objects = _OBJECTS

    def layers(self, content: Any) -> dict[str, Arrays]:
        root = self._member(content, "model_weights") if "model_weights" in content else content
        found: dict[str, Arrays] = {}
        for name in root:
            layer = self._member(root, name)
            if not isinstance(layer, h5py.Group):
                raise self._error(f"{name} is no layer of a Keras model")
            arrays: Arrays = {}
            self._collect(layer, "", arrays, 0)
            if arrays:
                found[name] = arrays
        if not found:
            raise self._error("there are no layers with weights in it")
        return found

    def _collect(self, group: Any, prefix: str, arrays: Arrays, depth: int) -> None:
        if depth > _DEPTH:
            raise self._error("its groups are nested without end")
        for name in group:
            member = self._member(group, name)
            if isinstance(member, h5py.Group):
                self._collect(member, f"{prefix}{name}/", arrays, depth + 1)
            else:
                arrays[prefix + name] = self._array(member)

    def _member(self, group: Any, name: str) -> Any:
        self._objects -= 1
        if self._objects < 0:
            raise self._error(f"it has more than {_OBJECTS} objects")
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise self._error(f"{name} is a link that leads elsewhere")
        return group[name]

    def _array(self, dataset: Any) -> npt.NDArray[np.generic]:
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
            raise self._error(f"{dataset.name} holds no numbers")
        if dataset.is_virtual or dataset.external or dataset.id.get_create_plist().get_nfilters():
            raise self._error(f"{dataset.name} is virtual, external or compressed")
        self._bytes -= dataset.nbytes
        if self._bytes < 0:
            raise self._error("its arrays declare more bytes than the file has")
        return np.array(dataset)

    def _error(self, reason: str) -> WorkError:
        return WorkError(f"{self._path}: not read, since {reason}; get the genuine file")
