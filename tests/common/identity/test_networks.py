"""The contract on every identity network, and what is particular to each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1

from common.errors import UsageError, WorkError
from common.identity.boxed import identity_twin
from common.identity.dlib_resnet import DlibResnet, _packaged_folder
from common.identity.network import FramedFace, IdentityNetwork, cut_box, distances
from common.identity.records import DLIB_RESNET, FACENET, VGGFACE2_ENET0, identity_record
from common.identity.registry import DEFAULT_IDENTITY, load_identity
from common.video.decode import frames
from common.video.faces import MtcnnDetector, largest
from tests.common.backbones import networks
from tests.common.identity.contract import IdentityContract, framed
from tests.support import shared_video


@pytest.fixture(scope="session")
def facenet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random, with the classifier that the published file has."""
    network = networks.randomised(InceptionResnetV1(pretrained=None, classify=True, num_classes=9))
    path = tmp_path_factory.mktemp("facenet") / "facenet.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def enet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random, without a classifier, as the published file is."""
    path = tmp_path_factory.mktemp("enet") / "enet.pt"
    torch.save(networks.efficientnet(networks.B0, classes=0).state_dict(), path)
    return path


class TestDlib(IdentityContract):
    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> IdentityNetwork:
        return load_identity(DEFAULT_IDENTITY)


class TestFacenet(IdentityContract):
    @pytest.fixture(scope="class")
    @classmethod
    def network(cls, facenet_weights: Path) -> Iterator[IdentityNetwork]:
        loaded = load_identity("facenet", engine="torch", weights=facenet_weights)
        yield loaded
        loaded.close()


class TestLightEfficientNet(IdentityContract):
    @pytest.fixture(scope="class")
    @classmethod
    def network(cls, enet_weights: Path) -> Iterator[IdentityNetwork]:
        loaded = load_identity("vggface2-enet0", engine="torch", weights=enet_weights)
        yield loaded
        loaded.close()


@pytest.fixture(scope="module")
def people() -> list[list[FramedFace]]:
    """Two people, six frames each."""
    detector = MtcnnDetector()
    found = []
    for name, every in (("WolfgangLanger_Pexels.mp4", 60), ("01-01-08-02-01-01-19.mp4", 20)):
        pictures = list(frames(shared_video(name), every=every))[:6]
        faces = detector.detect(pictures)
        found.append([FramedFace(p, largest(f)) for p, f in zip(pictures, faces, strict=True)])
    return found


def test_dlib_tells_two_people_apart(people: list[list[FramedFace]]) -> None:
    network = load_identity("dlib-resnet")
    one, other = (network.embed(faces) for faces in people)
    threshold = network.record.threshold
    assert threshold == 0.6
    assert distances(network.record, one, other).min() > threshold
    within = np.concatenate([distances(network.record, e, e).ravel() for e in (one, other)])
    # The woman cries, then laughs: some of her pairs are over the threshold.
    assert np.quantile(within, 0.75) < threshold
    assert within.max() < distances(network.record, one, other).min()


@pytest.mark.parametrize("record", [FACENET, VGGFACE2_ENET0], ids=lambda record: record.id)
def test_embedding_is_the_networks_output_for_the_box(
    record: object, facenet_weights: Path, enet_weights: Path
) -> None:
    record = identity_record(record.id)  # type: ignore[attr-defined]
    weights = facenet_weights if record is FACENET else enet_weights
    ((frame, face),) = framed(1)
    crop = cut_box(frame, face, record.input_size)
    image = ((crop.astype(np.float64) - record.mean) / record.std).transpose(2, 0, 1)[None]
    with torch.inference_mode():
        expected = identity_twin(record, weights).eval()(torch.from_numpy(image).float())[0].numpy()
    found = load_identity(record.id, engine="torch", weights=weights).embed(
        [FramedFace(frame, face)]
    )
    assert np.abs(found[0] - expected / np.linalg.norm(expected)).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("id", ["facenet", "vggface2-enet0"])
def test_openvino_gives_the_same_embeddings(
    id: str,
    facenet_weights: Path,
    enet_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weights = facenet_weights if id == "facenet" else enet_weights
    one, other = (
        load_identity(id, engine=engine, weights=weights).embed(framed(2))
        for engine in ("openvino", "torch")
    )
    assert (one * other).sum(axis=1).min() > 0.99999


def test_cut_box_is_the_box_within_the_frame() -> None:
    ((frame, face),) = framed(1)
    assert np.array_equal(cut_box(frame, face, 120), frame[20:140, 30:150])


def test_distances_by_hand() -> None:
    one = np.zeros((1, 128), np.float32)
    other = np.zeros((2, 128), np.float32)
    one[0, 0], other[0, 1], other[1, 0] = 3, 4, 2
    assert distances(DLIB_RESNET, one, other).tolist() == [[5, 1]]
    wide = [np.pad(rows, ((0, 0), (0, 384))) for rows in (one, other)]
    assert distances(FACENET, *wide).tolist() == [[1, 0]]
    assert distances(DLIB_RESNET, one[:0], other).shape == (0, 2)
    with pytest.raises(ValueError, match=r"expected \(n, 512\)"):
        distances(FACENET, one, other)
    with pytest.raises(ValueError, match="is zero"):
        distances(FACENET, wide[0] * 0, wide[1])


def test_other_files_of_dlib_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"dlib_face_recognition_resnet_model_v1\.dat: the weights"):
        DlibResnet(DLIB_RESNET, tmp_path)
    for name, _ in DLIB_RESNET.sha256:
        shutil.copy(_packaged_folder() / name, tmp_path / name)
    (tmp_path / DLIB_RESNET.sha256[1][0]).write_bytes(b"another")
    with pytest.raises(WorkError, match=r"shape_predictor_5_face_landmarks\.dat: SHA-256 is"):
        DlibResnet(DLIB_RESNET, tmp_path)


def test_the_package_of_the_weights_is_never_imported() -> None:
    code = (
        "import sys; from common.identity.registry import load_identity; "
        "load_identity('dlib-resnet'); "
        "sys.exit(bool({'face_recognition_models', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_odd_requests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enet_weights: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="there is no identity network 'arcface'"):
        load_identity("arcface")
    with pytest.raises(UsageError, match="runs in dlib with its own weights"):
        load_identity("dlib-resnet", engine="torch")
    with pytest.raises(WorkError, match=r"20180402-114759-vggface2\.pt are not in"):
        load_identity("facenet")
    with pytest.raises(WorkError, match="are not those of InceptionResnetV1"):
        load_identity("facenet", engine="torch", weights=enet_weights)


def test_own_weights_are_named(enet_weights: Path) -> None:
    network = load_identity("vggface2-enet0", engine="torch", weights=enet_weights)
    assert network.record.id.startswith("vggface2-enet0+")
