from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import WorkError
from common.video.mtcnn import weights as module
from common.video.mtcnn.weights import Weights, mtcnn_weights

NAME = "mtcnn.safetensors"

_WITHOUT_TORCH = """
import sys
from pathlib import Path

import numpy as np

from common.video.mtcnn.detector import FastMtcnn
from common.video.mtcnn.weights import mtcnn_weights

mtcnn_weights(Path(sys.argv[1]))
assert FastMtcnn().detect([np.zeros((60, 60, 3), np.uint8)]) == [[]]
print(*sorted({"torch", "facenet_pytorch", "torchvision"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Weights]:
    folder = tmp_path_factory.mktemp("cache") / "mien" / "weights"
    return folder, mtcnn_weights(folder)


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def unusable(network: str, sha256: str) -> Weights:
    raise AssertionError("the package's files were read")


def test_arrays_are_those_of_the_package(kept: tuple[Path, Weights]) -> None:
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    for name, network in (("pnet", PNet()), ("rnet", RNet()), ("onet", ONet())):
        expected = {f"{name}.{key}": value.numpy() for key, value in network.state_dict().items()}
        assert same({k: v for k, v in kept[1].items() if k.startswith(name)}, expected)
    assert {array.dtype for array in kept[1].values()} == {np.dtype(np.float32)}


def test_second_time_the_kept_file_is_enough(
    kept: tuple[Path, Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_torch_arrays", unusable)
    assert same(mtcnn_weights(kept[0]), kept[1])


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_damaged_file_is_ignored_and_made_anew(
    kept: tuple[Path, Weights], tmp_path: Path, damage: str
) -> None:
    good = (kept[0] / NAME).read_bytes()
    flipped = bytearray(good)
    flipped[-1] ^= 1
    bad = {"cut": good[:-4], "bit": bytes(flipped), "empty": b"", "other": b"\0" * 100}[damage]
    (tmp_path / NAME).write_bytes(bad)
    assert same(mtcnn_weights(tmp_path), kept[1])
    assert (tmp_path / NAME).read_bytes() == good


def test_cache_that_cannot_be_written_costs_only_speed(
    kept: tuple[Path, Weights], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert same(mtcnn_weights(tmp_path / "file" / "weights"), kept[1])
    # a folder in the file's place
    (tmp_path / NAME).mkdir()
    assert same(mtcnn_weights(tmp_path), kept[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", NAME]


def test_full_disk_costs_only_speed(
    kept: tuple[Path, Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    assert same(mtcnn_weights(tmp_path), kept[1])
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorkError, match=r"facenet-pytorch.* missing"):
        mtcnn_weights(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, r"pnet\.pt.* read"), (b"x", r"pnet\.pt.*expected SHA-256 a2a71")],
)
def test_other_weights_in_the_package_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, sentence: str
) -> None:
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "pnet.pt").write_bytes(content)
    monkeypatch.setattr(module, "_package_folder", lambda: tmp_path)
    with pytest.raises(WorkError, match=sentence):
        mtcnn_weights(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_kept_file_is_the_recorded_one(kept: tuple[Path, Weights]) -> None:
    found = hashlib.sha256((kept[0] / NAME).read_bytes()).hexdigest()
    assert found == module._CONVERTED_SHA256


def test_nothing_imports_torch_when_the_file_is_there(
    kept: tuple[Path, Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept[0].parents[1]))
    command = [sys.executable, "-c", _WITHOUT_TORCH, str(kept[0])]
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"
