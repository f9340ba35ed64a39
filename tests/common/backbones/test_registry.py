"""The contract of every backbone in the registry, and the registry itself."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from common.backbones.registry import (
    DEFAULT_BACKBONE,
    Backbone,
    backbone_ids,
    backbone_record,
    feature_spec,
    load,
)
from common.errors import UsageError


@pytest.fixture(scope="module", params=backbone_ids())
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return load(request.param)


def crops(backbone: Backbone, count: int) -> npt.NDArray[np.uint8]:
    size = backbone.record.input_size
    random = np.random.default_rng(3)
    return random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_shape_and_type(backbone: Backbone, count: int) -> None:
    found = backbone.features(crops(backbone, count))
    assert found.shape == (count, backbone.record.dimension)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_each_crop_counts_for_itself(backbone: Backbone) -> None:
    many = crops(backbone, 4)
    together = backbone.features(many)
    alone = np.concatenate([backbone.features(many[i : i + 1]) for i in range(4)])
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_same_crops_same_bytes_and_untouched(backbone: Backbone) -> None:
    many = crops(backbone, 3)
    before = many.copy()
    first = backbone.features(many)
    kept = first.copy()
    assert backbone.features(many).tobytes() == kept.tobytes()
    backbone.features(255 - many)
    assert np.array_equal(first, kept)
    assert np.array_equal(many, before)


def test_crops_need_not_be_contiguous(backbone: Backbone) -> None:
    many = crops(backbone, 4)
    expected = backbone.features(np.ascontiguousarray(many[::-2, :, ::-1]))
    assert np.array_equal(backbone.features(many[::-2, :, ::-1]), expected)


def test_other_shapes_and_types_are_refused(backbone: Backbone) -> None:
    good = crops(backbone, 2)
    for bad in (good[0], good[..., :1], good[:, 1:], good.astype(np.float32)):
        with pytest.raises(ValueError, match="crops are"):
            backbone.features(bad)  # type: ignore[arg-type]


def test_record_is_complete_and_frozen(backbone: Backbone) -> None:
    record = backbone.record
    assert record == backbone_record(record.id)
    assert record.colour in ("grey", "rgb")
    assert len(set(record.labels)) == len(record.labels) >= 7
    assert len(record.sha256) == 64
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.version = 2  # type: ignore[misc]


def test_default_is_known() -> None:
    assert DEFAULT_BACKBONE in backbone_ids()


def test_unknown_backbone_is_named_with_the_choices() -> None:
    for ask in (load, backbone_record):
        with pytest.raises(UsageError, match=r"'resnet'.*mini-xception"):
            ask("resnet")


def test_spec_changes_with_the_version() -> None:
    record = backbone_record(DEFAULT_BACKBONE)
    assert feature_spec(record) != feature_spec(dataclasses.replace(record, version=2))


def test_record_and_decoding_need_no_torch() -> None:
    code = (
        "import sys, common.backbones.registry, common.video.decode, common.video.extract, "
        "simulations.data.features; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
