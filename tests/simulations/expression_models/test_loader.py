"""Batches: functions of seed, epoch and face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.expression_models.faces import DamagedImage, FaceSet, Image, ImageArray
from simulations.expression_models.loader import epoch_batches, plain_batches, training_batches
from tests.simulations.expression_models.toys import toy_faces, toy_recipe

FACES = toy_faces(4)
TRANSFORM = toy_recipe(augmentation="trivial").training_transform()


def images(epoch: int, workers: int = 0, start: int = 0) -> list[torch.Tensor]:
    batches = epoch_batches(FACES, 4, seed=3, epoch=epoch)[start:]
    loaded = training_batches(FACES, batches, TRANSFORM, seed=3, epoch=epoch, workers=workers)
    return [batch.images for batch in loaded if batch.images is not None]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def test_batches_do_not_depend_on_workers() -> None:
    assert same(images(0), images(0, workers=2))


def test_a_batch_does_not_depend_on_those_before_it() -> None:
    assert same(images(0)[2:], images(0, start=2))


def by_face(faces: FaceSet, epoch: int) -> list[torch.Tensor]:
    """Augmented images in the order of the faces."""
    batches = [[index] for index in range(len(faces))]
    loaded = training_batches(faces, batches, TRANSFORM, seed=3, epoch=epoch)
    return [batch.images for batch in loaded if batch.images is not None]


def test_a_face_is_augmented_anew_in_each_epoch() -> None:
    pairs = zip(by_face(FACES, 0), by_face(FACES, 1), strict=True)
    assert sum(not torch.equal(one, other) for one, other in pairs) > len(FACES) // 2


def test_each_face_is_augmented_in_its_own_way() -> None:
    first, *others = by_face(FACES.part([0] * len(FACES), "one face, often"), 0)
    assert sum(not torch.equal(first, other) for other in others) > len(FACES) // 2


def test_reading_leaves_the_default_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    images(0)
    assert torch.equal(torch.rand(1), expected)


@given(count=st.integers(1, 40), batch=st.integers(1, 9), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_each_face_comes_once_and_no_last_batch_is_of_one(
    count: int, batch: int, seed: int
) -> None:
    labels = np.arange(count) % 2
    faces = FaceSet("all", ("a", "b"), labels, ImageArray(np.zeros((count, 8, 8), np.uint8)))
    batches = epoch_batches(faces, batch, seed=seed, epoch=0)
    assert sorted(index for each in batches for index in each) == list(range(count))
    assert all(len(each) <= batch + 1 for each in batches)
    if count > 1 and batch > 1:
        assert min(map(len, batches)) > 1


def test_the_balanced_sampler_draws_classes_equally_often() -> None:
    labels = np.array([0] * 950 + [1] * 50)
    faces = FaceSet("all", ("a", "b"), labels, ImageArray(np.zeros((1000, 8, 8), np.uint8)))
    batches = epoch_batches(faces, 50, seed=0, epoch=0, balanced=True)
    drawn = labels[[index for each in batches for index in each]]
    assert len(drawn) == 1000
    assert 0.42 < drawn.mean() < 0.58


class Broken(ImageArray):
    """Face 1 and face 2 can't be read."""

    def read(self, index: int) -> Image:
        if index in (1, 2):
            raise DamagedImage(f"{self.name(index)}: can't be decoded")
        return super().read(index)


def broken_faces() -> FaceSet:
    faces = toy_faces(4)
    assert isinstance(faces.source, ImageArray)
    return replace(faces, source=Broken(faces.source.pixels))


def test_damaged_faces_are_left_out_of_their_batch_and_told() -> None:
    loaded = list(plain_batches(broken_faces(), 3, toy_recipe().plain_transform()))
    assert [len(batch.labels) for batch in loaded] == [1, 3, 3, 3]
    assert loaded[0].damaged == (1, 2)
    assert loaded[0].indices.tolist() == [0]


def test_a_batch_of_damaged_faces_has_no_images() -> None:
    part = broken_faces().part([1, 2], "damaged")
    (batch,) = plain_batches(part, 3, toy_recipe().plain_transform())
    assert batch.images is None
    assert batch.damaged == (0, 1)


@pytest.mark.parametrize("size", [(20, 50), (300, 33)])
def test_plain_images_are_the_middle_and_normalised(size: tuple[int, int]) -> None:
    pixels = np.full((1, *size, 3), (10, 120, 250), np.uint8)
    faces = FaceSet("one", ("a", "b"), np.zeros(1, np.int64), ImageArray(pixels))
    recipe = toy_recipe()
    (batch,) = plain_batches(faces, 1, recipe.plain_transform())
    assert batch.images is not None
    assert batch.images.shape == (1, 3, recipe.crop, recipe.crop)
    expected = (np.array([10, 120, 250]) - recipe.mean) / recipe.std
    np.testing.assert_allclose(batch.images[0, :, 5, 5], expected, atol=1e-4)
