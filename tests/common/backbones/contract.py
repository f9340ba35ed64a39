"""What every backbone promises, with any engine: inherit, and give a fixture `backbone`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from common.backbones.registry import Backbone, feature_spec

Crops = npt.NDArray[np.uint8]


def random_crops(size: int, count: int, seed: int = 3) -> Crops:
    """Smooth pictures, as faces are, of different levels."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 8, 8, 3))
    repeats = -(-size // 8)
    fine = coarse.repeat(repeats, axis=1).repeat(repeats, axis=2)[:, :size, :size]
    return np.clip(fine + random.integers(-20, 21, fine.shape), 0, 255).astype(np.uint8)


class BackboneContract:
    tells_noise_apart = True

    def crops(self, backbone: Backbone, count: int) -> Crops:
        return random_crops(backbone.record.input_size, count)

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_shape_and_type(self, backbone: Backbone, count: int) -> None:
        for ask in (backbone.features, lambda crops: backbone.submit(crops).result()):
            found = ask(self.crops(backbone, count))
            assert found.shape == (count, backbone.record.dimension)
            assert found.dtype == np.float32
            assert np.isfinite(found).all()

    def test_each_crop_counts_for_itself_to_the_byte(self, backbone: Backbone) -> None:
        many = self.crops(backbone, 3)
        together = backbone.features(many)
        alone = np.concatenate([backbone.features(many[i : i + 1]) for i in range(3)])
        assert together.tobytes() == alone.tobytes()
        if self.tells_noise_apart:
            assert np.abs(together[0] - together[1]).max() > 1e-3

    def test_same_crops_same_bytes_and_untouched(self, backbone: Backbone) -> None:
        many = self.crops(backbone, 2)
        before = many.copy()
        first = backbone.features(many)
        kept = first.copy()
        assert backbone.features(many).tobytes() == kept.tobytes()
        backbone.features(255 - many)
        assert np.array_equal(first, kept)
        assert np.array_equal(many, before)

    def test_submitted_crops_give_the_same_bytes_in_any_order(self, backbone: Backbone) -> None:
        many = self.crops(backbone, 3)
        pending = [backbone.submit(many[:2]), backbone.submit(many[2:])]
        last, first = (handle.result() for handle in reversed(pending))
        assert np.concatenate([first, last]).tobytes() == backbone.features(many).tobytes()
        assert pending[0].result().tobytes() == first.tobytes()

    def test_crops_need_not_be_contiguous(self, backbone: Backbone) -> None:
        many = self.crops(backbone, 3)
        expected = backbone.features(np.ascontiguousarray(many[::-2, :, ::-1]))
        assert np.array_equal(backbone.features(many[::-2, :, ::-1]), expected)

    def test_other_shapes_and_types_are_refused(self, backbone: Backbone) -> None:
        good = self.crops(backbone, 2)
        asks: tuple[Callable[[Crops], object], ...] = (backbone.features, backbone.submit)
        for ask in asks:
            for bad in (good[0], good[..., :1], good[:, 1:], good.astype(np.float32)):
                with pytest.raises(ValueError, match="crops are"):
                    ask(bad)  # type: ignore[arg-type]

    def test_provenance_names_meaning_and_engine(self, backbone: Backbone) -> None:
        assert backbone.provenance.startswith(f"{feature_spec(backbone.record)} ")
        assert any(
            f" {engine} " in backbone.provenance for engine in ("openvino", "onnxruntime", "torch")
        )
        assert backbone.provenance == backbone.provenance.strip()
