"""Each network against the one of facenet-pytorch, in torch, that has the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from torch import nn

from common.video import Image
from common.video.mtcnn.networks import O_NET, P_NET, R_NET, Network
from common.video.mtcnn.weights import mtcnn_weights

CLOSE = 1e-5


def compiled(name: str, threads: int = 1) -> Network:
    shape = {"pnet": P_NET, "rnet": R_NET, "onet": O_NET}[name]
    return Network(name, shape, mtcnn_weights(), threads)


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return {name: compiled(name) for name in ("pnet", "rnet", "onet")}


def pictures(count: int, height: int, width: int) -> Image:
    """Noise, but the first all black, the second all white, the third a ramp."""
    made = np.random.default_rng(2).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    for index, special in enumerate((0, 255, np.linspace(0, 255, width)[:, None])):
        made[index : index + 1] = special
    return made


def slow(network: nn.Module, images: Image) -> list[np.ndarray]:
    """Probability, offsets[, landmarks]: facenet-pytorch gives the probabilities last."""
    scaled = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127.5) / 128
    with torch.no_grad():
        offsets, *landmarks, probabilities = (out.numpy() for out in network(scaled))
    return [probabilities[:, 1], offsets, *landmarks]


def differences(found: tuple[np.ndarray, ...], expected: list[np.ndarray]) -> list[float]:
    assert [one.shape for one in found] == [one.shape for one in expected]
    assert all(one.dtype == np.float32 for one in found)
    return [float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 33])
@pytest.mark.parametrize(("name", "kind", "side"), [("rnet", RNet, 24), ("onet", ONet, 48)])
def test_candidates(
    networks: dict[str, Network], name: str, kind: type[nn.Module], side: int, count: int
) -> None:
    images = pictures(count, side, side)
    assert max(differences(networks[name](images), slow(kind(), images))) <= CLOSE


@pytest.mark.parametrize(
    ("height", "width"), [(12, 12), (13, 12), (12, 15), (31, 17), (40, 72), (73, 41), (12, 201)]
)
@pytest.mark.parametrize("count", [1, 3])
def test_proposals_for_pictures_of_any_size(
    networks: dict[str, Network], height: int, width: int, count: int
) -> None:
    images = pictures(count, height, width)
    found = networks["pnet"](images)
    assert max(differences(found, slow(PNet(), images))) <= CLOSE
    # one cell of 12 x 12 pixels every two pixels; pooling rounds up
    assert found[0].shape == (count, (height - 9) // 2, (width - 9) // 2)


def test_probabilities_are_of_a_face(networks: dict[str, Network]) -> None:
    for name, side in (("pnet", 12), ("rnet", 24), ("onet", 48)):
        probabilities = networks[name](pictures(6, side, side))[0]
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        assert probabilities.max() < 0.5  # none of these is one


def test_results_are_not_overwritten_by_the_next(networks: dict[str, Network]) -> None:
    images = pictures(4, 48, 48)
    first = networks["onet"](images)
    before = [values.copy() for values in first]
    networks["onet"](images[::-1])
    assert all(np.array_equal(a, b) for a, b in zip(first, before, strict=True))


def test_part_of_a_picture_is_no_other_picture(networks: dict[str, Network]) -> None:
    whole = pictures(5, 60, 60)
    part = whole[::2, 5:53, 7:55]
    expected = networks["onet"](np.ascontiguousarray(part))
    found = networks["onet"](part)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(("name", "side"), [("pnet", 40), ("rnet", 24), ("onet", 48)])
def test_threads_and_batch_change_nothing_that_matters(name: str, side: int) -> None:
    images = pictures(6, side, side)
    together, alone = compiled(name, threads=2), compiled(name)
    rows = [alone(images[i : i + 1]) for i in range(len(images))]
    for all_at_once, *one_by_one in zip(together(images), *rows, strict=True):
        assert np.abs(all_at_once - np.concatenate(one_by_one)).max() <= CLOSE
