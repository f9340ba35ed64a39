"""The networks' weights: those that come inside facenet-pytorch, as plain arrays.

The package's files are torch archives.  They are read once, and kept as safetensors in Mien's
cache: whoever detects faces later need not import torch, which takes seconds and 300 MB.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.errors import WorkError
from common.files import private_folder, write_atomically
from common.paths import cache_folder
from common.weights.files import WeightsFile

Weights = dict[str, npt.NDArray[np.float32]]
"""Array by its name in facenet-pytorch's networks, after "pnet.", "rnet." or "onet."."""

_SHA256: Final = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
_CONVERTED_SHA256: Final = "45209c89a01a216d7ae9baf3fa8e506dfb0e8ff1269007ce26e28338a9148cd3"


def mtcnn_weights(cache: Path | None = None) -> Weights:
    """All arrays of the three networks.

    Args:
        cache: folder of the converted file; Mien's cache by default.

    Raises:
        WorkError: facenet-pytorch is missing or carries other weights than expected.
    """
    path = (cache or cache_folder() / "weights") / "mtcnn.safetensors"
    return _converted(path) or _convert(path)


def _converted(path: Path) -> Weights | None:
    """The arrays of an earlier conversion; None where there is none or it is not the expected."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != _CONVERTED_SHA256:
            return None
        return dict(load(content))
    except (OSError, SafetensorError):
        return None


def _convert(path: Path) -> Weights:
    arrays: Weights = {}
    for network, sha256 in _SHA256.items():
        for name, array in _torch_arrays(network, sha256).items():
            arrays[f"{network}.{name}"] = array
    try:
        private_folder(path.parent)
        write_atomically(path, save({name: arrays[name] for name in sorted(arrays)}))
    except OSError:
        # Only speed is lost: the next process converts again.
        return arrays
    return arrays


def _torch_arrays(network: str, sha256: str) -> Weights:
    from common.weights.tensors import read_state_dict

    path = _package_folder() / "data" / f"{network}.pt"
    WeightsFile(name=path.name, source="facenet-pytorch 2.6.0", licence="MIT", sha256=sha256).check(
        path
    )
    state = read_state_dict(path)
    return {name: np.ascontiguousarray(array.numpy(), np.float32) for name, array in state.items()}


def _package_folder() -> Path:
    # find_spec looks the package up without running it: importing it imports torch.
    spec = importlib.util.find_spec("facenet_pytorch")
    if spec is None or not spec.submodule_search_locations:
        raise WorkError("the package facenet-pytorch, which carries the face detector, is missing")
    return Path(next(iter(spec.submodule_search_locations)))
